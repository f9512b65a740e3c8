"""Which training images a model sees: nested, class-balanced draws that are the same for every model."""

import hashlib
import math
import warnings
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from bench.errors import DataError, InputError


def draw_subset(
    dataset_name: str,
    split_id: str,
    labels: np.ndarray,
    shots: int | None,
    draw_seed: int | None,
    *,
    class_names: Sequence[str] | None = None,
) -> np.ndarray:
    """Positions of `shots` training images of each class, or of all of them.

    The images of a class are put in the order of a hash of (dataset, split id, draw seed, class,
    position) and the first `shots` are taken: 5 shots contain the 1 shot of the same draw, and no
    library's random numbers are involved.

    Args:
        labels: int64 (n,), the classes 0, 1, ... of the training split.
        shots: images of each class; None for the whole split, which has one draw only.
        draw_seed: which draw; needed where `shots` is given.
        class_names: for the message when a class is too small.

    Returns:
        int64 positions into the training split, ascending.

    Raises:
        InputError: fewer than one shot, no draw seed, or a class has fewer than `shots` images.
    """
    if shots is None:
        return np.arange(len(labels), dtype=np.int64)
    if shots < 1:
        raise InputError(f"shots = {shots}: at least 1 image per class is needed")
    if draw_seed is None:
        raise InputError(f"shots = {shots} needs a draw seed")
    counts = np.bincount(labels, minlength=len(class_names or ()))
    if shots > counts.min():
        smallest = int(counts.argmin())
        name = class_names[smallest] if class_names is not None else str(smallest)
        raise InputError(
            f"shots = {shots}, but class {name!r} of {dataset_name} ({split_id}) has {counts.min()} training "
            f"images; ask for at most {counts.min()}"
        )
    orders = _orders(dataset_name, split_id, draw_seed, np.asarray(labels, np.int64).tobytes())
    return np.sort(np.concatenate([order[:shots] for order in orders]))


def growing_samples(
    dataset_name: str, split_id: str, labels: np.ndarray, sizes: Sequence[int]
) -> list[np.ndarray]:
    """Samples of the training split of about so many images, each with all of the one before.

    Of each class comes the share that it has in the split, at least two images, where it has as many. Where
    all classes are of one size, the samples are subsets of the draw seed 0 as `draw_subset` gives them.

    Args:
        labels: int64 (n,).
        sizes: ascending.

    Returns:
        int64 positions into the training split, ascending, a sample each.
    """
    orders = _orders(dataset_name, split_id, 0, np.asarray(labels, np.int64).tobytes())
    samples = []
    for size in sizes:
        share = min(1.0, size / len(labels))
        taken = [order[: max(2, math.ceil(share * len(order) - 1e-9))] for order in orders]
        samples.append(np.sort(np.concatenate(taken)).astype(np.int64))
    return samples


@lru_cache(maxsize=1)  # the models of a suite are trained on one draw after the other, at all sizes
def _orders(dataset_name: str, split_id: str, draw_seed: int, labels: bytes) -> list[np.ndarray]:
    """The positions of each class, int64, in the order of the draw; `labels` are those of `draw_subset`."""
    classes = np.frombuffer(labels, np.int64)
    orders = []
    for label in range(classes.max() + 1):
        prefix = f"{dataset_name}\0{split_id}\0{draw_seed}\0{label}\0"
        positions = np.flatnonzero(classes == label).tolist()
        orders.append(np.array(sorted(positions, key=lambda position: _rank(f"{prefix}{position}"))))
    return orders


def fold_of(
    labels: np.ndarray, fold: int, folds: int, seed: int, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """One fold of a subset, with about as many images of each class as any other.

    Args:
        labels: int64 (n,), the classes of the subset.
        fold: 0 to folds - 1.
        seed: divides the images of each class.
        groups: int64 (n,), of images that are on one side; None where each is one of its own.

    Returns:
        Indices of the images to train on and of those held out, int64, ascending.

    Raises:
        DataError: there are fewer groups than folds.
    """
    if groups is not None:
        held_out = group_folds(labels, groups, folds, seed)[fold]
        return np.setdiff1d(np.arange(len(labels)), held_out), held_out
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        indices = np.flatnonzero(labels == label).tolist()
        order = sorted(indices, key=lambda index: _rank(f"fold\0{seed}\0{label}\0{index}"))
        held[order[fold::folds]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def group_folds(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """The images of each fold, int64, ascending: whole groups, with about as many of each class as any other.

    Args:
        labels, groups: int64 (n,).
        seed: divides the groups.

    Raises:
        DataError: there are fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # a plan does not need it

    if (count := len(np.unique(groups))) < folds:
        raise DataError(
            f"{folds} folds need at least {folds} groups of training images; there are {count}; set "
            'fewer search.folds, or search.judge = "val"'
        )
    with warnings.catch_warnings():  # a class with fewer images than folds is missing in some: no harm
        warnings.simplefilter("ignore", UserWarning)
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        return [held_out for _, held_out in splitter.split(labels, labels, groups)]


def _rank(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()

"""Dividing images so that those of one group (a patient, a video, a plant) are on one side."""

import csv
import hashlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.data.base import Dataset
from bench.errors import InputError
from bench.escape import csv_text
from bench.files import write_text

# Groups of more than this share of the images are placed first, while there is room for them.
LARGE = 0.1


def divide_groups(
    labels: np.ndarray,
    keys: Sequence[str],
    groups: np.ndarray,
    quota: Callable[[int], dict[str, int]],
    salt: str,
) -> dict[str, np.ndarray]:
    """Divide whole groups so that each split has about its share of every class.

    Large groups come first, the others in the order of a hash of salt and key. Each goes to the split that
    lacks most of its share of the group's classes, in fractions of that share; of equals to train, then in
    the order of the quota. (The rule of iterative stratification, Sechidis et al. 2011, for groups.)
    Where a split is left without a class, it is done anew, the groups of the rarest classes first, each to a
    split that has none of the rarest of them.

    Args:
        labels: int64 (n,).
        keys: a lasting name for each image, such as its file.
        groups: int64 (n,), the group of every image.
        quota: from the size of a class to the images that each split but train takes of it.
        salt: names the division.

    Returns:
        ascending int64 positions by split, "train" among them.
    """
    names = ["train", *quota(len(labels))]
    counts = np.bincount(labels)
    wanted = np.array([[0, *quota(int(count)).values()] for count in counts], dtype=np.float64).T
    wanted[0] = np.maximum(counts - wanted.sum(0), 1)
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    members.sort(key=lambda group: _rank(group, keys, salt))
    side = _placed(members, labels, wanted)
    if len(np.unique(np.stack([side, labels]), axis=1).T) < len(names) * np.count_nonzero(counts):
        spread = np.zeros(len(counts))  # over how many groups each class is spread
        for group in members:
            spread[np.unique(labels[group])] += 1
        members.sort(key=lambda group: (spread[labels[group]].min(), -len(group)))
        side = _placed(members, labels, wanted, spread)
    return {name: np.flatnonzero(side == i).astype(np.int64) for i, name in enumerate(names)}


def _placed(
    members: Sequence[np.ndarray], labels: np.ndarray, wanted: np.ndarray, spread: np.ndarray | None = None
) -> np.ndarray:
    """The split of each image, int64 (n,), by placing groups one after the other.

    Args:
        members: positions of each group.
        wanted: images that each split should have of each class, (splits, classes).
        spread: over how many groups each class is spread, (classes,): a split that has nothing yet of a
            group's rarest class comes before one that lacks more.
    """
    missing, side = wanted.copy(), np.zeros(len(labels), dtype=np.int64)
    for group in members:
        classes, held = np.unique(labels[group], return_counts=True)
        need = (missing[:, classes] / wanted[:, classes]) @ held
        best = np.arange(len(wanted))
        if spread is not None:
            urgent = ((missing == wanted)[:, classes] / spread[classes]).max(1)
            best = np.flatnonzero(urgent == urgent.max())
        chosen = int(best[need[best].argmax()])
        missing[chosen, classes] -= held
        side[group] = chosen
    return side


def united(groups: np.ndarray, more: Sequence[Sequence[int]]) -> np.ndarray:
    """Groups joined where further groups of positions touch them, int64 (n,), numbered from 0.

    Args:
        groups: int64 (n,).
        more: groups of positions that belong together as well.
    """
    from scipy.sparse import coo_array  # a plan without groups does not need it
    from scipy.sparse.csgraph import connected_components

    _, own = np.unique(groups, return_inverse=True)
    if not more:
        return own.astype(np.int64)
    firsts = np.concatenate([np.full(len(group), own[group[0]]) for group in more])
    others = np.concatenate([own[list(group)] for group in more])
    size = int(own.max()) + 1
    links = coo_array((np.ones(len(firsts), dtype=bool), (firsts, others)), shape=(size, size))
    return connected_components(links, directed=False)[1][own].astype(np.int64)


def straddling(groups: np.ndarray, splits: Mapping[str, np.ndarray]) -> list[tuple[int, int]]:
    """Of each group that lies in more than one split, two positions in different ones."""
    first: dict[int, tuple[str, int]] = {}
    pairs: dict[int, tuple[int, int]] = {}
    for split, positions in splits.items():
        for position, group in zip(positions.tolist(), groups[positions].tolist(), strict=True):
            where, other = first.setdefault(group, (split, position))
            if where != split:
                pairs.setdefault(group, (other, position))
    return list(pairs.values())


def write_groups(dataset: Dataset, groups: np.ndarray, file: Path) -> None:
    """Write a table of images with their groups (see `bench.data.datasets.table`).

    Args:
        groups: int64 (n,).

    Raises:
        InputError: the images are not files, or the table exists or is no CSV.
        StoreError: it cannot be written.
    """
    if dataset.folder is None:
        raise InputError(f"{dataset.name}: its images are no files of their own, which a table could list")
    if file.suffix != ".csv" or file.exists():
        raise InputError(f"{file}: should end in .csv" if file.suffix != ".csv" else f"{file} exists already")
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("path", "label", "group"))
    for i, group in enumerate(groups.tolist()):
        path = os.path.relpath(dataset.source(i), file.resolve().parent)
        path = path if csv_text(path) == path else os.path.join(os.curdir, path)
        rows.writerow((path, csv_text(dataset.class_names[dataset.labels[i]]), group))
    write_text(file, text.getvalue())


def _rank(group: np.ndarray, keys: Sequence[str], salt: str) -> tuple[int, bytes]:
    large = len(group) if len(group) > LARGE * len(keys) else 0
    key = min(keys[i] for i in group.tolist())
    return -large, hashlib.sha256(f"{salt}\0{key}".encode()).digest()

"""Repeated stratified k-fold of one's own images: in each repeat every image is tested once.

The folds of a repeat are scikit-learn's, frozen in the store once they are made; what is not in a fold is
divided into train and val as elsewhere.
"""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.data.base import Dataset
from bench.data.grouped import divide_groups
from bench.data.own_split import checksum, val_quota
from bench.data.stratify import divide
from bench.errors import DataError, InputError
from bench.files import canonical, read_json, write_text
from bench.spec.kfold import KFold
from bench.store.layout import Layout


def refuse_small(dataset: Dataset, folds: KFold) -> None:
    """Refuse folds that the smallest class cannot fill, with two images beside each for train and val.

    Raises:
        InputError: a class has fewer images, or lies in fewer groups, than there are folds, or than 4 for 2.
    """
    groups = np.arange(len(dataset.labels)) if dataset.groups is None else dataset.groups
    pairs = np.unique(np.stack([dataset.labels, groups]), axis=1)
    counts = np.bincount(pairs[0], minlength=len(dataset.class_names))
    smallest = int(counts.min())
    if smallest < (4 if folds.folds == 2 else folds.folds):
        has = f"has {smallest} images" if dataset.groups is None else f"lies in {smallest} groups of images"
        most = "ask for kfold-3" if smallest == 3 else f"ask for at most kfold-{smallest}"
        most = most if smallest > 2 else "at least 3 are needed"
        name = dataset.class_names[int(counts.argmin())]
        raise InputError(f"{dataset.name}: kfold-{folds.folds}, but class {name!r} {has}; {most}")


def at_fold(whole: Dataset, at: KFold, store: Path | None) -> Dataset:
    """A data set divided for one fold: that is its test split, and of the rest a tenth of each class is val.

    All images of a group are on one side.

    Args:
        whole: all images, with their groups.
        at: the repeat and the fold.
        store: the results folder, where the folds are frozen; None freezes nothing.

    Raises:
        DataError: a class is too small to be on every side, or the frozen file was changed.
    """
    fold_of = folds_of_repeat(whole, at, store)
    pool = np.flatnonzero(fold_of != at.fold)
    labels, keys = whole.labels[pool], [whole.file(int(i)) for i in pool]
    if whole.groups is None:
        parts = divide(labels, keys, [], val_quota, at.split_id)
    else:
        parts = divide_groups(labels, keys, whole.groups[pool], val_quota, at.split_id)
    for split in ("train", "val"):
        counts = np.bincount(labels[parts[split]], minlength=len(whole.class_names))
        if counts.min() == 0:
            few = whole.class_names[int(counts.argmin())]
            what = "images" if whole.groups is None else "groups of images"
            raise DataError(
                f"{whole.name} ({at.split_id}): class {few!r} has too few {what} to be in train and in val "
                "beside the test fold; add some, or leave the class out"
            )
    splits = {"test": np.flatnonzero(fold_of == at.fold)} | {name: pool[parts[name]] for name in parts}
    return replace(whole, split_id=at.split_id, splits=splits, whole=whole)


def folds_of_repeat(dataset: Dataset, at: KFold, store: Path | None) -> np.ndarray:
    """The fold of each image in one repeat, int64 (n,): from the store, else made and frozen there now.

    Raises:
        DataError: the frozen file was changed.
    """
    assert at.repeat is not None
    what = f"kfold-{at.folds}-repeat-{at.repeat}"
    if store is not None:
        # Under whichever name the folder had when it was divided.
        for frozen in sorted(Layout(store).splits.glob(f"*-{dataset.fingerprint[:12]}-{what}.json")):
            return _thaw(frozen, dataset, at)
    fold_of = make_folds(dataset.labels, dataset.groups, at.folds, at.repeat)
    if store is not None:
        frozen = Layout(store).splits / f"{dataset.name}-{dataset.fingerprint[:12]}-{what}.json"
        listed = fold_of.tolist()
        content = {"format": 1, "fingerprint": dataset.fingerprint, "fold_of": listed}
        write_text(frozen, canonical(content | {"sha256": checksum(listed)}) + "\n")
    return fold_of


def make_folds(labels: np.ndarray, groups: np.ndarray | None, folds: int, repeat: int) -> np.ndarray:
    """The fold of each image by scikit-learn, int64 (n,): each fold has about its share of every class.

    Args:
        labels: int64 (n,).
        groups: int64 (n,), of images that are in one fold; None where each is one of its own.
        repeat: seeds the division.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # a plan without folds does not

    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    fold_of = np.empty(len(labels), dtype=np.int64)
    with warnings.catch_warnings():  # small classes are refused before, in our words
        warnings.simplefilter("ignore", UserWarning)
        divided = kind(folds, shuffle=True, random_state=repeat).split(labels, labels, groups)
        for fold, (_, test) in enumerate(divided):
            fold_of[test] = fold
    return fold_of


def _thaw(frozen: Path, dataset: Dataset, at: KFold) -> np.ndarray:
    """The folds in a file of the store.

    Raises:
        DataError: the file was changed since it was written.
    """
    content = read_json(frozen)
    listed = content.get("fold_of") if isinstance(content, dict) else None
    whole = isinstance(content, dict) and content.get("sha256") == checksum(listed)
    if not whole or content.get("fingerprint") != dataset.fingerprint:
        raise DataError(
            f"{frozen}: was changed since the folds were frozen; restore it, or delete it to divide anew"
        )
    folds = listed if isinstance(listed, list) else []
    fits = all(type(one) is int and 0 <= one < at.folds for one in folds)
    if not fits or len(folds) != len(dataset.labels):
        raise DataError(
            f"{frozen}: should list the fold, 0 to {at.folds - 1}, of each of {len(dataset.labels)} images"
        )
    return np.array(folds, dtype=np.int64)

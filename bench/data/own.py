"""What data sets of one's own images share, however they were listed: division, equal images, warnings."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bench.data.base import Dataset
from bench.data.equal import Overlap, equal_files, overlap_of, shared
from bench.data.folds import at_fold, refuse_small
from bench.data.grouped import united
from bench.data.own_split import CARVED, GIVEN, GROUPED, STRATIFIED, own_split
from bench.data.rows import alike
from bench.errors import DataError, InputError
from bench.files import sha256_files
from bench.spec.kfold import NAMED, KFold, read_kfold

# By which split ids images of one's own may be divided; their counts are the user's.
SPLIT_IDS: dict[str, dict[str, int]] = {STRATIFIED: {}, GIVEN: {}, CARVED: {}, GROUPED: {}, NAMED: {}}


@dataclass(frozen=True)
class Listed:
    """Images with labels, as a folder or a table lists them.

    Attributes:
        asked: how the user named them, as in "folder:PATH".
        name: what tables call them.
        root: the folder or file that messages name.
        class_names: one name a class, in the order of the labels.
        labels: int64 (n,).
        keys: a lasting name for each image.
        fingerprint: of everything that was listed and of the images' bytes.
        equal: groups of positions of images with equal bytes.
        read, source, largest, folder: as of `bench.data.base.Dataset`.
        given: int64 positions by split, of a split of its own; None where the images are to be divided.
        groups: int64 (n,), what must lie on one side of any division (a patient, a video); None without.
        spellings: of groups, those that differ in case or spaces alone together.
        skipped: as of `bench.data.base.Dataset`.
        warnings: what was noticed while they were listed, one line each.
    """

    asked: str
    name: str
    root: Path
    class_names: list[str] = field(repr=False)
    labels: np.ndarray = field(repr=False)
    keys: list[str] = field(repr=False)
    fingerprint: str
    equal: list[list[int]] = field(repr=False)
    read: Callable[[int], np.ndarray] = field(repr=False)
    source: Callable[[int], str] = field(repr=False)
    largest: Callable[[int], tuple[int, int] | None] | None = field(default=None, repr=False)
    folder: Path | None = None
    given: dict[str, np.ndarray] | None = field(default=None, repr=False)
    groups: np.ndarray | None = field(default=None, repr=False)
    spellings: Sequence[Sequence[str]] = field(default=(), repr=False)
    skipped: tuple[str, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()


def own_dataset(listed: Listed, split_id: str | None, store: Path | None) -> Dataset:
    """Listed images as a data set, divided as they ask for it.

    Raises:
        InputError: the split id does not fit.
        DataError: fewer than two classes, a class too small to be divided, or a group on both sides of a
            split of its own.
    """
    if len(listed.class_names) < 2:
        how = " folder(s); at least 2 are needed: PATH/CLASS/IMAGE"
        how = how if listed.asked.startswith("folder:") else "(es); at least 2 are needed"
        raise DataError(f"{listed.root}: {len(listed.class_names)} class{how}")
    actual = _split_id(listed, split_id)
    if (folds := read_kfold(actual)) is not None:
        return _in_folds(listed, folds, store)
    splits = own_split(
        listed.root,
        listed.name,
        listed.keys,
        listed.labels,
        listed.class_names,
        listed.fingerprint,
        store,
        listed.equal,
        actual,
        listed.given,
        listed.groups,
    )
    elsewhere = shared(listed.equal, splits["test"], np.concatenate([splits["train"], splits["val"]]))
    whole = _divided(listed, actual, splits, listed.groups)
    units = _units(listed, splits["train"])
    return replace(whole, duplicates=elsewhere if len(elsewhere) else None, units=units)


def _units(listed: Listed, train: np.ndarray) -> np.ndarray | None:
    """The groups, joined where images have equal bytes; None where no training images are joined by that."""
    own = np.arange(len(listed.labels)) if listed.groups is None else listed.groups
    units = united(own, listed.equal)
    return units if len(np.unique(units[train])) < len(np.unique(own[train])) else None


def _divided(
    listed: Listed, split_id: str, splits: dict[str, np.ndarray], groups: np.ndarray | None
) -> Dataset:
    """Listed images in some splits, with what is to be said of that."""
    overlap = overlap_of(listed.equal, listed.labels, splits)
    return Dataset(
        name=listed.name,
        split_id=split_id,
        class_names=listed.class_names,
        labels=listed.labels,
        splits=splits,
        fingerprint=listed.fingerprint,
        copy="own data",
        read=listed.read,
        source=listed.source,
        largest=listed.largest,
        folder=listed.folder,
        groups=groups,
        overlap=overlap.counts(),
        skipped=listed.skipped,
        warnings=(
            *listed.warnings,
            *_alike(listed),
            *_equal(listed.name, overlap, splits),
            *_grouped(listed, splits),
        ),
    )


def _in_folds(listed: Listed, folds: KFold, store: Path | None) -> Dataset:
    """Listed images as the whole of their folds, or divided for one of them; equal files are in one fold."""
    groups = listed.groups
    if groups is not None or listed.equal:
        own = np.arange(len(listed.labels)) if groups is None else groups
        groups = united(own, listed.equal)
    nothing = np.empty(0, dtype=np.int64)
    everything = {"train": nothing, "val": nothing, "test": np.arange(len(listed.labels))}
    whole = _divided(listed, KFold(folds.folds).split_id, everything, groups)
    refuse_small(whole, folds)
    return whole if folds.fold is None else at_fold(whole, folds, store)


def files_of(paths: Sequence[Path | str], root: Path) -> tuple[str, list[list[int]], Sequence[int]]:
    """The fingerprint of some files below a folder, the groups of those with equal bytes, and their states.

    Raises:
        DataError: a file cannot be read, or its name is not UTF-8.
    """
    try:
        hashes: list[str] = []
        states = array("q")  # of a million files 8 MB
        fingerprint = sha256_files(paths, root, hashes=hashes, states=states)
        return fingerprint, equal_files(paths, fingerprint, hashes), states
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error
    except UnicodeEncodeError as error:
        raise DataError(f"{root}: the file name {error.object!r} is not valid UTF-8; rename it") from error


def _split_id(listed: Listed, asked: str | None) -> str:
    """By which id the images are divided: the one that was asked for, where it fits."""
    if listed.given is None:
        fitting, layout = [GROUPED if listed.groups is not None else STRATIFIED], "no split of its own"
        layout = "one folder a class" if listed.asked.startswith("folder:") else layout
    else:
        carved = [] if len(listed.given["val"]) else [CARVED]
        fitting, layout = [GIVEN, *carved], "train and test" if carved else "train, val and test"
    if asked is not None and listed.given is None and read_kfold(asked) is not None:
        return asked
    if asked is not None and asked not in fitting:
        fitting += [] if listed.given is not None else [NAMED]
        ids = " or ".join(f'"{one}"' for one in fitting)
        raise InputError(f'{listed.asked} has {layout}: its split id is {ids}, not "{asked}"')
    return asked or fitting[0]


def _alike(listed: Listed) -> list[str]:
    """Classes and groups whose names differ in case or spaces alone: one in two pieces, as a rule."""
    same = "differ in case or spaces alone; if they are the same, give them one name"
    lines = [
        f"{listed.name}: the classes {', '.join(map(repr, one))} {same}" for one in alike(listed.class_names)
    ]
    if pairs := listed.spellings:
        first = ", ".join(map(repr, pairs[0]))
        lines.append(f"{listed.name}: {sum(map(len, pairs))} groups {same} (first: {first})")
    return lines


def _equal(name: str, overlap: Overlap, splits: dict[str, np.ndarray]) -> list[str]:
    """Equal files where they should not be, one line each."""
    test, val = len(splits["test"]), len(splits["val"])
    warnings = []
    for number, of, where, why in (
        (overlap.test_in_train, f"of {test} test images", "in train", "their accuracy is memory"),
        (
            overlap.test_in_val,
            f"of {test} test images",
            "in val",
            "what was chosen on them is tested on them",
        ),
        (overlap.val_in_train, f"of {val} val images", "in train", "what is chosen on them favours memory"),
        (overlap.two_labels, "images", "in another class", "one of their labels must be wrong"),
    ):
        if number:
            warnings.append(f"{name}: {number} {of} are also {where}, byte by byte: {why}")
    return warnings


def _grouped(listed: Listed, splits: dict[str, np.ndarray]) -> list[str]:
    """That test images of one group are not independent: there are fewer to conclude from than it seems."""
    if listed.groups is None:
        return []
    test, groups = len(splits["test"]), len(np.unique(listed.groups[splits["test"]]))
    if groups == test:
        return []
    return [
        f"{listed.name}: the {test} test images come from {groups} groups; intervals and verdicts are over "
        "groups, not images"
    ]

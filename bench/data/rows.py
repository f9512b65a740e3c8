"""Images as the rows of a table: their labels, splits and groups as text, checked and turned into numbers."""

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.base import SPLITS
from bench.errors import DataError
from bench.files import canonical

# How people spell the names of splits, in any case.
SPELLINGS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
SPELLINGS |= {"test": "test", "testing": "test"}


@dataclass(frozen=True)
class Rows:
    """Checked rows.

    Attributes:
        class_names: in the order of the labels, which is that of their text.
        labels, groups: int64 (n,).
        alike: spellings of groups that differ in case or spaces alone, those of one together.
        given: int64 positions by split; None without splits.
        text: hexadecimal hash of the labels, splits and groups as they were written.
    """

    class_names: list[str]
    labels: np.ndarray
    given: dict[str, np.ndarray] | None
    groups: np.ndarray | None
    alike: list[list[str]]
    text: str


def alike(names: Iterable[str]) -> list[list[str]]:
    """The names that differ in case or spaces alone, those of one together, ascending."""
    seen: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        key = unicodedata.normalize("NFC", name.casefold())
        seen.setdefault(" ".join(key.split()), []).append(name)
    return [one for one in seen.values() if len(one) > 1]


def as_text(where: Path, column: str, values: Iterable[object]) -> list[str]:
    """A column of text or whole numbers as text, gaps (None) as empty text.

    Raises:
        DataError: it holds something else.
    """
    texts = []
    for value in values:
        if not isinstance(value, str | int | None) or isinstance(value, bool):
            raise DataError(
                f"{where}: column {column!r} holds {value!r}; it should hold text or whole numbers"
            )
        texts.append("" if value is None else str(value))
    return texts


def rows_of(
    where: Path,
    keys: Sequence[str],
    labels: Sequence[str],
    splits: Sequence[str] | None,
    groups: Sequence[str] | None,
) -> Rows:
    """Labels, splits and groups of images, all as text; an empty group is one of its own.

    Args:
        where: for messages, as are `keys`, a name for each image.

    Raises:
        DataError: a label is missing, a label or group has spaces around it, a split is none, train or test
            is missing, or a class is not in every split.
    """
    named = np.array([unicodedata.normalize("NFC", label) for label in labels])
    _refuse(where, keys, named == "", "no label", "give them one or leave their rows out")
    _refuse(where, keys, np.char.strip(named) != named, "a label with spaces around it", "remove the spaces")
    own = np.array(groups or [], dtype=np.str_)
    _refuse(where, keys, np.char.strip(own) != own, "a group with spaces around it", "remove the spaces")
    class_names, numbers = np.unique(named, return_inverse=True)
    numbers = numbers.astype(np.int64)
    given = None if splits is None else _given(where, keys, splits)
    if given is not None:
        _refuse_lacking(where, class_names.tolist(), numbers, given)
    content = [named.tolist(), *([list(one)] if one is not None else [None] for one in (splits, groups))]
    return Rows(
        class_names=class_names.tolist(),
        labels=numbers,
        given=given,
        groups=None if groups is None else _numbered(groups),
        alike=alike(groups or ()),
        text=hashlib.sha256(canonical(content).encode()).hexdigest(),
    )


def _given(where: Path, keys: Sequence[str], splits: Sequence[str]) -> dict[str, np.ndarray]:
    spelled = np.array([SPELLINGS.get(split.strip().lower(), "") for split in splits])
    _refuse(where, keys, spelled == "", "a split that is none of train, val and test", "name one of them")
    for needed in ("train", "test"):
        if needed not in spelled:
            raise DataError(
                f"{where}: no image has the split {needed!r}; name train and test (and val if you like), or "
                "leave the splits out to have the images divided"
            )
    return {split: np.flatnonzero(spelled == split).astype(np.int64) for split in SPLITS}


def _refuse_lacking(
    where: Path, class_names: list[str], labels: np.ndarray, given: dict[str, np.ndarray]
) -> None:
    """Raises DataError where a split that has images lacks a class."""
    held = {split: set(labels[positions].tolist()) for split, positions in given.items() if len(positions)}
    for split, classes in held.items():
        for other, theirs in held.items():
            if lacking := sorted(theirs - classes):
                count = int((labels[given[other]] == lacking[0]).sum())
                raise DataError(
                    f"{where}: class {class_names[lacking[0]]!r} is in {other} ({count} images) but not in "
                    f"{split}; every split needs the same classes"
                )


def _refuse(where: Path, keys: Sequence[str], wrong: np.ndarray, what: str, right: str) -> None:
    """Raises DataError where images are wrong, naming the first."""
    if wrong.any():
        first = keys[int(wrong.argmax())]
        raise DataError(f"{where}: {int(wrong.sum())} image(s) have {what} (first: {first}); {right}")


def _numbered(groups: Sequence[str]) -> np.ndarray:
    """Groups by number, int64 (n,)."""
    own = [group or f"\0{i}" for i, group in enumerate(groups)]
    return np.unique(np.array(own), return_inverse=True)[1].astype(np.int64)

"""The split ids of repeated k-fold: "kfold-5" is the whole of it, "kfold-5-repeat-0-fold-3" one division."""

import re
from dataclasses import dataclass

from bench.errors import InputError

NAMED = "kfold-K"
"""What lists of split ids call it."""

_ID = re.compile(r"kfold-(\d{1,4})(?:-repeat-(\d{1,6})-fold-(\d{1,4}))?")


@dataclass(frozen=True)
class KFold:
    """So many folds of all images; of one `repeat`, and there with one `fold` as test split, both from 0.

    Both are None for the whole: all repeats with all their folds.
    """

    folds: int
    repeat: int | None = None
    fold: int | None = None

    @property
    def split_id(self) -> str:
        """The split id that is read back as this."""
        own = "" if self.repeat is None else f"-repeat-{self.repeat}-fold-{self.fold}"
        return f"kfold-{self.folds}{own}"

    @property
    def seed(self) -> int:
        """The training seed of this division: no two networks of a comparison share one."""
        assert self.repeat is not None and self.fold is not None
        return self.repeat * self.folds + self.fold

    def of_repeat(self, repeat: int) -> "list[KFold]":
        """All divisions of one repeat."""
        return [KFold(self.folds, repeat, fold) for fold in range(self.folds)]


def read_kfold(split_id: str | None) -> KFold | None:
    """What a split id says of folds; None for any other kind of split id.

    Raises:
        InputError: it begins like one and is none.
    """
    if split_id is None or not split_id.startswith("kfold"):
        return None
    match = _ID.fullmatch(split_id)
    if match is None:
        raise InputError(f'split id "{split_id}": should be kfold- and the number of folds, as in "kfold-5"')
    folds, repeat, fold = (None if part is None else int(part) for part in match.groups())
    assert folds is not None
    if folds < 2:
        raise InputError(f'split id "{split_id}": at least 2 folds are needed, as in "kfold-5"')
    if fold is not None and fold >= folds:
        raise InputError(f'split id "{split_id}": its folds are 0 to {folds - 1}, there is no {fold}')
    return KFold(folds, repeat, fold)


def is_fold(split_id: str) -> bool:
    """Whether a split id is that of one division, by which one fold is tested."""
    match = _ID.fullmatch(split_id)
    return match is not None and match[3] is not None

"""Cells as a report shows them: averages over replicates, and what must be known to read them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from bench.analysis import cells
from bench.analysis.flags import Flag, Note
from bench.analysis.statistics import Estimate
from bench.report.text import decimal, listed, percent, split_label
from bench.store.records.baseline import BaselineRecord

Baseline = Literal["nearest", "statistics", "majority"]
SCORES = ("top1", "top5", "mean_per_class", "nll", "ece", "top1_deduplicated")


@dataclass(frozen=True)
class Score:
    """Mean and standard deviation (n - 1) over n replicates; `sd` is missing for one, both for none."""

    mean: float
    sd: float
    n: int

    @classmethod
    def of(cls, values: ArrayLike | Sequence[float | None]) -> "Score":
        """The score of the values that are not missing (None or NaN)."""
        every = np.asarray(values, dtype=float)
        known = every[~np.isnan(every)]
        n = len(known)
        return cls(known.mean() if n else np.nan, known.std(ddof=1) if n > 1 else np.nan, n)

    def as_percent(self) -> tuple[str, str]:
        """Mean and spread in percent."""
        return percent(self.mean), percent(self.sd) if self.n > 1 else ""

    def as_decimal(self, digits: int = 2) -> tuple[str, str]:
        """Mean and spread as they are."""
        return decimal(self.mean, digits), decimal(self.sd, digits) if self.n > 1 else ""


@dataclass(frozen=True, kw_only=True)
class Cell(cells.Cell):
    """One contestant on one subset size, with its scores and flags.

    `baselines` are those of its runs, of each that has some. `interval` is the plain 95 % interval of its
    accuracy; None where no run has predictions, without ends where fewer than three have. `untrained` is why
    its networks do not count as trained, None where they do.
    """

    flags: tuple[Note, ...]
    interval: Estimate | None
    baselines: tuple[BaselineRecord, ...]
    untrained: str | None

    def baseline(self, name: Baseline) -> Score:
        """The accuracy of the nearest neighbour in raw pixels or in image statistics, or of the majority
        class, on the same training images, over the same trials."""
        return Score.of([getattr(one, f"{name}_top1") for one in self.baselines])

    @cached_property
    def scores(self) -> dict[str, Score]:
        """The scores over its runs, by metric; diverged ones at chance."""
        return {name: Score.of(self.values(name)) for name in SCORES}

    @property
    def split(self) -> str:
        """The dataset with its split id."""
        return split_label(self.dataset, self.split_id)

    @property
    def notes(self) -> tuple[str, ...]:
        """Its flags as a table has them."""
        return tuple(note.short for note in self.flags)

    @property
    def notes_of_sentence(self) -> list[str]:
        """Its flags for a sentence, which says itself how many replicates it is about."""
        return [
            str(note) if note.flag is Flag.UNMATCHED else note.short
            for note in self.flags
            if note.flag is not Flag.FEW_REPLICATES
        ]


def with_more_labels(cells: Iterable[Cell]) -> list[str]:
    """Where values were searched with more labels than a subset has, by comparison: "NAME with 1 and 2 images
    per class"."""
    sizes: dict[str, set[int]] = {}
    for cell in cells:
        if cell.more_labels and cell.records and cell.shots is not None:
            sizes.setdefault(cell.comparison, set()).add(cell.shots)
    return [
        f"{name} with {listed([str(n) for n in sorted(own)])} {'image' if own == {1} else 'images'} per class"
        for name, own in sizes.items()
    ]


def notes_sentence(cells: Iterable[Cell]) -> str:
    """What follows a caption: each note once, after the titles of the cells that it holds for unless it holds
    for all; nothing where there are none."""
    notes = {cell.title: cell.notes for cell in cells}
    holders: dict[str, list[str]] = {}
    for title, note in ((title, note) for title, own in notes.items() for note in dict.fromkeys(own)):
        holders.setdefault(note, []).append(title)
    each = [f"{listed(own)}: {note}" if len(own) < len(notes) else note for note, own in holders.items()]
    return f" Notes: {'; '.join(each)}." if each else ""

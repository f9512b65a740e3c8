"""Cells: what is averaged over replicates, and what must be known to read the average."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.analysis.contrasts import WHOLE_SPLIT
from bench.analysis.statistics import Estimate
from bench.report.text import decimal, percent, split

if TYPE_CHECKING:
    from bench.store.records import ComparisonEntry

ENOUGH_REPLICATES = 3
COLUMNS = [
    "comparison",
    "contestant",
    "title",
    "model",
    "dataset",
    "split_id",
    "shots",
    "draw_seed",
    "images_per_class",
    "pretraining",
    "recipe",
    "protocol",
    "precision",
    "run",
    "outcome",
    "data_copy",
    "test_images",
    "test_in_train",
    "two_labels",
    "selection",
    "carded",
    "top1",
    "top5",
    "mean_per_class",
    "nll",
    "ece",
    "top1_deduplicated",
]
SCORES = ("top1", "top5", "mean_per_class", "nll", "ece", "top1_deduplicated")


@dataclass(frozen=True)
class Score:
    """Mean and standard deviation (n - 1) over n replicates; `sd` is missing for one, both for none."""

    mean: float
    sd: float
    n: int

    @classmethod
    def of(cls, values: pd.Series) -> "Score":
        """The score of the values that are not missing."""
        values = values.dropna().to_numpy(float)
        n = len(values)
        return cls(values.mean() if n else np.nan, values.std(ddof=1) if n > 1 else np.nan, n)

    def as_percent(self) -> tuple[str, str]:
        """Mean and spread in percent."""
        return percent(self.mean), percent(self.sd) if self.n > 1 else ""

    def as_decimal(self, digits: int = 2) -> tuple[str, str]:
        """Mean and spread as they are."""
        return decimal(self.mean, digits), decimal(self.sd, digits) if self.n > 1 else ""


@dataclass(frozen=True)
class Cell:
    """One contestant on one subset size: its trials, scores and notes.

    `nearest` is the accuracy of the nearest neighbour on the same training images, over the same trials.
    `split` is the dataset with its split id, `planned` counts trials, `runs` are the ids of those that are
    done; `images_per_class` is missing where no trial of the comparison says how large the whole split is.
    `interval` is the plain 95 % interval of its accuracy; None where no run has predictions, without ends
    where fewer than three have. `untrained` is why its networks do not count as trained, None where they do.
    """

    comparison: str
    contestant: str
    title: str
    model: str
    split: str
    shots: int | None
    images_per_class: float
    pretraining: str
    recipe: str
    protocol: str
    planned: int
    runs: tuple[str, ...]
    diverged: int
    scores: dict[str, Score]
    notes: tuple[str, ...]
    interval: Estimate | None = None
    nearest: Score = Score(np.nan, np.nan, 0)
    untrained: str | None = None


def cells(trials: pd.DataFrame, comparisons: "list[ComparisonEntry]") -> list[Cell]:
    """All cells in the order of the suite: comparison, then images per class, then contestant.

    Args:
        trials: one row a planned trial (`bench.report.evidence.Evidence.trials`).
        comparisons: as in the suite's listing.
    """
    return [cell for comparison in comparisons for cell in _of_comparison(trials, comparison)]


def _of_comparison(trials: pd.DataFrame, comparison: "ComparisonEntry") -> Iterator[Cell]:
    here = trials.loc[trials["comparison"] == comparison.name, COLUMNS]
    shared = _shared_notes(here, comparison)
    sizes: list[int | None] = [int(shots) for shots in sorted(here["shots"].dropna().unique())]
    sizes += [None] if here["shots"].isna().any() else []
    whole = here.loc[here["shots"].isna(), "images_per_class"].max()
    groups = {
        (None if pd.isna(shots) else int(shots), contestant): rows
        for (shots, contestant), rows in here.groupby(["shots", "contestant"], dropna=False)
    }
    for shots in sizes:
        for contestant in comparison.contestants:
            if (shots, contestant) in groups:
                size = float(whole if shots is None else shots)
                yield _cell(groups[shots, contestant], shots, size, shared)


def _cell(rows: pd.DataFrame, shots: int | None, images_per_class: float, shared: dict[str, str]) -> Cell:
    done = rows[rows["outcome"].notna()].drop_duplicates("run")
    diverged = int((done["outcome"] == "diverged").sum())
    notes = []
    if diverged:
        notes.append(f"{diverged} of {len(done)} diverged, at chance")
    if 0 < len(done) < ENOUGH_REPLICATES:
        notes.append(f"fewer than {ENOUGH_REPLICATES} replicates: no interval")
    if shots is not None and len(done) > 1 and done["draw_seed"].isna().all():
        notes.append(WHOLE_SPLIT)
    if (done["data_copy"] == "copy not verified").any():
        notes.append("copy not verified")
    if repeated := max(done["test_in_train"].fillna(0), default=0):
        notes.append(f"{repeated} of {done['test_images'].max()} test images are also in train")
    if unsure := max(done["two_labels"].fillna(0), default=0):
        notes.append(f"{unsure} images have two labels")
    if (done["selection"] == "val-oracle").any():
        notes.append("val-oracle")
    elif (done["selection"] == "best-val").any():
        notes.append("best epoch by val")
    if not done["carded"].all():
        notes.append("no model card")
    notes += [note for name, note in shared.items() if name != "precision"]
    if len(done) and "precision" in shared:
        notes.append(_only(done["precision"]))
    first = rows.iloc[0]
    return Cell(
        comparison=first["comparison"],
        contestant=first["contestant"],
        title=first["title"],
        model=first["model"],
        split=split(first["dataset"], None if pd.isna(first["split_id"]) else first["split_id"]),
        shots=shots,
        images_per_class=images_per_class,
        pretraining=_only(rows["pretraining"]),
        recipe=_only(rows["recipe"]),
        protocol=_only(rows["protocol"]),
        planned=len(rows),
        runs=tuple(done["run"]),
        diverged=diverged,
        scores={name: Score.of(done[name]) for name in SCORES},
        notes=tuple(notes),
    )


def _shared_notes(trials: pd.DataFrame, comparison: "ComparisonEntry") -> dict[str, str]:
    """What holds for every row of a comparison: what its contestants do not have in common."""
    notes = {}
    if trials["pretraining"].dropna().nunique() > 1:
        notes["pretraining"] = "unmatched pretraining"
    elif comparison.unmatched:
        notes["unmatched"] = "unmatched"
    if trials["precision"].dropna().nunique() > 1:
        notes["precision"] = "mixed precision"
    return notes


def _only(values: pd.Series) -> str:
    """The one value of a column, or all of them where they differ."""
    return " / ".join(dict.fromkeys(values.dropna()))

"""What recipes came to: by model, data and subset, over the replicates that suites have run."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from bench.files import canonical

if TYPE_CHECKING:
    from bench.store.records.listing import Listing
    from bench.store.records.trials import Result, TrialRecord
    from bench.store.run_store import RunStore

SEEDS = ("draw_seed", "seed")
# What may differ between machines where nothing is drawn: as `vcbench reproduce` allows, a fraction.
TOLERANCE = 0.01
# Expected accuracies are written down with this many decimals.
ROUNDING = 0.001


@dataclass(frozen=True)
class Expectation:
    """Test accuracy of a recipe as it was seen.

    Attributes:
        mean: fraction.
        sd: over the replicates (n - 1); None of one.
        replicates: how many were seen.
    """

    mean: float
    sd: float | None
    replicates: int

    def interval(self, more: int = 1) -> tuple[float, float]:
        """Where the mean of `more` further replicates lies in 95 of 100 cases: the prediction interval of
        normal values whose spread is estimated (Student's t); of one, which nothing is drawn for, TOLERANCE
        on either side."""
        half = TOLERANCE
        if self.sd is not None:
            quantile = float(stdtrit(self.replicates - 1, 0.975))
            half = max(ROUNDING, quantile * self.sd * (1 / more + 1 / self.replicates) ** 0.5)
        return max(0.0, self.mean - half), min(1.0, self.mean + half)

    def __str__(self) -> str:
        if self.sd is None:
            return f"{100 * self.mean:.1f} % top-1 (one run)"
        return (
            f"{100 * self.mean:.1f} ± {100 * self.sd:.1f} % top-1 (mean and standard deviation of "
            f"{self.replicates} replicates)"
        )


@dataclass(frozen=True)
class Measured:
    """One recipe for a model on a subset: all replicates, finished or diverged, that suites list.

    Attributes:
        records: in the order of their seeds.
        suites: suite and comparison of each place where they are listed.
    """

    records: "tuple[Result, ...]"
    suites: "tuple[tuple[Listing, str], ...]"

    @property
    def first(self) -> "Result":
        """One of the records, for what they have in common."""
        return self.records[0]

    @cached_property
    def expectation(self) -> Expectation:
        """Diverged trials count at chance."""
        top1 = np.array([record.top1 for record in self.records])
        return Expectation(float(top1.mean()), float(top1.std(ddof=1)) if len(top1) > 1 else None, len(top1))

    @property
    def val_top1(self) -> float | None:
        """Mean accuracy on val, that of guessing where a trial diverged; None without val images."""
        if not self.first.data.val_images:
            return None
        chance, val = 1 / self.first.data.classes, [one.metrics.val_top1 for one in self.records]
        return float(np.mean([chance if top1 is None else top1 for top1 in val]))

    @property
    def images_per_class(self) -> float:
        """Training images; a fraction where classes differ."""
        return self.first.data.train_images / self.first.data.classes

    @property
    def next_replicate(self) -> int:
        """The first that was not seen."""
        seeds = [getattr(record.identity, name) for record in self.records for name in SEEDS]
        return 1 + max((seed for seed in seeds if seed is not None), default=-1)

    @property
    def size(self) -> str:
        """The subset, in words."""
        shots = self.first.identity.shots
        return "all images" if shots is None else f"{shots} image{'' if shots == 1 else 's'} per class"

    def has_size(self, shots: int | None) -> bool:
        """Whether it is of `shots` images per class, or of the whole split (None)."""
        return self.first.identity.shots == shots or (shots is not None and self.images_per_class == shots)


def measured(stores: "Iterable[RunStore]") -> list[Measured]:
    """Every recipe that the suites of some stores have run; a run that is in several stores counts once."""
    groups: dict[str, dict[str, Result]] = {}
    places: dict[str, dict[tuple[str, str], tuple[Listing, str]]] = {}
    for store in stores:
        for listing in store.suites().values():
            for run, entries in listing.runs.items():
                if (record := store.result(run)) is None:
                    continue
                key = replicates_of(record, store)
                groups.setdefault(key, {}).setdefault(run, record)
                for entry in entries:
                    place = listing.suite, entry.comparison
                    places.setdefault(key, {}).setdefault(place, (listing, entry.comparison))
    return [
        Measured(tuple(sorted(group.values(), key=_seeds)), tuple(places[key].values()))
        for key, group in groups.items()
    ]


def replicates_of(record: "TrialRecord", store: "RunStore", but: Collection[str] = SEEDS) -> str:
    """A text that is the same for all replicates of a recipe on a subset, and for nothing else.

    A student's teacher and the folds of k-fold are others in every replicate: they stand for their recipes.

    Args:
        but: the fields of its identity that do not count.
    """
    identity = {name: value for name, value in record.identity.content().items() if name not in but}
    folds = identity.pop("folds", [])
    if folds and (first := store.trial(folds[0])) is not None:
        identity["folds"] = [len(folds), replicates_of(first, store, (*SEEDS, "split_id"))]
    taught_by = record.identity.teacher
    if taught_by is not None and (teacher := store.trial(taught_by)) is not None:
        identity["teacher"] = replicates_of(teacher, store, but)
    return canonical(identity)


def best_first(recipes: Iterable[Measured]) -> list[Measured]:
    """By accuracy on val, as the test split is not there to choose by; without val by replicates."""
    return sorted(recipes, key=lambda one: (one.val_top1 or 0.0, len(one.records)), reverse=True)


def _seeds(record: "Result") -> list[int]:
    return [getattr(record.identity, name) or 0 for name in SEEDS]

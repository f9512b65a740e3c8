"""Cells: what a suite asks for, joined with what was measured of it.

A cell is one contestant of a comparison on one subset under one condition, with its trials replicate by
replicate. Tables, contrasts, ensembles, changes and reports read cells; nothing else joins a listing with
records, or pairs replicates.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.metrics.accuracy import at_chance

if TYPE_CHECKING:
    from bench.store.records.listing import Listing, SearchEntry, TrialEntry
    from bench.store.records.trials import Result

    Done = tuple[TrialEntry, Result]

CLEAN = "clean"
"""The condition of a test split as it is."""


@dataclass(frozen=True)
class Replicate:
    """One planned trial of a cell; `record` is None until it has finished or diverged."""

    entry: "TrialEntry"
    record: "Result | None"

    @property
    def seeds(self) -> tuple[int | None, int | None]:
        """Draw seed and training seed, which the trials of one replicate have in common. A deterministic
        trial has no training seed, and goes with the one of its replicate."""
        entry = self.entry
        return entry.draw_seed, entry.replicate if entry.seed is None else entry.seed


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One contestant of a comparison on one subset under one condition.

    Attributes:
        comparison, contestant: their names in the suite.
        shots: training images per class; None for the whole split.
        images_per_class: `shots`, or the size of the whole split; missing where no trial says it.
        replicates: the planned trials, in the order of the listing.
        pretraining: of its weights; empty where no trial says it.
        planned_recipe: the recipe that the suite names; `recipe` is what its trials say.
        deduplicated: whether accuracy without duplicates is measured on these test images.
        looks: after how many replicates its primary contrasts are judged; none: once, with all there are.
        asked: how many replicates the suite asks for at most; None where its listing does not say.
        search: how its recipe values were chosen, if they were searched; `judged_by_val`: on the val split.
    """

    comparison: str
    contestant: str
    title: str
    model: str
    dataset: str
    split_id: str | None
    input_size: int
    shots: int | None
    images_per_class: float
    condition: str
    replicates: tuple[Replicate, ...]
    pretraining: str
    planned_recipe: str
    deduplicated: bool
    looks: tuple[int, ...] = ()
    asked: int | None = None
    search: "SearchEntry | None" = None
    judged_by_val: bool = False

    @property
    def records(self) -> "tuple[Result, ...]":
        """The trials that finished or diverged, each once."""
        done = {one.record.id: one.record for one in self.replicates if one.record}
        return tuple(done.values())

    @property
    def runs(self) -> tuple[str, ...]:
        """The ids of `records`."""
        return tuple(record.id for record in self.records)

    @property
    def planned(self) -> int:
        """How many trials are asked for."""
        return len(self.replicates)

    @property
    def diverged(self) -> int:
        """How many trials diverged."""
        return sum(record.outcome == "diverged" for record in self.records)

    @property
    def drawn(self) -> bool:
        """Whether its images are drawn; a number of images per class may be all there are."""
        return any(one.entry.draw_seed is not None for one in self.replicates if one.entry.id)

    @property
    def recipe(self) -> str:
        """The recipe; all of them where they differ."""
        return _joined(one.record.recipe if one.record else self.planned_recipe for one in self.replicates)

    @property
    def protocol(self) -> str:
        """How values were chosen; empty where nothing was measured."""
        if self.search is not None:
            return "tuned" if self.records else ""
        return _joined(record.protocol for record in self.records)

    @property
    def more_labels(self) -> bool:
        """Whether its recipe was searched with more labels than the subset has."""
        if self.search is None or self.shots is None:
            return False
        return self.judged_by_val or self.search.shots is None or self.search.shots > self.shots

    @property
    def deterministic(self) -> bool:
        """Whether it is one trial on the whole split without a seed, which would be the same if repeated."""
        if self.planned != 1:
            return False
        entry = self.replicates[0].entry
        return entry.draw_seed is None and entry.seed is None

    def values(self, metric: str) -> NDArray[np.float64]:
        """A metric of each of `records` (R,), as in `metrics_of`; NaN where it was not measured."""
        values = [metrics_of(record, self.deduplicated).get(metric) for record in self.records]
        return np.array(values, dtype=float)


def cells(suite: "Listing", records: "Mapping[str, Result]", condition: str = CLEAN) -> list[Cell]:
    """All cells of a suite in its order: comparison, then images per class, then contestant; the whole split
    comes last. Comparisons that do not ask for the condition have none.

    Args:
        suite: as the store lists it.
        records: of finished and diverged trials, by id; those of other suites are passed over.
    """
    replicates: dict[tuple[str, int | None, str], list[Replicate]] = {}
    for entry in suite.trials:
        record = records.get(entry.id or "")
        measured = record if record and record.condition == condition else None
        key = entry.comparison, entry.shots, entry.contestant
        replicates.setdefault(key, []).append(Replicate(entry, measured))
    done = [(one.entry, one.record) for own in replicates.values() for one in own if one.record]
    deduplicated = {record.data.key for _, record in done if record.metrics.top1_deduplicated is not None}
    joined = []
    for comparison in suite.comparisons:
        if condition not in (CLEAN, *comparison.conditions):
            continue
        order = comparison.contestants.index
        planned = [(shots, name) for other, shots, name in replicates if other == comparison.name]
        for shots, name in sorted(planned, key=lambda one: (one[0] is None, one[0] or 0, order(one[1]))):
            own, contestant = replicates[comparison.name, shots, name], suite.contestants[name]
            cell = Cell(
                comparison=comparison.name,
                contestant=name,
                title=contestant.title,
                model=contestant.model,
                dataset=comparison.dataset,
                split_id=comparison.split_id,
                input_size=comparison.input_size,
                shots=shots,
                images_per_class=_images_per_class(shots, done, comparison.name),
                condition=condition,
                replicates=tuple(own),
                pretraining="none" if contestant.weights == "none" else _pretraining(own, name, done),
                planned_recipe=contestant.recipe or comparison.recipe,
                deduplicated=any(one.record.data.key in deduplicated for one in own if one.record),
                looks=tuple(comparison.looks),
                asked=comparison.replicates,
                search=suite.search_of(comparison.name, name, shots),
                judged_by_val=(comparison.search or {}).get("judge") == "val",
            )
            joined.append(cell)
    return joined


def paired(
    a: Cell, b: Cell, usable: "Callable[[Result], bool] | None" = None, same_images: bool = True
) -> "tuple[list[Result], list[Result]]":
    """The records of the replicates that two cells have in common, in the order of the first.

    Args:
        usable: which records count at all.
        same_images: whether those on other images are left out.
    """
    first, second = (
        {
            one.seeds: one.record
            for one in cell.replicates
            if one.record and (not usable or usable(one.record))
        }
        for cell in (a, b)
    )
    common = [
        (record, second[seeds])
        for seeds, record in first.items()
        if seeds in second and (not same_images or record.data.fingerprint == second[seeds].data.fingerprint)
    ]
    return [record for record, _ in common], [record for _, record in common]


def metrics_of(record: "Result", deduplicated: bool) -> dict[str, float | None]:
    """The metrics of a trial; those of a diverged one at chance, without a calibration error.

    `deduplicated`: whether accuracy without duplicates is measured on its test images.
    """
    if record.outcome != "diverged":
        return record.metrics.content()
    chance = at_chance(record.data.classes)
    scores: dict[str, float | None] = {**chance, "train_top1": chance["top1"], "train_nll": chance["nll"]}
    if record.data.val_images:
        scores |= {"val_top1": chance["top1"], "val_nll": chance["nll"]}
    return scores | ({"top1_deduplicated": chance["top1"]} if deduplicated else {})


def _images_per_class(shots: int | None, done: "list[Done]", comparison: str) -> float:
    if shots is not None:
        return float(shots)
    whole = [record.data for entry, record in done if (entry.comparison, entry.shots) == (comparison, None)]
    return max((data.train_images / data.classes for data in whole), default=np.nan)


def _pretraining(own: list[Replicate], contestant: str, done: "list[Done]") -> str:
    """A contestant's weights are the same in all of its trials, so that one of them tells for the others."""
    records = [one.record for one in own if one.record]
    others = [record for entry, record in done if entry.contestant == contestant]
    return _joined(record.model.pretraining for record in records or others[:1])


def _joined(names: Iterable[str]) -> str:
    """Different names, each once; usually there is one."""
    return " / ".join(dict.fromkeys(names))

"""What must be known to read a contrast: how far its two models are from a matched pair."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis.cells import Cell
from bench.analysis.flags import Flag, Note

if TYPE_CHECKING:
    from bench.store.records.listing import Listing
    from bench.store.records.trials import Result

TEACHER = " (of the teacher)"
UNMATCHED_SIZE = 1.1
"""FLOPs, parameters and images seen that differ by more than this factor are flagged."""


@dataclass(frozen=True)
class Facts:
    """What should be alike in the two models of a contrast.

    Each is a set, as the runs of a model may differ in it; an empty one is not known and not compared.

    Attributes:
        flops: of a forward pass; None where they are not known.
        parameters: with the head of the data set; None where they are not known.
        feature_width: how many features a probe reads; networks that are trained have none.
        images_seen: in a training, epochs counted; None where it is not known.
    """

    title: str
    flops: int | None
    parameters: int | None
    pretraining: frozenset[str]
    recipe: frozenset[str]
    precision: frozenset[str]
    feature_width: frozenset[int]
    images_seen: float | None = None


def of_teacher(own: str, teachers: Set[str]) -> set[str]:
    """What pretraining of its teachers comes into a network that started from another itself."""
    return {
        name if name.endswith(TEACHER) else name + TEACHER for name in teachers if name not in ("none", own)
    }


COMPARED = {
    "pretraining": Flag.UNMATCHED_PRETRAINING,
    "recipe": Flag.UNMATCHED_RECIPE,
    "precision": Flag.MIXED_PRECISION,
    "feature_width": Flag.UNMATCHED_WIDTH,
}


def differences(a: Facts, b: Facts) -> list[Note]:
    """The flags of two models that are not a matched pair."""
    notes = []
    for name, flag in COMPARED.items():
        both = [getattr(facts, name) for facts in (a, b)]
        if all(both) and both[0] != both[1]:
            notes.append(flag(both=" against ".join(" / ".join(map(str, sorted(own))) for own in both)))
    for flag, first, second in (
        (Flag.UNMATCHED_FLOPS, a.flops, b.flops),
        (Flag.UNMATCHED_PARAMETERS, a.parameters, b.parameters),
        (Flag.UNMATCHED_BUDGET, a.images_seen, b.images_seen),
    ):
        if first and second and max(first, second) / min(first, second) > UNMATCHED_SIZE:
            larger = a if first > second else b
            notes.append(flag(title=larger.title, ratio=max(first, second) / min(first, second)))
    return notes


class Match:
    """The facts of a suite that qualify its contrasts."""

    def __init__(self, suite: "Listing", cells: Sequence[Cell], cost: pd.DataFrame) -> None:
        self._unmatched = {comparison.name: comparison.unmatched for comparison in suite.comparisons}
        self._cells: dict[tuple[str, str], list[Cell]] = {}
        for cell in cells:
            self._cells.setdefault((cell.comparison, cell.contestant), []).append(cell)
        keys = zip(cost["model"], cost["classes"], cost["input_size"], strict=True)
        self._flops = dict(zip(keys, cost["flops"], strict=True))
        self._by_run = {record.id: record for cell in cells for record in cell.records}

    def flops(self, comparison: str, key: str) -> int | None:
        """FLOPs of a contestant's forward pass, with the head of this comparison's dataset; None where no
        profile or no trial tells."""
        for cell in self._cells.get((comparison, key), ()):
            return self._flops.get((cell.model, self._classes(comparison), cell.input_size))
        return None

    def flops_ratio(self, comparison: str, a: str, b: str) -> float | None:
        """FLOPs of a over those of b."""
        first, second = self.flops(comparison, a), self.flops(comparison, b)
        return float(first / second) if first and second else None

    def notes(self, comparison: str, a: str, b: str) -> list[Note]:
        """In what the two models differ besides being two models."""
        both = [self._facts(comparison, key) for key in (a, b)]
        notes = differences(*both)
        if not all(facts.flops for facts in both):
            notes.append(Flag.NO_FLOPS())
        if self._unmatched[comparison]:
            notes.append(Flag.UNMATCHED(what=self._unmatched[comparison]))
        return notes

    def _facts(self, comparison: str, key: str) -> Facts:
        records = self._records(comparison, key)
        widths = {record.details.get("feature_width") for record in records}
        return Facts(
            title=self._cells[comparison, key][0].title,
            flops=self.flops(comparison, key),
            parameters=max((record.model.params for record in records if record.model.params), default=None),
            pretraining=frozenset(name for record in records for name in self._pretraining(record)),
            recipe=frozenset(),  # each row of the tables names its own
            precision=frozenset(record.identity.precision for record in records),
            feature_width=frozenset(width for width in widths if width),
            images_seen=self._images_seen(comparison, key),
        )

    def _pretraining(self, record: "Result") -> set[str]:
        """What a network started from, and what its teachers did where that is more."""
        teacher = self._by_run.get(record.identity.teacher or "")
        own = record.model.pretraining
        return {own} | of_teacher(own, self._pretraining(teacher) if teacher else set())

    def _images_seen(self, comparison: str, key: str) -> float | None:
        """Over all subsets, of finished trials."""
        seen = [
            [one.images_seen for one in cell.records if one.images_seen and one.outcome == "finished"]
            for cell in self._cells.get((comparison, key), ())
        ]
        return sum(map(fmean, seen)) if seen and all(seen) else None

    def _records(self, comparison: str, key: str) -> "list[Result]":
        return [record for cell in self._cells.get((comparison, key), ()) for record in cell.records]

    def _classes(self, comparison: str) -> int | None:
        for (name, key), _ in self._cells.items():
            for record in self._records(name, key) if name == comparison else ():
                return record.data.classes
        return None

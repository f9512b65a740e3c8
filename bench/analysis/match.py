"""What must be known to read a contrast: how far its two models are from a matched pair."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.analysis.cells import Cell
from bench.analysis.flags import Flag, Note

if TYPE_CHECKING:
    from bench.store.records.listing import Listing
    from bench.store.records.trials import Result

UNMATCHED_FLOPS = 1.1
"""FLOPs that differ by more than this factor are flagged."""


class Match:
    """The facts of a suite that qualify its contrasts."""

    def __init__(self, suite: "Listing", cells: Sequence[Cell], cost: pd.DataFrame) -> None:
        self._unmatched = {comparison.name: comparison.unmatched for comparison in suite.comparisons}
        self._cells: dict[tuple[str, str], list[Cell]] = {}
        for cell in cells:
            self._cells.setdefault((cell.comparison, cell.contestant), []).append(cell)
        keys = zip(cost["model"], cost["classes"], cost["input_size"], strict=True)
        self._flops = dict(zip(keys, cost["flops"], strict=True))

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

    def notes(self, comparison: str, a: str, b: str, ratio: float | None) -> list[Note]:
        """In what the two models differ besides being two models."""
        both = [self._records(comparison, key) for key in (a, b)]
        pretraining: list[set[Any]] = [{record.model.pretraining for record in own} for own in both]
        precision: list[set[Any]] = [{record.identity.precision for record in own} for own in both]
        # Probes alone read features; a network that is trained has no width of them.
        widths: list[set[Any]] = [
            {record.details.get("feature_width") for record in own} - {None, 0} for own in both
        ]
        notes = [
            flag(both=" against ".join(" / ".join(map(str, sorted(own))) for own in facts))
            for flag, facts in (
                (Flag.UNMATCHED_PRETRAINING, pretraining),
                (Flag.MIXED_PRECISION, precision),
                (Flag.UNMATCHED_WIDTH, widths),
            )
            if all(facts) and facts[0] != facts[1]
        ]
        if ratio is None:
            notes.append(Flag.NO_FLOPS())
        elif max(ratio, 1 / ratio) > UNMATCHED_FLOPS:
            dearer = self._cells[comparison, a if ratio > 1 else b][0].title
            notes.append(Flag.UNMATCHED_FLOPS(title=dearer, ratio=max(ratio, 1 / ratio)))
        if self._unmatched[comparison]:
            notes.append(Flag.UNMATCHED(what=self._unmatched[comparison]))
        return notes

    def _records(self, comparison: str, key: str) -> "list[Result]":
        return [record for cell in self._cells.get((comparison, key), ()) for record in cell.records]

    def _classes(self, comparison: str) -> int | None:
        for (name, key), _ in self._cells.items():
            for record in self._records(name, key) if name == comparison else ():
                return record.data.classes
        return None

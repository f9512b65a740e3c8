"""What changed between two run stores, cell by cell, and whether by more than noise.

A cell is a contestant of a comparison on one subset. Replicates are paired by draw seed and training seed,
images by their place in the test split; the difference is the second store minus the first.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bench.analysis.cells import Cell, cells, paired
from bench.analysis.costs import cost_table
from bench.analysis.decisions import PairedScores, judge
from bench.analysis.flags import Flag
from bench.analysis.predictions import Predictions
from bench.analysis.statistics import MIN_REPLICATES, Contrast
from bench.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from bench.store.records.trials import Result
    from bench.store.run_store import RunStore

Verdict = Literal["identical", "better", "worse", "equivalent", "inconclusive", "none"]

COSTS = ("params", "flops")


@dataclass(frozen=True)
class Change:
    """One cell in both stores.

    Attributes:
        verdict: of the second store against the first: `identical` where every prediction is equal, a
            verdict of `bench.analysis.statistics`, or `none` where nothing can be said; `note` says why.
        replicates: how many were paired.
        before, after: mean top-1 of the paired replicates, or of what there is where none is paired;
            diverged trials at chance; None where there is nothing.
        difference, low, high: after minus before with its 95 % interval; fractions.
        runs_before, runs_after: the runs behind it, in the same order where they are paired.
    """

    suite: str
    comparison: str
    contestant: str
    title: str
    dataset: str
    split_id: str
    shots: int | None
    verdict: Verdict
    replicates: int
    before: float | None
    after: float | None
    difference: float | None
    low: float | None
    high: float | None
    note: str
    runs_before: tuple[str, ...]
    runs_after: tuple[str, ...]

    @property
    def cell(self) -> str:
        """The cell's name in messages and figures."""
        shots = "all images" if self.shots is None else f"{self.shots} per class"
        return f"{self.suite}: {self.comparison}: {self.title}, {shots}"


@dataclass(frozen=True)
class _CellPair:
    """One cell in both stores; without replicates in one that does not plan it."""

    before: Cell
    after: Cell

    @property
    def done(self) -> "list[tuple[Result, ...]]":
        """The trials that finished or diverged, by store."""
        return [self.before.records, self.after.records]

    @cached_property
    def runs(self) -> "tuple[list[Result], list[Result]]":
        """The trials of the replicates that both have, by store; their images may be others."""
        return paired(self.before, self.after, same_images=False)

    @property
    def deterministic(self) -> bool:
        """Whether both are one run without any seed, which would be the same if repeated."""
        return all(self.done) and self.before.deterministic and self.after.deterministic

    @property
    def enough(self) -> bool:
        """Whether something may be said of it."""
        return self.deterministic or len(self.runs[0]) >= MIN_REPLICATES


def find_changes(
    before: "RunStore", after: "RunStore", suite: str | None = None, variant: str | None = None
) -> list[Change]:
    """Every cell of the suites that both stores hold, in the order of the second store.

    Args:
        before, after: the stores; may be one and the same where there is a variant.
        suite: only this one.
        variant: what the suite is called in the second store, where it is another name there.

    Verdicts are Holm's over the cells with enough replicates in both.

    Raises:
        InputError: the stores have no suite in common, or not the one asked for.
        StoreError: a file is damaged.
    """
    suites = before.suites(), after.suites()
    if suite:
        names = [(suite, variant or suite)]
        for store, known, name in zip((before, after), suites, names[0], strict=True):
            if name not in known:
                hint = did_you_mean(name, known)
                raise InputError(f'{store.root}: nothing of a suite "{name}" was run here{hint}')
    else:
        names = [(name, name) for name in suites[1] if name in suites[0]]
    if not names:
        first, second = (", ".join(known) or "none" for known in suites)
        raise InputError(
            f"the stores have no suite in common: {before.root} has {first}; {after.root} has {second}"
        )
    predictions = Predictions(before), Predictions(after)
    records = [{record.id: record for record in store.results()} for store in (before, after)]
    both = {
        new: _in_both(cells(suites[0][old], records[0]), cells(suites[1][new], records[1]))
        for old, new in names
    }
    comparisons = sum(cell.enough for own in both.values() for cell in own)
    return [
        change
        for name, own in both.items()
        for change in _changes(name, suites[1][name].delta, own, *predictions, comparisons)
    ]


def changed_costs(before: "RunStore", after: "RunStore") -> list[dict[str, Any]]:
    """Counts that are not the same in both stores: model, classes, input_size, what, before, after."""
    keys = ["model", "classes", "input_size"]
    tables = [cost_table(store.profiles()).set_index(keys)[list(COSTS)] for store in (before, after)]
    both = tables[0].add_suffix("_before").join(tables[1].add_suffix("_after"), how="inner")
    return [
        dict(zip(keys, [network[0], *map(int, network[1:])], strict=True))
        | {"what": what, "before": int(row[f"{what}_before"]), "after": int(row[f"{what}_after"])}
        for network, row in both.iterrows()
        for what in COSTS
        if row[f"{what}_before"] != row[f"{what}_after"]
    ]


def _in_both(before: list[Cell], after: list[Cell]) -> list[_CellPair]:
    """The cells of a suite in either store, in the order of the second."""
    old, new = ({(one.comparison, one.contestant, one.shots): one for one in own} for own in (before, after))
    return [
        _CellPair(
            old[key] if key in old else replace(new[key], replicates=()),
            new[key] if key in new else replace(old[key], replicates=()),
        )
        for key in new | old
    ]


def _changes(
    suite: str,
    delta: float,
    cells: list[_CellPair],
    before: Predictions,
    after: Predictions,
    comparisons: int,
) -> list[Change]:
    """Every cell of one suite; those that can be paired are judged together."""
    why_not = [_not_comparable(cell, before, after) for cell in cells]
    able = [k for k, reason in enumerate(why_not) if reason is None]
    tables = {
        k: [source.scores_of(own) for source, own in zip((before, after), cells[k].runs, strict=True)]
        for k in able
    }
    judged = [
        PairedScores(
            (tables[k][1], tables[k][0]),
            k,
            deterministic=cells[k].deterministic,
            images=cells[k].runs[0][0].data.test_images,
            fold_of=before.fold_of(*cells[k].runs),
        )
        for k in able
    ]
    results = dict(zip(able, judge(judged, delta=delta, comparisons=max(1, comparisons)), strict=True))
    changes = []
    for k, cell in enumerate(cells):
        change = _unchanged(suite, cell, why_not[k] or "")
        if k in results:
            same = all(_same(*both, before, after) for both in zip(*cell.runs, strict=True))
            change = _changed(change, cell, tables[k], results[k], same)
        changes.append(change)
    return changes


def _unchanged(suite: str, cell: _CellPair, note: str) -> Change:
    """A cell of which nothing can be said, and why."""
    known, (before, after) = cell.after, cell.done
    return Change(
        suite=suite,
        comparison=known.comparison,
        contestant=known.contestant,
        title=known.title,
        dataset=known.dataset,
        split_id=known.split_id or "",
        shots=known.shots,
        verdict="none",
        replicates=0,
        before=_mean(before),
        after=_mean(after),
        difference=None,
        low=None,
        high=None,
        note=note,
        runs_before=tuple(record.id for record in before),
        runs_after=tuple(record.id for record in after),
    )


def _changed(
    change: Change, cell: _CellPair, tables: list[np.ndarray], result: Contrast, same: bool
) -> Change:
    return replace(
        change,
        verdict="identical" if same else result.verdict,
        replicates=result.replicates,
        before=float(tables[0].mean()),
        after=float(tables[1].mean()),
        difference=result.estimate,
        low=None if same else result.low,
        high=None if same else result.high,
        note="; ".join(_notes(result, cell, same)),
        runs_before=tuple(record.id for record in cell.runs[0]),
        runs_after=tuple(record.id for record in cell.runs[1]),
    )


def _not_comparable(cell: _CellPair, before: Predictions, after: Predictions) -> str | None:
    """Why nothing can be said of a cell, or None."""
    missing = [side for side, own in zip(("first", "second"), cell.done, strict=True) if not own]
    if missing:
        return "measured in neither store" if len(missing) == 2 else f"not measured in the {missing[0]} store"
    if not cell.runs[0]:
        return "no replicate has the same seeds in both"
    for old, new in zip(*cell.runs, strict=True):
        if old.data.key != new.data.key:
            return "the data are not the same: nothing can be paired"
    for side, source, own in zip(("first", "second"), (before, after), cell.runs, strict=True):
        lacking = sum(not source.has_scores(record) for record in own)
        if lacking:
            return f"{lacking} of {len(own)} runs of the {side} store have no predictions"
    return None


def _notes(result: Contrast, cell: _CellPair, same: bool) -> Iterator[str]:
    most = max(map(len, cell.done))
    if result.replicates < most:
        yield f"{result.replicates} of {most} replicates are in both"
    if result.verdict == "none" and not same:
        yield f"{Flag.FEW_REPLICATES()}, no verdict"
    if result.images_only and not same:
        yield str(Flag.IMAGES_ONLY())
    old, new = (sum(record.outcome == "diverged" for record in own) for own in cell.runs)
    if old or new:
        yield f"diverged, at chance: {old} before, {new} after, of {result.replicates}"


def _same(old: "Result", new: "Result", before: Predictions, after: Predictions) -> bool:
    """Whether two trained networks answered the same for every image."""
    one, other = before.outputs(old), after.outputs(new)
    if one is None or other is None:
        return old.outcome == new.outcome
    return bool(np.array_equal(one.predicted, other.predicted))


def _mean(records: "tuple[Result, ...]") -> float | None:
    """Mean top-1, diverged trials at chance; None of no records."""
    return float(np.mean([record.top1 for record in records])) if records else None

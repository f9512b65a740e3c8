"""What changed between two run stores, cell by cell, and whether by more than noise.

A cell is a contestant of a comparison on one subset. Replicates are paired by draw seed and training seed,
images by their place in the test split; the difference is the second store minus the first.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bench.analysis.decisions import Cell, judge
from bench.analysis.predictions import Predictions
from bench.analysis.statistics import MIN_REPLICATES, Contrast
from bench.errors import InputError, did_you_mean
from bench.tables.tables import cost_table

if TYPE_CHECKING:
    from bench.store.records import Listing, TrialRecord
    from bench.store.run_store import RunStore

Key = tuple[str, str, int | None]
Seeds = tuple[int | None, int | None]
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
    def place(self) -> str:
        """The cell in words."""
        shots = "all images" if self.shots is None else f"{self.shots} per class"
        return f"{self.suite}: {self.comparison}: {self.title}, {shots}"


@dataclass(frozen=True)
class _Cell:
    """One cell of both stores: its records by what pairs them, of each store."""

    key: Key
    before: "dict[Seeds, TrialRecord]"
    after: "dict[Seeds, TrialRecord]"

    @property
    def paired(self) -> list[Seeds]:
        """What pairs the replicates that both have."""
        return [key for key in self.before if key in self.after]

    @property
    def deterministic(self) -> bool:
        """Whether both are one run without any seed, which would be the same if repeated."""
        return list(self.before) == list(self.after) == [(None, None)]

    @property
    def enough(self) -> bool:
        """Whether something may be said of it."""
        return self.deterministic or len(self.paired) >= MIN_REPLICATES


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
    pairs = [(suite, variant or suite)] if suite else [(name, name) for name in _common(before, after)]
    for store, names in zip((before, after), zip(*pairs, strict=True), strict=True):
        for name in names:
            _has(store, name)
    sources = [
        (Predictions(store), {record.id: record for record in store.trials()}) for store in (before, after)
    ]
    listings = {new: (before.suites()[old], after.suites()[new]) for old, new in pairs}
    cells = {name: list(_cells(*both, sources[0][1], sources[1][1])) for name, both in listings.items()}
    comparisons = sum(cell.enough for own in cells.values() for cell in own)
    return [
        change
        for name, (_, new) in listings.items()
        for change in _changes(name, new, cells[name], sources[0][0], sources[1][0], comparisons)
    ]


def changed_costs(before: "RunStore", after: "RunStore") -> list[dict[str, Any]]:
    """Counts that are not the same in both stores: model, classes, input_size, what, before, after."""
    keys = ["model", "classes", "input_size"]
    tables = [cost_table(store.profiles()).set_index(keys)[list(COSTS)] for store in (before, after)]
    both = tables[0].add_suffix("_before").join(tables[1].add_suffix("_after"), how="inner")
    return [
        dict(zip(keys, [place[0], *map(int, place[1:])], strict=True))
        | {"what": what, "before": int(row[f"{what}_before"]), "after": int(row[f"{what}_after"])}
        for place, row in both.iterrows()
        for what in COSTS
        if row[f"{what}_before"] != row[f"{what}_after"]
    ]


def _common(before: "RunStore", after: "RunStore") -> list[str]:
    known = [store.suites() for store in (before, after)]
    both = [name for name in known[1] if name in known[0]]
    if not both:
        have = "; ".join(
            f"{s.root} has {', '.join(k) or 'none'}" for s, k in zip((before, after), known, strict=True)
        )
        raise InputError(f"the stores have no suite in common: {have}")
    return both


def _has(store: "RunStore", suite: str) -> None:
    known = store.suites()
    if suite not in known:
        raise InputError(
            f'{store.root}: nothing of a suite "{suite}" was run here{did_you_mean(suite, known)}'
        )


def _cells(
    old: "Listing", new: "Listing", before: "dict[str, TrialRecord]", after: "dict[str, TrialRecord]"
) -> Iterator[_Cell]:
    found = [_by_cell(old, before), _by_cell(new, after)]
    for key in dict.fromkeys([*found[1], *found[0]]):
        yield _Cell(key, found[0].get(key, {}), found[1].get(key, {}))


def _by_cell(listing: "Listing", records: "dict[str, TrialRecord]") -> "dict[Key, dict[Seeds, TrialRecord]]":
    cells: dict[Key, dict[Seeds, TrialRecord]] = {}
    for entry in listing.trials:
        key = (entry.comparison, entry.contestant, entry.shots)
        own = cells.setdefault(key, {})
        if entry.id in records:
            own[entry.draw_seed, entry.seed] = records[entry.id]
    return cells


def _changes(
    suite: str,
    listing: "Listing",
    cells: list[_Cell],
    before: Predictions,
    after: Predictions,
    comparisons: int,
) -> list[Change]:
    """Every cell of one suite; those that can be paired are judged together."""
    runs = [[[side[key] for key in cell.paired] for side in (cell.before, cell.after)] for cell in cells]
    why_not = [_not_comparable(cell, own, before, after) for cell, own in zip(cells, runs, strict=True)]
    able = [k for k, reason in enumerate(why_not) if reason is None]
    tables = {
        k: [source.table(own) for source, own in zip((before, after), runs[k], strict=True)] for k in able
    }
    judged = [Cell((tables[k][1], tables[k][0]), k, deterministic=cells[k].deterministic) for k in able]
    results = dict(
        zip(able, judge(judged, delta=listing.delta, comparisons=max(1, comparisons)), strict=True)
    )
    changes = []
    for k, cell in enumerate(cells):
        change = _unchanged(suite, listing, cell, why_not[k] or "")
        if k in results:
            same = all(_same(old, new, before, after) for old, new in zip(*runs[k], strict=True))
            change = _changed(change, cell, runs[k], tables[k], results[k], same)
        changes.append(change)
    return changes


def _unchanged(suite: str, listing: "Listing", cell: _Cell, note: str) -> Change:
    """A cell of which nothing can be said, and why."""
    comparison, contestant, shots = cell.key
    where = next((one for one in listing.comparisons if one.name == comparison), None)
    known = listing.contestants.get(contestant)
    return Change(
        suite=suite,
        comparison=comparison,
        contestant=contestant,
        title=known.title if known else contestant,
        dataset=where.dataset if where else "",
        split_id=(where.split_id if where else None) or "",
        shots=shots,
        verdict="none",
        replicates=0,
        before=_mean(cell.before),
        after=_mean(cell.after),
        difference=None,
        low=None,
        high=None,
        note=note,
        runs_before=tuple(record.id for record in cell.before.values()),
        runs_after=tuple(record.id for record in cell.after.values()),
    )


def _changed(
    change: Change,
    cell: _Cell,
    runs: "list[list[TrialRecord]]",
    tables: list[np.ndarray],
    result: Contrast,
    same: bool,
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
        note="; ".join(_notes(result, cell, runs, same)),
        runs_before=tuple(record.id for record in runs[0]),
        runs_after=tuple(record.id for record in runs[1]),
    )


def _not_comparable(
    cell: _Cell, runs: "list[list[TrialRecord]]", before: Predictions, after: Predictions
) -> str | None:
    """Why nothing can be said of a cell, or None."""
    missing = [side for side, own in (("first", cell.before), ("second", cell.after)) if not own]
    if missing:
        return "measured in neither store" if len(missing) == 2 else f"not measured in the {missing[0]} store"
    if not runs[0]:
        return "no replicate has the same seeds in both"
    for old, new in zip(*runs, strict=True):
        if old.data.key != new.data.key:
            return "the data are not the same: nothing can be paired"
    for side, source, own in (("first", before, runs[0]), ("second", after, runs[1])):
        lacking = sum(source.scores(record) is None for record in own)
        if lacking:
            return f"{lacking} of {len(own)} runs of the {side} store have no predictions"
    return None


def _notes(result: Contrast, cell: _Cell, runs: "list[list[TrialRecord]]", same: bool) -> Iterator[str]:
    planned = max(len(cell.before), len(cell.after))
    if result.replicates < planned:
        yield f"{result.replicates} of {planned} replicates are in both"
    if result.verdict == "none" and not same:
        yield f"fewer than {MIN_REPLICATES} replicates: no interval, no verdict"
    if result.images_only and not same:
        yield "one deterministic run of each: the interval is over test images alone"
    old, new = (sum(record.outcome == "diverged" for record in own) for own in runs)
    if old or new:
        yield f"diverged, at chance: {old} before, {new} after, of {result.replicates}"


def _same(old: "TrialRecord", new: "TrialRecord", before: Predictions, after: Predictions) -> bool:
    """Whether two trained networks answered the same for every image."""
    one, other = before.outputs(old), after.outputs(new)
    if one is None or other is None:
        return old.outcome == new.outcome
    return bool(np.array_equal(one.predicted, other.predicted))


def _mean(records: "dict[Seeds, TrialRecord]") -> float | None:
    """Mean top-1, diverged trials at chance; None of no records."""
    return float(np.mean([record.top1 for record in records.values()])) if records else None

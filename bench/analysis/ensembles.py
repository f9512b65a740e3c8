"""The accuracy of averaging the probabilities of two trained networks, kept in the store.

Probabilities are large and not committed. The accuracies are therefore computed where the probabilities are,
and kept in the store's ensembles.parquet, with the checksums of the weights: a pair that is in this file is
not computed again, unless one of the two was trained anew to other weights. The table of the same name is
made from it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.analysis.cells import Cell, paired
from bench.analysis.complementarity import ensemble_accuracy
from bench.analysis.contrasts import Pair, pairs
from bench.analysis.predictions import Predictions
from bench.errors import StoreError, warn
from bench.frames import frame
from bench.store.same_weights import rows_of_weights_now

if TYPE_CHECKING:
    from bench.store.records.listing import Listing
    from bench.store.records.trials import Result
    from bench.store.run_store import RunStore

ENSEMBLES = {"run_a": "str", "run_b": "str", "top1": "float64"}
"""Columns of the ensembles table: two runs, the smaller id first, and the accuracy of their average."""
WEIGHTS = {"weights_a": "run_a", "weights_b": "run_b"}
"""Further columns of what is kept: the SHA-256 of the weights of each run."""
CACHED = 24  # arrays of probabilities in memory at once
AVERAGED = 5
"""Replicates of a contrast whose networks are averaged: pairs grow with the square of their number."""


class Ensembles:
    """The accuracies of averages of two: those that are kept, and those that can be computed here.

    A damaged file is named in a warning and not used.
    """

    def __init__(self, store: "RunStore", predictions: Predictions) -> None:
        self.store = store
        self.predictions = predictions
        try:
            self.known = _averages(_kept(store))
        except StoreError as error:
            warn(f"{error}; averages of two are computed again where there are probabilities")
            self.known = {}
        self._probabilities = lru_cache(maxsize=CACHED)(self._read)
        self._there = cache(store.has_probabilities)
        self._damaged: set[str] = set()

    def has(self, record: "Result") -> bool:
        """Whether the probabilities of a trial are there."""
        return self._there(record.id)

    def top1(self, first: "Result", second: "Result") -> float | None:
        """The accuracy of the average of two finished trials on the same test images; None where it is not
        kept and the probabilities of one are not there, or are damaged or not of these test images."""
        key = _key(first, second)
        if key not in self.known:
            outputs = self.predictions.outputs(first)
            if outputs is None or not all(map(self._there, key)):
                return None
            both = []
            for run in key:
                one = None if run in self._damaged else self._probabilities(run)
                if one is not None and (one.ndim != 2 or len(one) != len(outputs.labels)):
                    shape = f"shape {one.shape} for {len(outputs.labels)} test images"
                    self._leave_out(run, f"{self.store.files(run).probabilities}: {shape}")
                elif one is not None:
                    both.append(one)
            if len(both) < 2:
                return None
            self.known[key] = ensemble_accuracy(both, outputs.labels)
        return self.known[key]

    def _read(self, run: str) -> np.ndarray | None:
        try:
            return self.store.probabilities(run)
        except StoreError as error:
            self._leave_out(run, str(error))
            return None

    def _leave_out(self, run: str, problem: str) -> None:
        self._damaged.add(run)
        warn(f"{problem}; averages with this run are left out")


def ensembles_table(
    ensembles: Ensembles,
    suites: "Mapping[str, Listing]",
    cells: dict[str, list[Cell]],
    records: "Mapping[str, Result]",
) -> pd.DataFrame:
    """All averages of two that are known or can be computed, of every pair that a suite compares; none of a
    trial that is no longer in the store."""
    for name, suite in suites.items():
        for _, *both in finished_pairs(suite, cells[name]):
            a, b = ([record for record in own if ensembles.has(record)] for own in both)
            for one, other in (*product(a, b), *combinations(a, 2), *combinations(b, 2)):
                ensembles.top1(one, other)
    known = {key: top1 for key, top1 in ensembles.known.items() if records.keys() >= set(key)}
    return frame(
        [{"run_a": a, "run_b": b, "top1": top1} for (a, b), top1 in sorted(known.items())], ENSEMBLES
    )


def keep_ensembles(store: "RunStore", table: pd.DataFrame) -> None:
    """Keep the averages of a table in the store, beside those that are kept already.

    Those of runs whose folder is gone, or whose weights are others now, are dropped. A damaged file is left
    for its owner to mend or delete, and where another process is writing the same, it is left to that one.
    """
    with store.claim("ensembles") as free:
        if not free:
            return
        try:
            kept = _kept(store)
        except StoreError:
            return
        there = set(store.names("runs"))
        rows = {_runs(row): row for row in (*rows_of_weights_now(store, table, WEIGHTS), *kept)}
        columns = ENSEMBLES | dict.fromkeys(WEIGHTS, "str")
        known = frame([rows[key] for key in sorted(rows) if there >= set(key)], columns)
        before = store.averages()
        same = before is not None and known.equals(frame(before.to_dict("records"), columns))
        if not same or (len(known) and not store.averages_file.exists()):
            store.write_averages(known)


def finished_pairs(
    suite: "Listing", cells: Sequence[Cell]
) -> "Iterator[tuple[Pair, list[Result], list[Result]]]":
    """Every contrast of a suite with the first AVERAGED replicates that finished in both models, in the same
    order."""
    for pair, *both in pairs(suite, cells):
        a, b = paired(both[0], both[1], lambda record: record.outcome == "finished")
        yield pair, a[:AVERAGED], b[:AVERAGED]


def _kept(store: "RunStore") -> list[dict[str, Any]]:
    """What the store keeps of weights that are still those of their runs.

    Raises:
        StoreError: the file is damaged.
    """
    try:
        table = store.averages()
        rows = [] if table is None else rows_of_weights_now(store, table, WEIGHTS)
        kept = _averages(rows)
    except (StoreError, AttributeError, ValueError, TypeError) as error:
        raise StoreError(f"{store.averages_file}: is damaged; restore it, or delete it") from error
    if not all(a < b and 0 <= top1 <= 1 for (a, b), top1 in kept.items()):
        raise StoreError(
            f"{store.averages_file}: holds what is no accuracy of two runs; restore it, or delete it"
        )
    return rows


def _averages(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    return {_runs(row): float(row["top1"]) for row in rows}


def _runs(row: Mapping[str, Any]) -> tuple[str, str]:
    return str(row["run_a"]), str(row["run_b"])


def _key(first: "Result", second: "Result") -> tuple[str, str]:
    one, other = sorted((first.id, second.id))
    return one, other

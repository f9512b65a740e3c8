"""The accuracy of averaging the probabilities of two trained networks, kept as a table.

Probabilities are large and not committed. So what averages of two come to is worked out once, where the
probabilities are, and stands in tables/ensembles.parquet from then on; pairs that are in it are not worked
out again, and a store without probabilities keeps it as it is.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from bench.analysis.complementarity import ensemble_accuracy
from bench.analysis.contrasts import Pair, paired_by, pairs
from bench.analysis.frames import frame
from bench.analysis.predictions import Predictions
from bench.errors import StoreError

if TYPE_CHECKING:
    from bench.store import RunStore

Record = dict[str, Any]

ENSEMBLES = {"run_a": "str", "run_b": "str", "top1": "float64"}
"""Columns of the ensembles table: two runs, the smaller id first, and the accuracy of their average."""
HELD = 24  # arrays of probabilities held at once


class Ensembles:
    """The accuracies of averages of two: those that are kept, and those that can be worked out here."""

    def __init__(self, store: "RunStore", predictions: Predictions) -> None:
        self.store = store
        self.predictions = predictions
        self.known = _kept(store)
        self._probabilities = lru_cache(maxsize=HELD)(self._read)
        self._there = cache(lambda run: self._path(run).exists())

    def has(self, record: Record) -> bool:
        """Whether the probabilities of a trial are there."""
        return self._there(record["id"])

    def top1(self, first: Record, second: Record) -> float | None:
        """The accuracy of the average of two finished trials on the same test images; None where it is not
        kept and the probabilities of one are not there.

        Raises:
            StoreError: a file is damaged, or does not fit the test images.
        """
        key = _key(first, second)
        if key not in self.known:
            outputs = self.predictions.outputs(first)
            if outputs is None or not all(map(self._there, key)):
                return None
            both = [self._probabilities(run) for run in key]
            for run, one in zip(key, both, strict=True):
                if one.ndim != 2 or len(one) != len(outputs.labels):
                    size = len(outputs.labels)
                    raise StoreError(f"{self._path(run)}: shape {one.shape} for {size} test images")
            self.known[key] = ensemble_accuracy(both, outputs.labels)
        return self.known[key]

    def _path(self, run: str) -> Path:
        return self.store.folder(run) / "probabilities.npy"

    def _read(self, run: str) -> NDArray:
        path = self._path(run)
        try:
            return np.load(path, allow_pickle=False).astype(np.float32)
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: cannot be read ({error})") from error


def ensembles_table(
    store: "RunStore", suites: Mapping[str, Record], records: Iterable[Record], predictions: Predictions
) -> pd.DataFrame:
    """All averages of two that are known or can be worked out, of every pair that a suite compares; none of a
    trial that the store has no more."""
    by_id = {record["id"]: record for record in records}
    ensembles = Ensembles(store, predictions)
    for listing in suites.values():
        for _, *both in finished_pairs(listing, by_id):
            a, b = ([record for record in records if ensembles.has(record)] for records in both)
            for one, other in (*product(a, b), *combinations(a, 2), *combinations(b, 2)):
                ensembles.top1(one, other)
    known = sorted((key, top1) for key, top1 in ensembles.known.items() if by_id.keys() >= set(key))
    return frame([{"run_a": a, "run_b": b, "top1": top1} for (a, b), top1 in known], ENSEMBLES)


def finished_pairs(
    listing: Record, records: Mapping[str, Record]
) -> Iterator[tuple[Pair, list[Record], list[Record]]]:
    """Every contrast of a suite with the replicates that finished in both models, in the same order."""
    cells: dict[tuple, dict[tuple, Record]] = {}
    for entry in listing["trials"]:
        record = records.get(entry["id"])
        if record is not None and record["outcome"] != "diverged":
            cell = cells.setdefault((entry["comparison"], entry["shots"], entry["contestant"]), {})
            cell[paired_by(entry, record)] = record
    for pair in pairs(listing):
        a, b = (cells.get((pair.comparison, pair.shots, key), {}) for key in (pair.a, pair.b))
        common = [key for key in a if key in b]
        yield pair, [a[key] for key in common], [b[key] for key in common]


def _kept(store: "RunStore") -> dict[tuple[str, str], float]:
    path = store.root / "tables" / "ensembles.parquet"
    if not path.exists():
        return {}
    try:
        table = pa.parquet.read_table(path, columns=list(ENSEMBLES), use_threads=False).to_pandas()
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"{path}: cannot be read ({error})") from error
    return {(row.run_a, row.run_b): float(row.top1) for row in table.itertuples()}


def _key(first: Record, second: Record) -> tuple[str, str]:
    one, other = sorted((first["id"], second["id"]))
    return one, other

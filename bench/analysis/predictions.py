"""What trained networks said of each test image, from the store."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from bench.analysis.statistics import chance_scores
from bench.errors import StoreError

if TYPE_CHECKING:
    from bench.store.run_store import RunStore

COLUMNS = ["predicted", "confidence", "log_prob"]


@dataclass(frozen=True)
class Outputs:
    """Of N test images in the order of the split: the class predicted, its probability, the log-probability
    of the true class, and the true class."""

    predicted: NDArray
    confidence: NDArray
    log_prob: NDArray
    labels: NDArray

    @property
    def correct(self) -> NDArray:
        """Whether the predicted class is the true one (N,)."""
        return self.predicted == self.labels


class Predictions:
    """Stored predictions and labels, each file read once."""

    def __init__(self, store: "RunStore") -> None:
        self.store = store
        self._labels: dict[tuple[str, str, str], NDArray] = {}
        self._outputs: dict[str, Outputs | None] = {}

    def outputs(self, record: dict[str, Any]) -> Outputs | None:
        """The predictions of a trial; None for one that diverged, and where none are stored.

        Raises:
            StoreError: a file is damaged, or does not have one row a test image.
        """
        run = record["id"]
        if run not in self._outputs:
            self._outputs[run] = None if record["outcome"] == "diverged" else self._read(record)
        return self._outputs[run]

    def scores(self, record: dict[str, Any]) -> NDArray | None:
        """The score of each test image (N,): 1 or 0, or chance where the trial diverged; None where no
        predictions are stored."""
        if record["outcome"] == "diverged":
            return chance_scores(record["data"]["classes"], record["data"]["test_images"])
        found = self.outputs(record)
        return None if found is None else found.correct.astype(float)

    def _read(self, record: dict[str, Any]) -> Outputs | None:
        path = self.store.folder(record["id"]) / "predictions.parquet"
        if not path.exists():
            return None
        try:
            with pa.parquet.ParquetFile(path) as file:
                table = file.read(COLUMNS, use_threads=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise StoreError(f"{path}: cannot be read ({error})") from error
        if table.column_names != COLUMNS:
            raise StoreError(f"{path}: expected the columns {', '.join(COLUMNS)}")
        labels = self._true(record)
        if len(labels) != table.num_rows:
            raise StoreError(f"{path}: {table.num_rows} predictions for {len(labels)} test images")
        outputs = Outputs(*(table[name].to_numpy() for name in COLUMNS), labels)
        known = (outputs.predicted >= 0) & (outputs.predicted < record["data"]["classes"])
        sure = (outputs.confidence >= 0) & (outputs.confidence <= 1) & (outputs.log_prob <= 0)
        if not (known & sure).all():
            wrong = np.flatnonzero(~(known & sure))
            raise StoreError(
                f"{path}: {len(wrong)} rows, the first of them {wrong[0]}, hold no class or no probability"
            )
        return outputs

    def _true(self, record: dict[str, Any]) -> NDArray:
        key = tuple(record["data"][part] for part in ("dataset", "split_id", "fingerprint"))
        if key not in self._labels:
            try:
                self._labels[key] = np.asarray(self.store.labels(record)["label"])
            except (pa.ArrowInvalid, OSError, KeyError) as error:
                what = f"labels of {key[0]} ({key[1]})"
                raise StoreError(f"{self.store.root}: {what} cannot be read ({error})") from error
        return self._labels[key]

"""The predictions of trained networks for each test image, from the store."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.statistics import by_group, chance_scores
from bench.errors import StoreError

if TYPE_CHECKING:
    import pandas as pd

    from bench.store.records.base import Data
    from bench.store.records.trials import Result
    from bench.store.run_store import RunStore


@dataclass(frozen=True)
class Outputs:
    """Of N test images in the order of the split: the class predicted, its probability, the log-probability
    of the true class, and the true class."""

    predicted: np.ndarray
    confidence: np.ndarray
    log_prob: np.ndarray
    labels: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """Whether the predicted class is the true one (N,)."""
        right: np.ndarray = self.predicted == self.labels
        return right


class Predictions:
    """Stored predictions and labels, each file read once."""

    def __init__(self, store: "RunStore") -> None:
        self.store = store
        self._labels: dict[tuple[str, str, str], pd.DataFrame] = {}
        self._outputs: dict[tuple[str, str], Outputs | None] = {}

    def outputs(self, record: "Result") -> Outputs | None:
        """The predictions of a trial; None for one that diverged, and where none are stored.

        Raises:
            StoreError: the labels are damaged, or not one a test image.
        """
        key = record.id, record.condition
        if key not in self._outputs:
            self._outputs[key] = None if record.outcome == "diverged" else self._read(record)
        return self._outputs[key]

    def known(self, record: "Result") -> Outputs:
        """The predictions of a trial that has some."""
        outputs = self.outputs(record)
        assert outputs is not None
        return outputs

    def scores(self, record: "Result") -> np.ndarray | None:
        """The score of each test image (N,): 1 or 0, or chance where the trial diverged; of each group, as
        `by_group` has it, where test images belong together. None where no predictions are stored."""
        if record.outcome == "diverged":
            return self.independent(chance_scores(record.data.classes, record.data.test_images), record.data)
        outputs = self.outputs(record)
        return None if outputs is None else self.independent(outputs.correct.astype(float), record.data)

    def independent(self, values: np.ndarray, data: "Data") -> np.ndarray:
        """Values of the test images (N,) as what an interval may take to be independent: themselves, or one
        a group."""
        groups = self.groups(data)
        return values if groups is None else by_group(values, groups)

    def groups(self, data: "Data") -> np.ndarray | None:
        """Which test images belong together, as images of one patient do (N,); None where none do, or where
        no labels are stored, as every trial diverged."""
        if data.key not in self._labels and not self.store.labels_of(data.key).exists():
            return None
        labels = self._known(data)
        return labels["group"].to_numpy() if "group" in labels else None

    def has_scores(self, record: "Result") -> bool:
        """Whether there is a score of each test image."""
        return record.outcome == "diverged" or self.outputs(record) is not None

    def scores_of(self, records: "Iterable[Result]") -> np.ndarray:
        """The scores of R trials on the same N test images, or G groups of them: (R, N) or (R, G).

        Raises:
            ValueError: one has none.
        """
        rows = []
        for record in records:
            if (row := self.scores(record)) is None:
                raise ValueError(f"{record.id} has no predictions")
            rows.append(row)
        return np.stack(rows)

    def fold_of(self, *models: "Sequence[Result]") -> np.ndarray | None:
        """The fold of each image, or group of images, in each repeat of k-fold (R, N), of the paired repeats
        of one model or several.

        None for other trials, where the models have other folds, and where a repeat diverged: it is at chance
        as a whole, so that repeats are what differs.
        """
        every = [record for own in models for record in own]
        if not every or any(one.outcome == "diverged" or "fold_of" not in one.details for one in every):
            return None
        folds = [np.array([one.details["fold_of"] for one in own]) for own in models]
        if not all(np.array_equal(folds[0], own) for own in folds):
            return None
        groups = self.groups(models[0][0].data)
        return folds[0] if groups is None else folds[0][:, np.unique(groups, return_index=True)[1]]

    def _read(self, record: "Result") -> Outputs | None:
        columns = self.store.prediction_columns(record)
        if columns is None:
            return None
        labels = self._true(record.data)
        predicted, confidence, log_prob, rank = (
            columns[name] for name in ("predicted", "confidence", "log_prob", "rank")
        )
        if len(labels) != len(predicted):
            raise StoreError(
                f"{self.store.labels_of(record.data.key)}: {len(labels)} labels for the {len(predicted)} "
                f"test images of {record.id}"
            )
        if ((predicted == labels) != (rank == 0)).any():
            raise StoreError(
                f"{self.store.labels_of(record.data.key)}: not the labels that {record.id} was tested on"
            )
        return Outputs(predicted, confidence, log_prob, labels)

    def _true(self, data: "Data") -> np.ndarray:
        labels: np.ndarray = self._known(data)["label"].to_numpy()
        return labels

    def _known(self, data: "Data") -> "pd.DataFrame":
        if data.key not in self._labels:
            self._labels[data.key] = self.store.labels(data)
        return self._labels[data.key]

"""Whether networks have been trained at all: the flag `not trained`.

Trials of one model on one subset are not trained where

- their training loss has not left chance: averaged over the last tenth of training and over the trials, it is
  above 95 % of ln C, which guessing among C outputs gives whatever the labels (smoothed or mixed ones too);
  of a student that learns a teacher's probabilities above 95 % of the most that guessing can give it;
- or their mean test accuracy is below that of a baseline on the same training images, averaged over the same
  trials: chance, the majority class, the nearest neighbour in image statistics or that in raw pixels
  (`bench.training.baselines`);
  of a pretrained model also nearest neighbours by its own frozen features, where a recipe with [knn] has
  measured them.

Such trials say nothing about an architecture. They may still be set against other trainings of the same
model, as what is compared then is the training.

One trial alone has failed where it diverged, where its loss has not left chance, or where it is below a
baseline by more than the choice of test images explains: one-sided at 5 %, as if trial and baseline had been
tested on images of their own, which asks for more than the same images would.
"""

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from bench.analysis.cells import CLEAN
from bench.frames import frame
from bench.metrics.accuracy import at_chance
from bench.spec.recipe import Distill

if TYPE_CHECKING:
    from bench.store.records.baseline import BaselineRecord
    from bench.store.records.trials import Result
    from bench.store.run_store import RunStore

LEFT_CHANCE = 0.95
LAST_SHARE = 0.1
ROUNDING = 1e-9
ALPHA = 0.05
DIVERGED = "diverged"
AT_CHANCE = "training loss at chance"
BEATEN = {
    "chance_top1": "beaten by chance",
    "majority_top1": "beaten by the majority class",
    "statistics_top1": "beaten by image statistics",
    "nearest_top1": "beaten by 1-nearest-neighbour",
    "own_features_top1": "beaten by the nearest neighbours of its own frozen features",
}
"""Why trials are not trained, the weakest opponent first."""

BASELINES = {
    "dataset": "str",
    "split_id": "str",
    "shots": "Int64",
    "draw_seed": "Int64",
    "train_images": "Int64",
    "test_images": "Int64",
    "classes": "Int64",
    "chance_top1": "float64",
    "majority_top1": "float64",
    "nearest_top1": "float64",
    "statistics_top1": "float64",
    "pixels": "Int64",
    "data_copy": "str",
    "machine": "str",
    "commit": "str",
    "finished": "str",
    "baseline": "str",
}
"""Columns of the baselines table: one row a dataset, split, size and draw; fractions in 0..1; `pixels` is the
side in px at which raw pixels were compared."""


class Training:
    """Says of trials whether they were trained, from a store's baselines and learning curves."""

    def __init__(self, store: "RunStore") -> None:
        self._store = store
        self._baselines = {
            (record.data.key, record.shots, record.draw_seed): record for record in store.baselines()
        }
        self._losses: dict[str, float | None] = {}
        self._clean_ones: dict[str, Result | None] = {}

    def baseline(self, record: "Result") -> "BaselineRecord | None":
        """The baselines on the images of a trial; None where they were not measured."""
        return self._baselines.get((record.data.key, record.identity.shots, record.identity.draw_seed))

    def reason(self, records: "Sequence[Result]") -> str | None:
        """Why trials of one model on one subset are not trained; None where they are.

        A contrast has a verdict where both sides were trained, or are of the `same_model`.

        Args:
            records: of finished and diverged trials; the latter count at chance. It is the clean test images
                that count, under whatever condition.
        """
        records = [clean for record in records if (clean := self._clean(record))]
        if self._at_chance(records):
            return AT_CHANCE
        for name, reason in BEATEN.items():
            pairs = [
                (record.top1, value) for record in records if (value := self._value(record, name)) is not None
            ]
            if pairs and np.mean([own - value for own, value in pairs]) < -ROUNDING:
                return reason
        return None

    def failure(self, record: "Result") -> str | None:
        """Why one trial has failed; None where it has not. It is the clean test images that count."""
        clean = self._clean(record)
        if clean is None:
            return None
        if clean.outcome == "diverged":
            return DIVERGED
        if self._at_chance([clean]):
            return AT_CHANCE
        for name, reason in BEATEN.items():
            value = self._value(clean, name)
            if value is not None and p_beaten(clean.top1, value, clean.data.test_images) <= ALPHA:
                return reason
        return None

    def _at_chance(self, records: "Sequence[Result]") -> bool:
        """Whether the loss of some trials has not left that of guessing."""
        losses = [loss for record in records if (loss := self._loss(record)) is not None]
        return bool(losses) and bool(np.mean(losses) > LEFT_CHANCE)

    def _clean(self, record: "Result") -> "Result | None":
        """The same trial on the clean test images."""
        if record.condition == CLEAN:
            return record
        if record.id not in self._clean_ones:
            self._clean_ones[record.id] = self._store.result(record.id)
        return self._clean_ones[record.id]

    def _value(self, record: "Result", name: str) -> float | None:
        if name == "chance_top1":
            return at_chance(record.data.classes)["top1"]
        if name == "own_features_top1":
            return None if _is_knn(record) else self._neighbours.get(_subset(record))
        baseline = self.baseline(record)
        value: float | None = getattr(baseline, name, None)
        return value

    @cached_property
    def _neighbours(self) -> dict[tuple[Any, ...], float]:
        """Test accuracy of nearest neighbours by a model's features, by subset; of several the lowest."""
        lowest: dict[tuple[Any, ...], float] = {}
        for record in self._store.each_result():
            if _is_knn(record):
                subset = _subset(record)
                lowest[subset] = min(record.top1, lowest.get(subset, 1.0))
        return lowest

    def _loss(self, record: "Result") -> float | None:
        """The loss at the end of training as a share of that of guessing; a probe has none."""
        run = record.id
        if run not in self._losses:
            outputs = record.identity.recipe.get("head_outputs") or record.data.classes
            networks = record.details.get("folds", [run]) if record.outcome == "finished" else []
            losses = [last_loss(one) for name in networks if (one := self._store.history(name)) is not None]
            distill = record.identity.recipe.get("distill")
            guessing = Distill(**distill).loss_of_guessing(outputs) if distill else math.log(outputs)
            self._losses[run] = float(np.mean(losses)) / guessing if losses else None
        return self._losses[run]


def p_beaten(top1: float, other: float, images: int) -> float:
    """The one-sided p-value of an accuracy being no lower than another, each on so many images of its own: by
    the normal distribution with a right and a wrong image added to each (Agresti and Caffo, 2000)."""
    own, theirs = ((share * images + 1) / (images + 2) for share in (top1, other))
    error = math.sqrt((own * (1 - own) + theirs * (1 - theirs)) / (images + 2))
    return float(ndtr((own - theirs) / error))


def _is_knn(record: "Result") -> bool:
    return record.identity.recipe.get("knn") is not None


def _subset(record: "Result") -> tuple[Any, ...]:
    """What the trials of a model that start from the same weights and see the same images have in common."""
    one = record.identity
    return record.model.name, one.weights, one.input_size, record.data.key, one.shots, one.draw_seed


def last_loss(history: pd.DataFrame) -> float:
    """The mean training loss over the last tenth of the steps.

    Args:
        history: one row a logged step (step, loss), each with the mean loss since the row before.
    """
    steps = history["step"].to_numpy()
    since = np.diff(steps, prepend=0)
    last = steps > steps[-1] * (1 - LAST_SHARE)
    return float(np.average(history["loss"].to_numpy()[last], weights=since[last]))


def baselines_table(store: "RunStore", names: dict[tuple[str, str], str]) -> pd.DataFrame:
    """One row a dataset, split, size and draw that was measured; `names` are those of `dataset_names`."""
    rows = [
        {
            **{name: getattr(record, name, getattr(record.data, name, None)) for name in BASELINES},
            "dataset": names.get((record.data.dataset, record.data.fingerprint), record.data.dataset),
            "data_copy": record.data.data_copy,
            "baseline": record.id,
        }
        for record in store.baselines()
    ]
    order = ["dataset", "split_id", "train_images", "draw_seed", "baseline"]
    return frame(rows, BASELINES).sort_values(order, kind="stable", ignore_index=True)


def same_model(records: "Iterable[Result]") -> bool:
    """Whether all trials are of one model with the same weights to begin with."""
    return len({(r.model.name, r.identity.weights) for r in records}) <= 1

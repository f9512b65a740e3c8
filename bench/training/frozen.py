"""What reads frozen features: a linear probe or nearest neighbours, and beside it the class means."""

import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import TrialError
from bench.machine import commit, device_name, versions
from bench.training import probe
from bench.training.evaluate import forward_all
from bench.training.features import features_path, frozen_features, penultimate
from bench.training.inputs import Inputs
from bench.training.knn import NearestNeighbours
from bench.training.model import Training
from bench.training.observer import Part


class Features:
    """Frozen features of a trial's images, from the cache or computed now.

    Attributes:
        facts: by split, on what and by which versions the features were computed, and in how many seconds.
    """

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.facts: dict[str, dict[str, Any]] = {}
        self._features: dict[str, np.ndarray] = {}

    def of(self, split: str) -> np.ndarray:
        """Of the images in use, float32, shape (n, width).

        Raises:
            Stopped: the observer asked for it; what was computed is kept.
        """
        if split not in self._features:
            self._features[split], self.facts[split] = self._read(split)
        features = self._features[split]
        return features[self.inputs.positions] if split == "train" else features

    @cached_property
    def _network(self) -> nn.Module:
        return self.inputs.network()

    def _read(self, split: str) -> tuple[np.ndarray, dict[str, Any]]:
        """Of all images of the split, and their facts."""
        inputs = self.inputs
        inputs.require(split)
        count = len(inputs.dataset.splits[split])

        def compute(start: int, stop: int) -> np.ndarray:
            return forward_all(
                self._network,
                inputs.images_at(split, np.arange(start, stop)),
                inputs.pipeline,
                precision=inputs.trial.precision,
                phase=f"features of {split}",
                observer=Part(inputs.observer, start, count),
                forward=penultimate(self._network),
            )

        facts = {"device": device_name(inputs.device), "versions": versions(), "commit": commit()}
        path = features_path(inputs.job.identity, inputs.dataset, split, inputs.condition)
        return frozen_features(path, count, compute, facts, inputs.observer)


class FrozenModel:
    """What reads the features, and the mean feature of each class.

    Args:
        means: float32, shape (classes, width); None of weights that were stored without them.
    """

    def __init__(
        self, reader: probe.LinearProbe | NearestNeighbours, means: np.ndarray | None, features: Features
    ) -> None:
        self.reader, self.means, self.features = reader, means, features

    def logits(self, split: str) -> np.ndarray:
        """See `bench.training.model.Model`."""
        return self.reader.logits(self.features.of(split))

    def by_head(self, split: str) -> dict[str, np.ndarray]:
        """See `bench.training.model.Model`."""
        others = {} if self.means is None else {"class_mean": nearness(self.features.of(split), self.means)}
        return {"all": self.logits(split), **others}

    def tensors(self) -> Mapping[str, Tensor]:
        """See `bench.training.model.Model`."""
        means = {} if self.means is None else {"class_means": torch.from_numpy(self.means)}
        return {**self.reader.tensors(), **means}

    def details(self) -> dict[str, Any]:
        """See `bench.training.model.Model`."""
        return {"features": self.features.facts}


def fit_frozen(inputs: Inputs) -> tuple[FrozenModel, Training]:
    """Fit a probe or take nearest neighbours, as the recipe says, on the features of the subset.

    Raises:
        Stopped: the observer asked for it.
        TrialError: features are not finite.
    """
    recipe, features = inputs.trial.recipe, Features(inputs)
    subset, labels = np.ascontiguousarray(features.of("train")), inputs.labels("train")
    if not np.isfinite(subset).all():
        precision = inputs.trial.precision
        raise TrialError(f"{inputs.card.name}: some features are not finite in {precision}; use fp32")
    reader: probe.LinearProbe | NearestNeighbours
    if recipe.knn is not None:
        reader = NearestNeighbours.of(
            subset,
            labels,
            inputs.outputs,
            recipe.knn,
            device=inputs.device,
            should_stop=inputs.observer.should_stop,
        )
        details = {"k": reader.k}
    else:
        reader, details = _fit_probe(inputs, subset, labels)
    means = class_means(subset, labels, inputs.outputs)
    details |= {"feature_width": subset.shape[1]}
    return FrozenModel(reader, means, features), Training(images_seen=len(subset), details=details)


def _fit_probe(
    inputs: Inputs, features: np.ndarray, labels: np.ndarray
) -> tuple[probe.LinearProbe, dict[str, Any]]:
    """The probe, and how it was fitted."""
    recipe, began, units = inputs.trial.recipe.probe, time.perf_counter(), inputs.dataset.train_units
    assert recipe is not None
    linear = probe.fit(
        features,
        labels,
        inputs.outputs,
        recipe,
        seed=inputs.job.identity["draw_seed"] or 0,
        groups=None if units is None else units[inputs.positions],
        device=inputs.device,
        should_stop=inputs.observer.should_stop,
    )
    return linear, {
        "l2": linear.l2,
        "cross_validation": linear.cross_validation,
        "relative_gradient": linear.gradient,
        "probe_s": round(time.perf_counter() - began, 3),
    }


def class_means(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The mean of each class's features of unit length, float32, shape (classes, width); zeros of none."""
    member = np.eye(classes, dtype=np.float32)[labels]
    means: np.ndarray = member.T @ probe.unit_length(features)
    return means / np.maximum(member.sum(0), 1)[:, None]


def nearness(features: np.ndarray, means: np.ndarray) -> np.ndarray:
    """How near features of unit length are to the class means, as logits, float32, shape (n, classes).

    The larger, the smaller the Euclidean distance; of a class without images lower than any other.
    """
    lengths = np.square(means).sum(1)
    nearer: np.ndarray = probe.unit_length(features) @ means.T - lengths / 2
    nearer[:, lengths == 0] = -2  # others are -1.5 at least
    return nearer

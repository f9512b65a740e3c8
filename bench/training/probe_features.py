"""Fitting the probe of a trial on frozen features."""

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
        path = features_path(inputs.job.identity, split, inputs.condition)
        return frozen_features(path, count, compute, facts, inputs.observer)


class ProbeModel:
    """A linear probe and the features it reads."""

    def __init__(self, linear: probe.LinearProbe, features: Features) -> None:
        self.linear, self.features = linear, features

    def logits(self, split: str) -> np.ndarray:
        """See `bench.training.model.Model`."""
        return self.linear.logits(self.features.of(split))

    def by_head(self, split: str) -> dict[str, np.ndarray]:
        """See `bench.training.model.Model`."""
        return {"all": self.logits(split)}

    def tensors(self) -> Mapping[str, Tensor]:
        """See `bench.training.model.Model`."""
        return {
            "weight": torch.from_numpy(self.linear.weight),
            "bias": torch.from_numpy(self.linear.bias),
        }

    def details(self) -> dict[str, Any]:
        """See `bench.training.model.Model`."""
        return {"features": self.features.facts}


def fit_probe(inputs: Inputs) -> tuple[ProbeModel, Training]:
    """Fit a probe on the features of the subset.

    Raises:
        Stopped: the observer asked for it.
        TrialError: features are not finite.
    """
    trial, recipe, features = inputs.trial, inputs.trial.recipe.probe, Features(inputs)
    assert recipe is not None
    subset = np.ascontiguousarray(features.of("train"))
    if not np.isfinite(subset).all():
        raise TrialError(f"{inputs.card.name}: some features are not finite in {trial.precision}; use fp32")
    began = time.perf_counter()
    linear = probe.fit(
        subset,
        inputs.labels("train"),
        inputs.outputs,
        recipe,
        seed=inputs.job.identity["draw_seed"] or 0,
        device=inputs.device,
        should_stop=inputs.observer.should_stop,
    )
    details = {
        "l2": linear.l2,
        "cross_validation": linear.cross_validation,
        "relative_gradient": linear.gradient,
        "feature_width": subset.shape[1],
        "probe_s": round(time.perf_counter() - began, 3),
    }
    return ProbeModel(linear, features), Training(images_seen=len(subset), details=details)

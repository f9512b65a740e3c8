"""How long trials will take: from finished ones of their kind on this machine, else a short calibration."""

import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.machine import choose_device, device_name, machine_name
from bench.plan import Resolved
from bench.store import RunStore

# A training step costs about three forward passes: one forward, two backward.
BACKWARD = 3
CALIBRATION_BATCH = 8
CALIBRATION_STEPS = 2
# Finished trials of a kind whose median is taken; ids are hashes, so the first are as good as any.
ENOUGH = 50


class Estimator:
    """Expects for each trial the time of its images at the rate of its kind.

    A kind is a model at an input size and precision on this machine and device. Its rate is in seconds per
    image passed forward; the median over finished trials that trained it, where there are any. The features
    of a probe are counted with the first trial that needs them.
    """

    def __init__(self, store: RunStore, device: str) -> None:
        self.store, self._requested = store, device
        self._device: str | None = None
        self._rates: dict[tuple, float] = {}
        self._seen: defaultdict[tuple, list[float]] = defaultdict(list)
        self._unseen = store.each_trial()
        self._measured = self._calibrated = False
        self._features: set[Path] = set()

    @property
    def device(self) -> str:
        """Where the trials would run; finding out may import PyTorch."""
        if self._device is None:
            self._device = choose_device(self._requested)
        return self._device

    def seconds(self, resolved: Resolved) -> float:
        """Expected seconds of a trial from its beginning."""
        kind = _kind(resolved.identity)
        if kind not in self._rates:
            finished = self._finished(kind)
            self._measured |= bool(finished)
            self._calibrated |= not finished
            self._rates[kind] = statistics.median(finished) if finished else self._calibrate(resolved)
        return self._rates[kind] * self._forward_images(resolved)

    def _forward_images(self, resolved: Resolved) -> int:
        """Images that a trial will pass forward, a training step counted as three passes."""
        recipe, images = resolved.trial.recipe, resolved.train_images
        if recipe.budget is not None:
            steps, _ = recipe.budget.steps(images)
            return BACKWARD * steps * min(recipe.budget.batch_size, images) + resolved.split_images
        from bench.training.features import features_path

        path = features_path(resolved.identity, "train")
        if path.exists() or path in self._features:
            return 0
        self._features.add(path)
        return resolved.split_images

    def source(self) -> str:
        """Where the expectations so far come from."""
        measured, calibrated = "finished trials of the same kind on this machine", "a short calibration"
        if self._measured and self._calibrated:
            return f"{measured}, where there are none from {calibrated}"
        return calibrated if self._calibrated else measured

    def _finished(self, kind: tuple) -> list[float]:
        """Rates of trials of a kind that finished here; of a large store no more is read than it takes."""
        here, device = machine_name(), device_name(self.device)
        while len(self._seen[kind]) < ENOUGH and (record := next(self._unseen, None)) is not None:
            work = _images_of(record)
            if (
                record["machine"] == here
                and record["device"] == device
                and record["outcome"] == "finished"
                and work
            ):
                self._seen[_kind(record["identity"])].append(record["wall_s"] / work)
        return self._seen[kind]

    def _calibrate(self, resolved: Resolved) -> float:
        """Seconds per image passed forward, from a few steps on random images."""
        import torch

        from bench.training.step import autocast, trained_form
        from models import find_card, make_model, resolve_weights

        trial = resolved.trial
        card = find_card(trial.model)
        weights = resolve_weights(card, "none", self.store.root, download=False)
        network = make_model(card, weights, classes=resolved.classes, input_size=trial.input_size).to(
            self.device
        )
        network = trained_form(network, card.memory_format)
        images = torch.randn(CALIBRATION_BATCH, 3, trial.input_size, trial.input_size, device=self.device)
        for step in range(CALIBRATION_STEPS + 1):
            if step == 1:
                began = time.perf_counter()
            with autocast(trial.precision, self.device):
                loss = network(images).float().square().mean()
            loss.backward()
            loss.item()
        return (time.perf_counter() - began) / (CALIBRATION_STEPS * CALIBRATION_BATCH * BACKWARD)


def _kind(identity: dict[str, Any]) -> tuple:
    return identity["model"]["name"], identity["input_size"], identity["precision"]


def _images_of(record: dict[str, Any]) -> int:
    """Images that a finished trial passed forward in training it, a training step counted as three passes."""
    if record["identity"]["recipe"]["probe"] is not None:
        return 0
    data = record["data"]
    looks = data["val_images"] * record["identity"]["recipe"]["val_times"]
    evaluated = data["train_images"] + data["val_images"] + data["test_images"] + looks
    return BACKWARD * (record["images_seen"] or 0) + evaluated

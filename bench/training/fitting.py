"""From a resolved trial to a fitted model, by training a network or by probing frozen features."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.data import Dataset, draw_subset, open_dataset
from bench.data.augment import Pipeline
from bench.data.base import SPLITS
from bench.data.cache import decoded
from bench.errors import InputError
from bench.machine import commit, device_name, versions
from bench.metrics.accuracy import score
from bench.networks import Weights, find_card, make_model, resolve_weights
from bench.planning.plan import Resolved
from bench.spec.card import Card
from bench.training import probe
from bench.training.checkpoint import keep_rows, kept_rows, weights_tag
from bench.training.features import features_path, frozen_features, penultimate
from bench.training.images import Images
from bench.training.loop import Diverged, Trained, forward_all, predict, train
from bench.training.memory import is_out_of_memory, largest_fitting_batch
from bench.training.observer import Observer, Part, Stopped
from bench.training.optimizer import make_optimizer
from bench.training.step import trained_form


class TrialError(Exception):
    """Machine trouble: the trial has no outcome, and the next run tries it again.

    Args:
        message: one line.
        details: the traceback, where there is one.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message, details)
        self.details = details

    def __str__(self) -> str:
        return self.args[0]


@dataclass(frozen=True)
class Place:
    """Where a trial finds its inputs and leaves its results."""

    data_dir: Path
    weights_dir: Path
    results: Path
    device: str


@dataclass
class Setup:
    """A trial's inputs, opened."""

    resolved: Resolved
    place: Place
    folder: Path
    observer: Observer
    card: Card
    weights: Weights
    dataset: Dataset
    positions: np.ndarray
    pipeline: Pipeline

    @classmethod
    def open(cls, resolved: Resolved, place: Place, folder: Path, observer: Observer) -> "Setup":
        """Open the dataset, draw the subset, find the weights.

        Raises:
            DataError, WeightsError: they are not what the trial was resolved with.
        """
        trial, identity = resolved.trial, resolved.identity
        card = find_card(trial.model)
        dataset = open_dataset(trial.dataset, trial.split_id, place.data_dir, store=place.results)
        return cls(
            resolved=resolved,
            place=place,
            folder=folder,
            observer=observer,
            card=card,
            weights=resolve_weights(card, trial.weights, place.weights_dir, download=True),
            dataset=dataset,
            positions=draw_subset(
                dataset.id_name,
                dataset.split_id,
                dataset.split_labels("train"),
                identity["shots"],
                identity["draw_seed"] or 0,
            ),
            pipeline=Pipeline(
                trial.recipe.augment, input_size=trial.input_size, mean=card.mean, std=card.std
            ),
        )

    @property
    def outputs(self) -> int:
        """Width of the last layer."""
        return self.resolved.trial.recipe.head_outputs or len(self.dataset.class_names)

    def positions_of(self, split: str) -> np.ndarray:
        """Positions of the images in use: the subset for "train", all of them otherwise."""
        return self.positions if split == "train" else np.arange(len(self.dataset.splits[split]))

    def labels(self, split: str) -> np.ndarray:
        """Classes of the images in use."""
        return self.dataset.split_labels(split)[self.positions_of(split)]

    def decode(self, split: str) -> np.ndarray:
        """Images of a whole split as they are stored, decoded if they are not yet: see `decoded`.

        Raises:
            Stopped: the observer asked for it; what has been decoded is kept.
        """
        trial = self.resolved.trial
        augment = trial.recipe.augment
        return decoded(
            self.dataset,
            split,
            size=augment.stored_size(trial.input_size),
            resize=augment.resize,
            interpolation=augment.interpolation,
            progress=self._decoding(split),
        )

    def images(self, split: str, positions: np.ndarray | None = None) -> Images:
        """Decoded images of a split: those in use, or those at `positions`."""
        array = self.decode(split)
        return Images(array, self.positions_of(split) if positions is None else positions, self.place.device)

    def _decoding(self, split: str) -> Callable[[int, int], None]:
        def progress(done: int, total: int) -> None:
            self.observer.progress(f"decoding {split}", done, total)
            if self.observer.should_stop():
                raise Stopped

        return progress

    def network(self) -> nn.Module:
        """The trial's network on its device, CNNs in channels_last layout.

        The head is new, unless the recipe asks for a width of its own and there are weights to keep it from.

        Raises:
            InputError: the recipe asks for another width than the weights' head has.
        """
        trial = self.resolved.trial
        keep_head = trial.recipe.head_outputs is not None and self.weights.path is not None
        network = make_model(
            self.card,
            self.weights,
            classes=None if keep_head else self.outputs,
            input_size=trial.input_size,
            drop_path=trial.recipe.drop_path,
            seed=self.resolved.identity["seed"] or 0,
        ).to(self.place.device)
        if network.num_classes != self.outputs:
            raise InputError(
                f'recipe "{trial.recipe.name}": head_outputs = {self.outputs}, '
                f"but the head of {self.card.name}'s weights has {network.num_classes}"
            )
        return trained_form(network, self.card.memory_format)


@dataclass
class Fitted:
    """A fitted model.

    Args:
        logits: gives the logits of the images of a split that are in use, shape (n, outputs).
        weights: gives the tensors to keep.
    """

    logits: Callable[[str], np.ndarray]
    weights: Callable[[], dict[str, torch.Tensor]]
    images_seen: int
    steps: int | None = None
    epochs: int | None = None
    images_per_s: float | None = None
    earlier_seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


def fit(setup: Setup) -> Fitted:
    """Train or probe, as the recipe says.

    Raises:
        Diverged, Stopped: see `bench.training.loop.train`.
        TrialError: out of memory.
    """
    # All of it now: a damaged image, of test too, is told before anything is trained.
    for split in SPLITS:
        setup.decode(split)
    return _probe(setup) if setup.resolved.trial.recipe.probe is not None else _train(setup)


def _train(setup: Setup) -> Fitted:
    trial, place, observer = setup.resolved.trial, setup.place, setup.observer
    images = setup.images("train")
    val_labels = setup.labels("val")
    images_of = cache(setup.images)  # a GPU is given each split once
    images_of("val")  # decoded now, while it may still be stopped
    network = setup.network()
    trained: Trained | None = None
    val_logits: np.ndarray | None = None

    def predicted(split: str) -> np.ndarray:
        """Logits of a split; what was done of it before a stop is not done again."""
        kept = setup.folder / f"rows-{split}.safetensors"
        rows = kept_rows(kept, weights_tag(network)) if kept.exists() else []
        try:
            return predict(
                network,
                images_of(split),
                setup.pipeline,
                precision=trial.precision,
                phase=f"evaluating {split}",
                observer=observer,
                rows=rows,
            )
        except Stopped:
            if rows:
                keep_rows(kept, rows, weights_tag(network))
            raise

    def validate() -> dict[str, float]:
        nonlocal val_logits
        val_logits = predicted("val")
        if not np.isfinite(val_logits).all():
            raise Diverged("outputs on val are not all finite")
        return score(val_logits, val_labels)

    def logits(split: str) -> np.ndarray:
        # The last look at val is at the end of training: there is no need to look again at the same weights.
        if split == "val" and val_logits is not None and trained.kept_step == trained.steps:
            return val_logits
        try:
            return predicted(split)
        except Stopped:
            trained.keep()
            raise

    try:
        trained = train(
            network,
            images,
            setup.labels("train"),
            trial.recipe,
            setup.pipeline,
            outputs=setup.outputs,
            seed=setup.resolved.identity["seed"],
            precision=trial.precision,
            saved=setup.folder / "checkpoint.safetensors",
            validate=validate if len(val_labels) else None,
            observer=observer,
        )
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    if trained is None:  # out of the block: the exception would keep the failed step's memory
        batch = min(trial.recipe.budget.batch_size, len(images))
        fitting = largest_fitting_batch(
            network,
            make_optimizer(network, trial.recipe.optimizer),
            batch,
            trial.input_size,
            place.device,
            precision=trial.precision,
        )
        advice = (
            f"{fitting} would fit: --set recipe.budget.batch_size={fitting}" if fitting else "not even 1 fits"
        )
        raise TrialError(f"out of memory at batch size {batch}; {advice}")
    return Fitted(
        logits=logits,
        weights=network.state_dict,
        images_seen=trained.images_seen,
        steps=trained.steps,
        epochs=trained.epochs,
        images_per_s=_steady_rate(trained),
        earlier_seconds=trained.earlier_seconds,
        history=trained.history,
        details={
            "kept_step": trained.kept_step,
            "train_s": round(trained.seconds, 3),
            "memory_format": setup.card.memory_format,
            "cudnn_benchmark": None if place.device == "cpu" else torch.backends.cudnn.benchmark,
        },
    )


def _steady_rate(trained: Trained) -> float:
    """Images trained in a second, without the first row of the history, which holds the warming up."""
    each = trained.images_seen / trained.steps
    steps = np.diff([0, *(row["step"] for row in trained.history)])
    seconds = steps * each / np.array([row["images_per_s"] for row in trained.history])
    later = slice(1, None) if len(steps) > 1 else slice(None)
    return float(steps[later].sum() * each / seconds[later].sum())


def _probe(setup: Setup) -> Fitted:
    trial, identity = setup.resolved.trial, setup.resolved.identity
    made: dict[str, dict[str, Any]] = {}
    network = cache(setup.network)

    @cache
    def features(split: str) -> np.ndarray:
        count = len(setup.dataset.splits[split])

        def compute(start: int, stop: int) -> np.ndarray:
            return forward_all(
                network(),
                penultimate(network()),
                setup.images(split, np.arange(start, stop)),
                setup.pipeline,
                precision=trial.precision,
                phase=f"features of {split}",
                observer=Part(setup.observer, start, count),
            )

        facts = {"device": device_name(setup.place.device), "versions": versions(), "commit": commit()}
        found, made[split] = frozen_features(
            features_path(identity, split), count, compute, facts, setup.observer
        )
        return found

    subset = np.ascontiguousarray(features("train")[setup.positions])
    if not np.isfinite(subset).all():
        raise TrialError(f"{setup.card.name}: some features are not finite in {trial.precision}; use fp32")
    began = time.perf_counter()
    fitted = probe.fit(
        subset,
        setup.labels("train"),
        setup.outputs,
        trial.recipe.probe,
        seed=identity["draw_seed"] or 0,
        device=setup.place.device,
        should_stop=setup.observer.should_stop,
    )
    probe_s = time.perf_counter() - began
    return Fitted(
        logits=lambda split: fitted.logits(features(split)[setup.positions_of(split)]),
        weights=lambda: {
            "weight": torch.from_numpy(fitted.weight),
            "bias": torch.from_numpy(fitted.bias),
        },
        images_seen=len(subset),
        details={
            "l2": fitted.l2,
            "cross_validation": fitted.cross_validation,
            "relative_gradient": fitted.gradient,
            "feature_width": subset.shape[1],
            "features": made,
            "probe_s": round(probe_s, 3),
        },
    )


@cache
def parameters(model: str, outputs: int, input_size: int) -> int:
    """Number of parameters of a model with `outputs` classes."""
    card = find_card(model)
    weights = resolve_weights(card, "none", Path(), download=False)
    with torch.device("meta"):
        network = make_model(card, weights, classes=outputs, input_size=input_size)
    return sum(parameter.numel() for parameter in network.parameters())

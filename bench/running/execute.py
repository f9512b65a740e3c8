"""Doing one job: from its inputs to the content of its record, and what lies beside that.

Nothing here knows a run store, and nothing but an evaluation opens the test split.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import softmax

from bench.metrics.accuracy import compact, deduplicated_top1, score
from bench.networks.parameters import count_parameters
from bench.spec.job import EvaluateJob, TrainJob
from bench.training.fit import fit
from bench.training.inputs import Inputs
from bench.training.loop import Diverged
from bench.training.model import Model, Training, write_history


@dataclass(frozen=True)
class Scored:
    """What an evaluation leaves beside its record.

    Attributes:
        predictions: columns of `bench.metrics.accuracy.compact`.
        probabilities: float16, shape (n, classes).
        labels: true classes of the test images, int64 (n,).
        duplicates: positions of those that are in training as well; None where nobody has looked.
        groups: which of them belong together, int64 (n,); None where each stands for itself.
    """

    predictions: Mapping[str, np.ndarray]
    probabilities: np.ndarray
    labels: np.ndarray
    duplicates: np.ndarray | None
    class_names: tuple[str, ...]
    groups: np.ndarray | None


@dataclass(frozen=True)
class Product:
    """What a job came to: its record without the circumstances.

    Attributes:
        earlier_seconds: spent on it by processes that were killed, as a checkpoint knows.
        scored: of an evaluation that finished.
    """

    content: dict[str, Any] = field(default_factory=dict)
    earlier_seconds: float = 0.0
    scored: Scored | None = None


def train(job: TrainJob, inputs: Inputs) -> Product:
    """Train a network or fit a probe, or go on with it; the weights and the learning curve are stored.

    Raises:
        Stopped: the observer asked for it; the next call continues.
        TrialError, DataError: see `bench.training.fit.fit`.
    """
    metrics: dict[str, float] = {}
    outcome, reason = "finished", None
    training: Training | None = None
    details: dict[str, Any] = {}
    try:
        model, training = fit(inputs)
        details = training.details | model.details()
        metrics = _while_choosing(inputs, model, training.metrics)
    except Diverged as error:
        outcome, reason = "diverged", str(error)
        if training is None and error.history:
            write_history(error.history, inputs.files.history)
    content = {
        "outcome": outcome,
        "reason": reason,
        "identity": job.identity,
        "model": _model(job, inputs),
        "recipe": job.trial.recipe.name,
        "protocol": job.trial.recipe.protocol,
        "selection": _selection(job.trial.recipe.keep, job.identity["shots"]),
        "data": _data(inputs)
        | {
            "train_images": len(inputs.positions),
            "val_images": len(inputs.positions_of("val")),
            "overlap": inputs.dataset.overlap,
        },
        "stored_side": inputs.stored_side,
        "metrics": metrics,
        "images_seen": training.images_seen if training else None,
        "steps": training.steps if training else None,
        "epochs": training.epochs if training else None,
        "train_images_per_s": training.images_per_s if training else None,
        "weights_sha256": training.weights_sha256 if training else None,
        "details": details,
    }
    return Product(content, training.earlier_seconds if training else 0.0)


def evaluate(job: EvaluateJob, inputs: Inputs, model: Model, look: Callable[[], None]) -> Product:
    """Score the model of a trial on the test split.

    Args:
        inputs: that open the test split.
        look: called once, when outputs are about to meet labels.

    Raises:
        Stopped: the observer asked for it.
    """
    content: dict[str, Any] = {
        "trial": job.training.id,
        "condition": job.condition,
        "outcome": "finished",
        "reason": None,
        "data": _data(inputs),
    }
    try:
        by_head = model.by_head("test")
        logits = _finite(by_head.pop("all"), "test")
    except Diverged as error:
        return Product(content | {"outcome": "diverged", "reason": str(error), "metrics": {}})
    look()
    labels, dataset = inputs.labels("test"), inputs.dataset
    content["metrics"] = score(logits, labels) | {
        "top1_deduplicated": deduplicated_top1(logits, labels, dataset.duplicates),
        **{f"{head}_top1": score(own, labels)["top1"] for head, own in by_head.items()},
    }
    content["details"] = model.details()
    scored = Scored(
        predictions=compact(logits, labels),
        probabilities=softmax(logits, axis=1).astype(np.float16),
        labels=labels,
        duplicates=dataset.duplicates,
        class_names=tuple(dataset.class_names),
        groups=inputs.groups("test"),
    )
    return Product(content, scored=scored)


def _while_choosing(inputs: Inputs, model: Model, known: Mapping[str, float]) -> dict[str, float]:
    """Accuracy and NLL on what may be looked at while choosing: val, and the training subset.

    Args:
        known: of them, what training has found out for the same weights.
    """
    metrics = dict(known)
    for split in ("val", "train"):
        labels = inputs.labels(split)
        if len(labels) and f"{split}_top1" not in metrics:
            measured = score(_finite(model.logits(split), split), labels)
            metrics |= {f"{split}_top1": measured["top1"], f"{split}_nll": measured["nll"]}
    return metrics


def _model(job: TrainJob, inputs: Inputs) -> dict[str, Any]:
    trial, card = job.trial, inputs.card
    return {
        "name": card.name,
        "title": card.title,
        "family": card.family,
        "kind": card.kind,
        "carded": card.carded,
        "pretraining": card.pretraining if inputs.weights.fingerprint != "none" else "none",
        "upstream_top1": card.upstream_top1,
        "params": count_parameters(trial.model, inputs.outputs, trial.input_size),
        "weights": trial.weights,
        "weights_source": inputs.weights.source,
    }


def _data(inputs: Inputs) -> dict[str, Any]:
    dataset = inputs.dataset
    return {
        "dataset": dataset.name,
        "split_id": dataset.split_id,
        "fingerprint": dataset.fingerprint,
        "copy": dataset.copy,
        "classes": len(dataset.class_names),
        "test_images": len(dataset.splits["test"]),
    }


def _selection(keep: str, shots: int | None) -> str:
    """How the weights that count were chosen; on few shots val holds more labels than the subset."""
    if keep == "last":
        return "last"
    return "best-val" if shots is None else "val-oracle"


def _finite(logits: np.ndarray, split: str) -> np.ndarray:
    """The same logits; raises Diverged where they are not all finite."""
    if not np.isfinite(logits).all():
        raise Diverged(f"outputs on {split} are not all finite")
    return logits

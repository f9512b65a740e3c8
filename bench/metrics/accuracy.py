"""Accuracy and likelihood of a classifier's outputs, and what is kept of them for every image."""

import math
from collections.abc import Mapping

import numpy as np

from bench.metrics import added_metrics
from bench.metrics.calibration import expected_calibration_error

# Log-probabilities below the smallest float16 are stored as it.
_LOWEST = float(np.finfo(np.float16).min)


def score(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Metrics of one set of images, all but `nll` as fractions.

    A tie between classes goes to the one of the lowest index.

    Args:
        logits: shape (n, classes), finite.
        labels: whole numbers in 0..classes-1, shape (n,), n > 0.

    Returns:
        top1 and top5 (of at most 5 classes: 1); mean_per_class, the mean over the classes present of
        their top1; nll, the mean negative log-likelihood in nats; ece, the expected calibration error of
        the predicted class; and those of `bench.metrics.added_metrics`.

    Raises:
        ValueError: shapes do not fit, or values are out of range; a metric was added by a name that is taken.
    """
    columns = dict(zip(("predicted", "confidence", "rank", "log_prob"), _judged(logits, labels), strict=True))
    metrics = score_columns(columns, labels)
    for name, metric in added_metrics().items():
        if name in metrics:
            raise ValueError(f"bench/metrics/{name}.py: there is a metric of this name; choose another")
        metrics[name] = float(metric(logits, labels))
    return metrics


def score_columns(columns: Mapping[str, np.ndarray], labels: np.ndarray) -> dict[str, float]:
    """The metrics of `score`, but those that were added, from what is kept of every image.

    Args:
        columns: as of `compact`; where they were stored, confidence and log_prob have 16 bits.
        labels: true classes, shape (n,).
    """
    correct = columns["predicted"] == labels
    _, classes = np.unique(labels, return_inverse=True)
    return {
        "top1": float(correct.mean()),
        "top5": float((columns["rank"] < 5).mean()),
        "mean_per_class": float((np.bincount(classes, correct) / np.bincount(classes)).mean()),
        "nll": float(-columns["log_prob"].mean() + 0.0),
        "ece": expected_calibration_error(columns["confidence"], correct),
    }


def deduplicated_top1(logits: np.ndarray, labels: np.ndarray, duplicates: np.ndarray | None) -> float | None:
    """top1 without the images at the positions `duplicates`; None where nothing is known or left."""
    if duplicates is None or len(duplicates) == len(labels):
        return None
    kept = np.setdiff1d(np.arange(len(labels)), duplicates)
    return float((logits[kept].argmax(1) == labels[kept]).mean())


def compact(logits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """What later analysis needs of every image, as small types.

    Returns:
        Columns of one value an image: predicted (uint16); confidence, its probability (float16); rank of
        the true class, 0 for the first (uint16); log_prob of the true class in nats (float16).

    Raises:
        ValueError: as `score`, or more than 65,536 classes.
    """
    predicted, confidence, rank, log_prob = _judged(logits, labels)
    if logits.shape[1] > 2**16:
        raise ValueError(f"{logits.shape[1]} classes do not fit into 16 bits")
    return {
        "predicted": predicted.astype(np.uint16),
        "confidence": confidence.astype(np.float16),
        "rank": rank.astype(np.uint16),
        "log_prob": np.maximum(log_prob, _LOWEST).astype(np.float16),
    }


def at_chance(classes: int) -> dict[str, float]:
    """The test metrics of a network that knows nothing, over `classes` classes; NLL in nats."""
    even = 1 / classes
    return {"top1": even, "top5": min(5, classes) / classes, "mean_per_class": even, "nll": math.log(classes)}


def _judged(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Predicted class, its probability, rank and log-probability of the true class; each of shape (n,)."""
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not logits.size:
        raise ValueError(f"logits of shape {logits.shape} and labels of shape {labels.shape}")
    if not np.isfinite(logits).all():
        raise ValueError("logits are not all finite")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels are {labels.dtype}, not whole numbers")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(f"labels outside 0..{logits.shape[1] - 1}")
    rows = np.arange(len(labels))
    predicted = logits.argmax(1)
    own = logits[rows, labels][:, None]
    before = np.arange(logits.shape[1]) < labels[:, None]
    rank = ((logits > own) | ((logits == own) & before)).sum(1)
    centred = logits.astype(np.float64) - logits.max(1, keepdims=True)
    log_total = np.log(np.exp(centred).sum(1))
    return predicted, np.exp(-log_total), rank, centred[rows, labels] - log_total

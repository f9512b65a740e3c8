"""Accuracy, likelihood and calibration of a classifier's outputs, and their compact form on disk."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.files import staged

if TYPE_CHECKING:
    import pandas as pd

# Equal-width bins of confidence over (0, 1] in the expected calibration error.
ECE_BINS = 15
FORMAT = 1
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
        the predicted class (Guo et al., 2017, arXiv 1706.04599) in `ECE_BINS` bins.

    Raises:
        ValueError: shapes do not fit, or values are out of range.
    """
    return _metrics(*_judged(logits, labels), labels)


def compact(logits: np.ndarray, labels: np.ndarray) -> "pd.DataFrame":
    """What later analysis needs of every image, as small types.

    Returns:
        One row an image: predicted (uint16); confidence, its probability (float16); rank of the true
        class, 0 for the first (uint16); log_prob of the true class in nats (float16).

    Raises:
        ValueError: as `score`, or more than 65,536 classes.
    """
    import pandas as pd

    predicted, confidence, rank, log_prob = _judged(logits, labels)
    if logits.shape[1] > 2**16:
        raise ValueError(f"{logits.shape[1]} classes do not fit into 16 bits")
    columns = {
        "predicted": predicted.astype(np.uint16),
        "confidence": confidence.astype(np.float16),
        "rank": rank.astype(np.uint16),
        "log_prob": np.maximum(log_prob, _LOWEST).astype(np.float16),
    }
    return pd.DataFrame(columns)


def from_compact(frame: "pd.DataFrame", labels: np.ndarray) -> dict[str, float]:
    """The metrics of `score` from the compact form: accuracies exactly, nll and ece to 16-bit precision.

    Raises:
        ValueError: there are not as many labels as rows.
    """
    labels = np.asarray(labels)
    if labels.shape != (len(frame),) or not len(frame):
        raise ValueError(f"{len(frame)} predictions and labels of shape {labels.shape}")
    predicted, rank = (frame[name].to_numpy().astype(np.int64) for name in ("predicted", "rank"))
    confidence, log_prob = (frame[name].to_numpy().astype(np.float64) for name in ("confidence", "log_prob"))
    return _metrics(predicted, confidence, rank, log_prob, labels)


def save_predictions(frame: "pd.DataFrame", path: Path) -> None:
    """Write the compact form as Parquet, in about 5 bytes an image.

    Raises:
        StoreError: it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({**table.schema.metadata, "format": str(FORMAT)})
    with staged(path) as part:
        pq.write_table(
            table,
            part,
            compression="zstd",
            compression_level=19,
            use_dictionary=["predicted", "rank"],
            # Splitting the two bytes of a float16 puts its slowly changing half beside its like.
            use_byte_stream_split=["confidence", "log_prob"],
            write_statistics=False,
        )


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Mean over images of the gap between accuracy and confidence in the image's bin of confidence.

    Args:
        confidence: in 0..1, shape (n,).
        correct: bool, shape (n,).
    """
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    return float(np.abs(np.bincount(bins, correct - confidence, ECE_BINS)).sum() / len(confidence))


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


def _metrics(
    predicted: np.ndarray, confidence: np.ndarray, rank: np.ndarray, log_prob: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    correct = predicted == labels
    _, classes = np.unique(labels, return_inverse=True)
    return {
        "top1": float(correct.mean()),
        "top5": float((rank < 5).mean()),
        "mean_per_class": float((np.bincount(classes, correct) / np.bincount(classes)).mean()),
        "nll": float(-log_prob.mean() + 0.0),
        "ece": expected_calibration_error(confidence, correct),
    }

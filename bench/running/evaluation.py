"""The look at the test split: nothing else opens its images for a model, or its labels."""

from collections.abc import Mapping

import numpy as np

from bench.files import staged
from bench.metrics.accuracy import compact, deduplicated_top1, score
from bench.store.predictions import save_predictions
from bench.store.run_store import RunStore
from bench.training.inputs import Inputs
from bench.training.loop import Diverged
from bench.training.model import Model


def evaluate(inputs: Inputs, model: Model, store: RunStore) -> dict[str, float | None]:
    """Metrics of a trained model on the test split; predictions, probabilities and labels are stored.

    A look is counted when outputs meet labels.

    Raises:
        Diverged: outputs are not all finite.
        Stopped: the observer asked for it.
        StoreError: results cannot be written.
    """
    logits = finite(model.logits("test"), "test")
    store.count_evaluation(inputs.resolved.id)
    labels, dataset = inputs.labels("test"), inputs.dataset
    metrics = score(logits, labels)
    deduplicated = deduplicated_top1(logits, labels, dataset.duplicates)
    data = (dataset.name, dataset.split_id, dataset.fingerprint)
    store.write_labels(*data, labels, dataset.duplicates, dataset.class_names)
    save_predictions(compact(logits, labels), inputs.files.predictions)
    with staged(inputs.files.probabilities) as part, part.open("wb") as file:
        np.save(file, probabilities(logits).astype(np.float16))
    return metrics | {"top1_deduplicated": deduplicated}


def look_at_train_and_val(inputs: Inputs, model: Model, known: Mapping[str, float]) -> dict[str, float]:
    """Accuracy and NLL on what may be looked at while choosing: val, and the training subset.

    Args:
        known: of them, what training has found out for the same weights.

    Raises:
        Diverged, Stopped: as `evaluate`.
    """
    metrics = dict(known)
    for split in ("val", "train"):
        labels = inputs.labels(split)
        if len(labels) and f"{split}_top1" not in metrics:
            measured = score(finite(model.logits(split), split), labels)
            metrics |= {f"{split}_top1": measured["top1"], f"{split}_nll": measured["nll"]}
    return metrics


def finite(logits: np.ndarray, split: str) -> np.ndarray:
    """The same logits; raises Diverged where they are not all finite."""
    if not np.isfinite(logits).all():
        raise Diverged(f"outputs on {split} are not all finite")
    return logits


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the classes, shape (n, classes)."""
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    shares: np.ndarray = exponents / exponents.sum(1, keepdims=True)
    return shares

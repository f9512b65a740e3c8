"""One trial, from its resolved specification to its record: the one place where a trial is run."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from bench.files import staged, write_bytes
from bench.machine import commit, device_name, machine_facts, machine_name, versions
from bench.measure.accuracy import compact, save_predictions, score
from bench.plan import Resolved
from bench.store import FORMAT, RunStore
from bench.training.allocator import KEEP_FREED, keep_freed_memory, trained_allocator
from bench.training.fitting import Fitted, Place, Setup, fit, parameters
from bench.training.loop import Diverged
from bench.training.observer import Observer
from models.checkpoint import tensors_as_bytes

METRICS = (
    "top1",
    "top5",
    "mean_per_class",
    "nll",
    "ece",
    "top1_deduplicated",
    "val_top1",
    "val_nll",
    "train_top1",
    "train_nll",
)
HISTORY = ("step", "epoch", "loss", "lr", "images_per_s", "val_top1", "val_nll")


def run_trial(resolved: Resolved, place: Place, observer: Observer) -> dict[str, Any]:
    """Run a trial to its outcome, or continue it, and store it; returns its record.

    The test split is opened once, after the weights that count are fixed, and its labels in `_test` alone;
    a look at it is counted when outputs meet labels.

    Raises:
        Stopped: the observer asked for it; the next call continues.
        TrialError: out of memory; the message says which batch size would fit.
        DataError, WeightsError, StoreError: inputs are damaged, or results cannot be written.
    """
    started, began = datetime.now(UTC), time.perf_counter()
    if trained_allocator(place.device) == KEEP_FREED:
        keep_freed_memory()
    store = RunStore(place.results)
    folder = store.root / "runs" / resolved.id
    setup = Setup.open(resolved, place, folder, observer)
    metrics: dict[str, float | None] = dict.fromkeys(METRICS)
    outcome, reason, tests = "finished", None, 0
    fitted: Fitted | None = None
    try:
        fitted = fit(setup)
        _write_history(folder, fitted.history)
        metrics |= _seen(setup, fitted)
        logits = _finite(fitted.logits("test"), "test")
        tests = store.count_evaluation(resolved.id)
        metrics |= _test(setup, fitted, logits, store)
    except Diverged as error:
        outcome, reason = "diverged", str(error)
        if fitted is None:
            _write_history(folder, error.history)
    trial, dataset, card = resolved.trial, setup.dataset, setup.card
    record = {
        "format": FORMAT,
        "kind": "trial",
        "id": resolved.id,
        "outcome": outcome,
        "reason": reason,
        "identity": resolved.identity,
        "model": {
            "name": card.name,
            "title": card.title,
            "family": card.family,
            "kind": card.kind,
            "carded": card.carded,
            "pretraining": card.pretraining if setup.weights.fingerprint != "none" else "none",
            "upstream_top1": card.upstream_top1,
            "params": parameters(trial.model, setup.outputs, trial.input_size),
            "weights": trial.weights,
            "weights_source": setup.weights.source,
        },
        "recipe": trial.recipe.name,
        "protocol": trial.recipe.protocol,
        "selection": _selection(trial.recipe.keep, resolved.identity["shots"]),
        "data": {
            "dataset": dataset.name,
            "split_id": dataset.split_id,
            "fingerprint": dataset.fingerprint,
            "copy": dataset.copy,
            "classes": len(dataset.class_names),
            "train_images": len(setup.positions),
            "val_images": len(dataset.splits["val"]),
            "test_images": len(dataset.splits["test"]),
            "overlap": dataset.overlap,
        },
        "metrics": metrics,
        "images_seen": fitted.images_seen if fitted else None,
        "steps": fitted.steps if fitted else None,
        "epochs": fitted.epochs if fitted else None,
        "train_images_per_s": fitted.images_per_s if fitted else None,
        "details": fitted.details if fitted else {},
        "test_evaluations": tests,
        "device": device_name(place.device),
        "machine": machine_name(),
        "machine_facts": machine_facts(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "commit": commit(),
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_s": round(time.perf_counter() - began + (fitted.earlier_seconds if fitted else 0.0), 3),
    }
    store.finish(resolved.id, record)
    return record


def _write_history(folder: Path, history: list[dict[str, float]]) -> None:
    """Store the learning curve; a probe has none."""
    if history:
        frame = pd.DataFrame(history, columns=list(HISTORY))
        with staged(folder / "history.parquet") as part:
            frame.to_parquet(part, compression="zstd", index=False)


def _seen(setup: Setup, fitted: Fitted) -> dict[str, float]:
    """Accuracy and NLL on what may be looked at while choosing: val, and the training subset."""
    found = {}
    for split in ("val", "train"):
        labels = setup.labels(split)
        if len(labels):
            measured = score(_finite(fitted.logits(split), split), labels)
            found |= {f"{split}_top1": measured["top1"], f"{split}_nll": measured["nll"]}
    return found


def _test(setup: Setup, fitted: Fitted, logits: np.ndarray, store: RunStore) -> dict[str, float]:
    """The one look at the test split: its metrics; predictions and labels are stored."""
    dataset, folder = setup.dataset, setup.folder
    labels = setup.labels("test")
    found = score(logits, labels)
    if dataset.duplicates is not None and len(dataset.duplicates) < len(labels):
        kept = np.setdiff1d(np.arange(len(labels)), dataset.duplicates)
        found["top1_deduplicated"] = score(logits[kept], labels[kept])["top1"]
    place = (dataset.name, dataset.split_id, dataset.fingerprint)
    store.write_labels(*place, labels, dataset.duplicates, dataset.class_names)
    save_predictions(compact(logits, labels), folder / "predictions.parquet")
    exponent = np.exp(logits - logits.max(1, keepdims=True))
    with staged(folder / "probabilities.npy") as part, part.open("wb") as file:
        np.save(file, (exponent / exponent.sum(1, keepdims=True)).astype(np.float16))
    if setup.resolved.trial.keep_weights:
        write_bytes(folder / "weights.safetensors", tensors_as_bytes(fitted.weights()))
    return found


def _finite(logits: np.ndarray, split: str) -> np.ndarray:
    if not np.isfinite(logits).all():
        raise Diverged(f"outputs on {split} are not all finite")
    return logits


def _selection(keep: str, shots: int | None) -> str:
    """How the weights that count were chosen; on few shots val holds more labels than the subset."""
    if keep == "last":
        return "last"
    return "best-val" if shots is None else "val-oracle"

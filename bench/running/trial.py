"""One trial, from its resolved specification to its record: the one place where a trial is run."""

import gc
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from bench.errors import BenchError, DeviceError, StoreError, first_line
from bench.files import staged, write_bytes
from bench.machine import commit, computes, device_name, gpu_facts, machine_facts, machine_name, versions
from bench.metrics.accuracy import compact, deduplicated_top1, score
from bench.networks.checkpoint import tensors_as_bytes
from bench.planning.plan import Resolved
from bench.store.predictions import save_predictions
from bench.store.run_store import FORMAT, RunStore
from bench.training.allocator import KEEP_FREED, keep_freed_memory, trained_allocator
from bench.training.fitting import Fitted, Place, Setup, TrialError, fit, parameters
from bench.training.loop import Diverged
from bench.training.memory import is_out_of_memory
from bench.training.observer import Observer, Stopped

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
        TrialError: anything that went wrong with this trial: no memory, damaged inputs, an error of PyTorch.
        DeviceError: the GPU computes no more.
        StoreError: results cannot be written.
    """
    began = time.perf_counter()
    try:
        return _run(resolved, place, observer)
    except Stopped:
        RunStore(place.results).add_elapsed(resolved.id, time.perf_counter() - began)
        raise
    except (TrialError, StoreError):
        raise
    except Exception as error:
        message = _what_went_wrong(error)
        if not computes(place.device):
            raise DeviceError(
                f"{device_name(place.device)} computes no more, after: {message}; what is done is kept, and "
                "the same command continues in a new process"
            ) from error
        raise TrialError(message, traceback.format_exc()) from error
    finally:
        # What this trial had on the GPU is there for the next, and for what measures memory.
        if place.device != "cpu":
            gc.collect()
            torch.cuda.empty_cache()


def _what_went_wrong(error: Exception) -> str:
    """One line about an error of a trial."""
    if isinstance(error, BenchError):
        return str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and is_out_of_memory(error)):
        return f"out of memory ({first_line(error)})"
    return f"{type(error).__name__}: {first_line(error)}"


def _run(resolved: Resolved, place: Place, observer: Observer) -> dict[str, Any]:
    """As `run_trial`, which sorts what this raises."""
    started, began = datetime.now(UTC), time.perf_counter()
    if trained_allocator(place.device) == KEEP_FREED:
        keep_freed_memory()
    store = RunStore(place.results)
    folder = store.root / "runs" / resolved.id
    elapsed = store.elapsed(resolved.id)
    others = (gpu_facts(place.device) or {}).get("other_processes", 0)
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
    gpu = gpu_facts(place.device)
    if gpu is not None and "other_processes" in gpu:
        gpu["other_processes"] = max(gpu["other_processes"], others)
    shared = gpu is not None and gpu.get("other_processes", 0) > 0
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
        # Not where others used the same GPU: it would pass for the speed of this network.
        "train_images_per_s": fitted.images_per_s if fitted and not shared else None,
        "details": fitted.details if fitted else {},
        "test_evaluations": tests,
        "device": device_name(place.device),
        "machine": machine_name(),
        "machine_facts": machine_facts(),
        "gpu": gpu,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "commit": commit(),
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        # Of a process that was killed, only the checkpoint knows how long it had trained.
        "wall_s": round(
            time.perf_counter() - began + max(elapsed, fitted.earlier_seconds if fitted else 0.0), 3
        ),
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
    found["top1_deduplicated"] = deduplicated_top1(logits, labels, dataset.duplicates)
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

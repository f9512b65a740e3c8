"""One trial, from its resolved specification to its record: the one place where a trial is run."""

import gc
import time
import traceback
from datetime import UTC, datetime

import torch

from bench.errors import BenchError, DeviceError, StoreError, TrialError, first_line
from bench.machine import commit, computes, device_name, gpu_facts, machine_facts, machine_name, versions
from bench.networks.parameters import count_parameters
from bench.running.evaluation import evaluate, look_at_train_and_val
from bench.running.workspace import Workspace
from bench.spec.job import Resolved
from bench.store.records import FORMAT, TrialRecord
from bench.store.run_store import RunStore
from bench.training.allocator import KEEP_FREED, keep_freed_memory, trained_allocator
from bench.training.fit import fit
from bench.training.inputs import Inputs
from bench.training.loop import Diverged
from bench.training.memory import is_out_of_memory
from bench.training.model import Training, write_history
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


def run_trial(resolved: Resolved, workspace: Workspace, observer: Observer) -> TrialRecord:
    """Run a trial to its outcome, or continue it, and store it; returns its record.

    The test split is looked at once, after the weights that count are stored.

    Raises:
        Stopped: the observer asked for it; the next call continues.
        TrialError: anything that went wrong with this trial: no memory, damaged inputs, an error of PyTorch.
        DeviceError: the GPU computes no more.
        StoreError: results cannot be written.
    """
    began = time.perf_counter()
    try:
        return _run(resolved, workspace, observer)
    except Stopped:
        RunStore(workspace.results).add_elapsed(resolved.id, time.perf_counter() - began)
        raise
    except (TrialError, StoreError):
        raise
    except Exception as error:
        message = _what_went_wrong(error)
        if not computes(workspace.device):
            raise DeviceError(
                f"{device_name(workspace.device)} computes no more, after: {message}; what is done is kept, "
                "and the same command continues in a new process"
            ) from error
        raise TrialError(message, traceback.format_exc()) from error
    finally:
        # What this trial had on the GPU is there for the next, and for what measures memory.
        if workspace.device == "cuda":
            gc.collect()
            torch.cuda.empty_cache()


def _what_went_wrong(error: Exception) -> str:
    """One line about an error of a trial."""
    if isinstance(error, BenchError):
        return str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and is_out_of_memory(error)):
        return f"out of memory ({first_line(error)})"
    return f"{type(error).__name__}: {first_line(error)}"


def _run(resolved: Resolved, workspace: Workspace, observer: Observer) -> TrialRecord:
    """As `run_trial`, which sorts what this raises."""
    started, began = datetime.now(UTC), time.perf_counter()
    device = workspace.device
    if trained_allocator(device) == KEEP_FREED:
        keep_freed_memory()
    store = RunStore(workspace.results)
    files = store.files(resolved.id)
    elapsed = store.elapsed(resolved.id)
    others = (gpu_facts(device) or {}).get("other_processes", 0)
    inputs = Inputs.open(resolved, workspace.resolver, device, files, observer)
    metrics: dict[str, float | None] = dict.fromkeys(METRICS)
    outcome, reason = "finished", None
    training: Training | None = None
    try:
        model, training = fit(inputs)
        metrics |= look_at_train_and_val(inputs, model, training.metrics)
        metrics |= evaluate(inputs, model, store)
    except Diverged as error:
        outcome, reason = "diverged", str(error)
        if training is None and error.history:
            write_history(error.history, files.history)
    trial, dataset, card = resolved.trial, inputs.dataset, inputs.card
    gpu = gpu_facts(device)
    if gpu is not None and "other_processes" in gpu:
        gpu["other_processes"] = max(gpu["other_processes"], others)
    shared = gpu is not None and bool(gpu.get("other_processes"))
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
            "pretraining": card.pretraining if inputs.weights.fingerprint != "none" else "none",
            "upstream_top1": card.upstream_top1,
            "params": count_parameters(trial.model, inputs.outputs, trial.input_size),
            "weights": trial.weights,
            "weights_source": inputs.weights.source,
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
            "train_images": len(inputs.positions),
            "val_images": len(dataset.splits["val"]),
            "test_images": len(dataset.splits["test"]),
            "overlap": dataset.overlap,
        },
        "metrics": metrics,
        "images_seen": training.images_seen if training else None,
        "steps": training.steps if training else None,
        "epochs": training.epochs if training else None,
        # Not where others used the same GPU: it would pass for the speed of this network.
        "train_images_per_s": training.images_per_s if training and not shared else None,
        "details": training.details | model.details() if training else {},
        "test_evaluations": store.evaluations(resolved.id),
        "device": device_name(device),
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
            time.perf_counter() - began + max(elapsed, training.earlier_seconds if training else 0.0), 3
        ),
    }
    stored = store.finish(resolved.id, record)
    if not trial.keep_weights or outcome == "diverged":
        files.weights.unlink(missing_ok=True)
    return stored


def _selection(keep: str, shots: int | None) -> str:
    """How the weights that count were chosen; on few shots val holds more labels than the subset."""
    if keep == "last":
        return "last"
    return "best-val" if shots is None else "val-oracle"

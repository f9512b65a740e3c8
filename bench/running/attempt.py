"""What every engine does with one job: claim it, skip it where it is done, do it, and store the result."""

import gc
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from bench.errors import BenchError, DeviceError, StoreError, TrialError, first_line, warn
from bench.machine import (
    commit,
    computes,
    device_name,
    gpu_facts,
    instructions,
    machine_facts,
    machine_name,
    versions,
)
from bench.spec.job import CLEAN, EvaluateJob, TrainJob
from bench.store.records.trials import Result, TrialRecord

if TYPE_CHECKING:
    from bench.running.execute import Product
    from bench.running.workspace import Workspace
    from bench.training.inputs import Inputs
    from bench.training.model import Model
    from bench.training.observer import Observer
    from bench.training.teacher import Teacher

Follow = Callable[[TrainJob | EvaluateJob], "Observer"]


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    "held": another process has it in hand; "elsewhere": it has done it; "lost": the weights that it needs are
    not there or damaged, so that they have to be trained again. `record` is the trial's result,
    or what there is of it before it is evaluated.
    """

    job: TrainJob | EvaluateJob
    status: Literal["finished", "diverged", "errored", "elsewhere", "held", "stopped", "lost"]
    record: TrialRecord | Result | None = None
    message: str = ""

    @property
    def ends_trial(self) -> bool:
        """Whether its trial or search job has come to an end with this: a trial is evaluated, or it will not
        be in this run."""
        if self.status in ("held", "lost"):
            return False
        if isinstance(self.job, EvaluateJob):
            return self.job.condition == CLEAN or self.status in ("errored", "stopped")
        if self.job.purpose == "search":
            return True
        return self.status not in ("finished", "elsewhere")


def attempt(job: TrainJob | EvaluateJob, workspace: "Workspace", follow: Follow) -> Outcome:
    """Do a job where nobody has done it or is at it, and note what went wrong.

    Args:
        follow: makes the observer of a job that is about to begin.

    Raises:
        DeviceError: the GPU computes no more.
        StoreError: results cannot be written.
    """
    from bench.training.observer import Stopped

    store = workspace.store
    with store.claim(job.id) as mine:
        if not mine:
            return Outcome(job, "held")
        if store.has(job):
            return Outcome(job, "elsewhere", _record(job, workspace))
        observer = follow(job)
        if observer.should_stop():
            return Outcome(job, "stopped")
        began = time.perf_counter()
        try:
            _do(job, workspace, observer)
        except Stopped:
            store.add_elapsed(store.files_of(job), time.perf_counter() - began)
            return Outcome(job, "stopped")
        except _LostWeights as error:
            return Outcome(job, "lost", message=str(error))
        except TrialError as error:
            store.note_error(store.files_of(job), str(error), error.details)
            return Outcome(job, "errored", message=str(error))
        record = _record(job, workspace)
        assert record is not None
        return Outcome(job, record.outcome, record)


class _LostWeights(Exception):
    """The weights of a trial are not there or damaged."""


def _record(job: TrainJob | EvaluateJob, workspace: "Workspace") -> TrialRecord | Result | None:
    if isinstance(job, EvaluateJob):
        return workspace.store.result(job.training.id, job.condition)
    evaluated = workspace.store.result(job.id) if job.purpose == "report" else None
    return evaluated or workspace.store.trained(job)


def _do(job: TrainJob | EvaluateJob, workspace: "Workspace", observer: "Observer") -> None:
    """Do a job and store it; sorts what goes wrong: see `attempt`."""
    from bench.training.observer import Stopped

    try:
        _store(job, workspace, *_execute(job, workspace, observer))
    except (Stopped, TrialError, StoreError, _LostWeights):
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
        # What this job had on the GPU is there for the next, and for what measures memory.
        if workspace.device == "cuda":
            import torch

            gc.collect()
            torch.cuda.empty_cache()


def _what_went_wrong(error: Exception) -> str:
    """One line about an error of a job."""
    from bench.training.memory import is_out_of_memory

    if isinstance(error, BenchError):
        return str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and is_out_of_memory(error)):
        less = "a budget.micro_batch in the recipe passes a batch in parts"
        return f"out of memory ({first_line(error)}); {less}"
    return f"{type(error).__name__}: {first_line(error)}"


def _execute(
    job: TrainJob | EvaluateJob, workspace: "Workspace", observer: "Observer"
) -> "tuple[Product, dict[str, Any]]":
    """What a job came to, and the circumstances."""
    import torch

    from bench.data.cache import require_unchanged
    from bench.data.conditions import find_condition
    from bench.running.execute import evaluate, train
    from bench.running.together import together
    from bench.training.allocator import KEEP_FREED, keep_freed_memory, trained_allocator
    from bench.training.inputs import Inputs

    started, began = datetime.now(UTC), time.perf_counter()
    store, device = workspace.store, workspace.device
    if trained_allocator(device) == KEEP_FREED:
        keep_freed_memory()
    files = store.files_of(job)
    elapsed, others = store.elapsed(files), (gpu_facts(device) or {}).get("other_processes", 0)
    if isinstance(job, TrainJob):
        if store.trained(job) is not None:
            warn(f"{files.weights}: not there, and needed; the trial is trained again")
        inputs = open_inputs(job, workspace, observer)
        if workspace.gpus_per_trial > 1:
            inputs.group = partial(together, job, workspace, open_inputs)
        product = train(job, inputs)
        if workspace.gpus_per_trial > 1:
            product.content["train_images_per_s"] = None  # would pass for the speed on one GPU
    else:
        calibrated = find_condition(job.condition).runtime is not None
        inputs = Inputs.open(
            job.training,
            workspace.resolver,
            device,
            store.files_of(job.training),
            observer,
            scratch=files,
            splits=("train", "test") if calibrated else ("test",),
            condition=job.condition,
        )
        trial = store.trial(job.training.id)
        sha256 = trial.weights_sha256 if trial else None
        model = _stored_model(inputs, sha256)
        product = evaluate(job, inputs, model, lambda: store.count_look(files))
        product.content["weights_sha256"] = sha256
    require_unchanged()
    gpu = gpu_facts(device)
    if gpu is not None and "other_processes" in gpu:
        gpu["other_processes"] = max(gpu["other_processes"], others)
        if gpu["other_processes"] and "train_images_per_s" in product.content:
            product.content["train_images_per_s"] = None  # would pass for the speed of this network
    return product, {
        "device": device_name(device),
        "machine": machine_name(),
        "machine_facts": machine_facts(),
        "instructions": instructions(),
        "gpu": gpu,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "commit": commit(),
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        # Of a process that was killed, only the checkpoint knows how long it had trained.
        "wall_s": round(time.perf_counter() - began + max(elapsed, product.earlier_seconds), 3),
    }


def open_inputs(job: TrainJob, workspace: "Workspace", observer: "Observer") -> "Inputs":
    """What a training is done on, with its teacher.

    Raises:
        DataError, WeightsError: data or weights are not here.
    """
    from bench.training.inputs import Inputs

    files = workspace.store.files_of(job)
    inputs = Inputs.open(job, workspace.resolver, workspace.device, files, observer)
    if job.teacher is not None:
        inputs.teacher = partial(_teacher, job.teacher, inputs, workspace)
    return inputs


def _stored_model(inputs: "Inputs", sha256: str | None) -> "Model":
    """The model of a trained trial.

    Raises:
        _LostWeights: its weights are not there, or were damaged and are removed.
        WeightsError: they cannot be read now, or not with these versions; they stay.
    """
    from bench.networks.weight_file import DamagedWeights
    from bench.training.stored import read_model

    try:
        return read_model(inputs, sha256)
    except DamagedWeights as error:
        warn(str(error))
        inputs.files.weights.unlink(missing_ok=True)
        raise _LostWeights(str(error)) from error


def _teacher(job: TrainJob, student: "Inputs", workspace: "Workspace") -> "Teacher":
    """The network of a trained trial, for a student of it.

    Raises:
        Diverged: the trial did.
        _LostWeights: as `_stored_model`.
    """
    from bench.profiling.config import CostConfig
    from bench.profiling.job import profile_job
    from bench.store.records.profiles import CostRecord
    from bench.training.inputs import Inputs
    from bench.training.loop import Diverged
    from bench.training.teacher import Teacher
    from bench.training.train_network import NetworkModel

    store, trial = workspace.store, job.trial
    record = store.trained(job)
    if record is None:
        raise _LostWeights(f"{store.files_of(job).record}: not there")
    if record.outcome == "diverged":
        raise Diverged(f"its teacher, run {job.id}, diverged: {record.reason}")
    own = Inputs.open(job, workspace.resolver, workspace.device, store.files_of(job), student.observer)
    model = _stored_model(own, record.weights_sha256)
    assert isinstance(model, NetworkModel)  # a probe is no teacher
    counted = store.profile(profile_job("cost", CostConfig(trial.model, own.outputs, trial.input_size)).id)
    facts = {
        "run": job.id,
        "model": record.model.name,
        "images_seen": record.images_seen,
        "flops_per_image": counted.flops if isinstance(counted, CostRecord) else None,
    }
    return Teacher(
        model.network, own=own.pipeline, student=student.pipeline, precision=trial.precision, facts=facts
    )


def _store(
    job: TrainJob | EvaluateJob, workspace: "Workspace", product: "Product", circumstances: dict[str, Any]
) -> None:
    """Store what a job came to, its record last."""
    store, files = workspace.store, workspace.store.files_of(job)
    content = {"kind": "trial", "id": job.id, **product.content, **circumstances}
    if isinstance(job, EvaluateJob):
        content |= {"kind": "evaluation", "test_evaluations": store.looks(files)}
    if product.scored is not None:
        scored, data = product.scored, content["data"]
        key = (data["dataset"], data["split_id"], data["fingerprint"])
        store.write_labels(*key, scored.labels, scored.duplicates, scored.class_names, scored.groups)
        store.write_predictions(files, scored.predictions, scored.probabilities)
    elif isinstance(job, EvaluateJob):  # those of an earlier evaluation
        for path in (files.predictions, files.probabilities):
            path.unlink(missing_ok=True)
    store.finish(job, content)
    if isinstance(job, TrainJob) and content["outcome"] == "diverged":
        store.files_of(job.training).weights.unlink(missing_ok=True)

"""Jobs as tasks of a Ray cluster; one machine with several GPUs is a cluster too.

Each node needs vcbench and the data. Where a node sees the run store, its jobs work in it like those of any
other process, and a job whose node dies goes on elsewhere from its last checkpoint. Where it does not, what a
job reads goes to the node, and what it leaves comes back, through the coordinator: an actor on the node where
the store is.
"""

import os
import platform
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.errors import BenchError, InputError, StoreError
from bench.running.attempt import Follow, Outcome, attempt
from bench.running.parcels import Parcel, deliver, inputs_of, removed, results_of, unpack
from bench.running.queue import Queue
from bench.running.ray_cluster import RESOURCES, connect, living, nodes, require_node, total
from bench.running.threads import is_small, threads_of
from bench.spec.job import EvaluateJob, TrainJob

if TYPE_CHECKING:
    from bench.running.engines import Wanted
    from bench.running.workspace import Workspace
    from bench.training.observer import Observer

POLL_SECONDS = 0.2
# How often Ray begins a job again whose node or process has died.
RETRIES = 3
# The share of a GPU that a small trial gets.
SMALL_SHARE = 0.25
AnyJob = TrainJob | EvaluateJob
News = tuple[str, Literal["began", "progress", "logged"], Any]
"""The id of a job, and what its observer is to know; of one that began the id of its node."""


def make(wanted: "Wanted") -> "OnRay":
    """The engine, connected to a cluster.

    Raises:
        InputError: as `bench.running.ray_cluster.connect`; or the cluster has no GPU and one is wanted.
    """
    if wanted.device == "mps":
        raise InputError("--engine ray: no node shares mps; use --device cpu")
    connect(wanted.address)
    if wanted.device == "cuda" and not total("GPU"):
        raise InputError("--engine ray: no node of the cluster has a GPU; use --device cpu")
    return OnRay(wanted.jobs, wanted.device)


class OnRay:
    """Jobs as tasks of the Ray cluster that this process is connected to.

    A small trial gets one core or a share of a GPU, any other a whole GPU or as many cores as the smallest
    node has.

    Args:
        jobs: how many at once, at most; None takes as many as the cluster has room for.
        shared: False has files travel to every node, also to those that see the store.
    """

    def __init__(self, jobs: int | None, device: str, *, shared: bool = True) -> None:
        self.jobs, self.device, self.shared = jobs, device, shared
        gpus = f", {total('GPU'):g} GPUs" if device == "cuda" else ""
        count = len(nodes())
        self.description = f"Ray, {count} node{'' if count == 1 else 's'} with {total('CPU'):g} cores{gpus}"

    def run(self, queue: Queue, workspace: "Workspace", follow: Follow) -> Iterator[Outcome]:
        """As `bench.running.engines.Engine.run`."""
        import ray

        workspace = _absolute(workspace)
        do, coordinator = ray.remote(max_retries=RETRIES)(_do), _coordinator(workspace)
        begun: dict[Any, tuple[AnyJob, dict[str, float]]] = {}
        observers: dict[str, Observer] = {}
        places: dict[str, str] = {}
        stopping = False
        try:
            with _marker(workspace) as marker:
                while True:
                    while not stopping and self._has_room([need for _, need in begun.values()]):
                        if (job := queue.take()) is None:
                            break
                        need = self._need(job, workspace.gpus_per_trial)
                        require_node(need)
                        task = _Task(job, workspace, marker if self.shared else None, int(need["num_cpus"]))
                        begun[do.options(**need).remote(task, coordinator)] = job, need
                    if not begun:
                        return
                    ended, _ = ray.wait(list(begun), timeout=POLL_SECONDS)
                    jobs = {job.id: job for job, _ in begun.values()}
                    for run, kind, content in ray.get(coordinator.news.remote()):
                        if run in jobs and kind == "began":
                            observers[run], places[run] = follow(jobs[run]), content
                        elif run in jobs and kind == "logged":
                            observers[run].logged(content)
                        elif run in jobs:
                            (phase, done, total), numbers = content
                            observers[run].progress(phase, done, total, **numbers)
                    here = jobs.keys() & observers
                    if not stopping and (
                        queue.should_stop() or any(observers[run].should_stop() for run in here)
                    ):
                        stopping = True
                        ray.get(coordinator.stop.remote())
                    if stopping:
                        there = {node["NodeID"] for node in living()}
                        for reference, (job, _) in begun.items():
                            # Those waiting for room, which there may not be for hours.
                            if places.get(job.id) not in there:
                                ray.cancel(reference)
                    for reference in ended:
                        outcome = _outcome(reference, begun.pop(reference)[0], workspace)
                        queue.ended(outcome)
                        yield outcome
        finally:
            for reference in begun:
                ray.cancel(reference, force=True)
            ray.kill(coordinator)

    def _need(self, job: AnyJob, gpus: int) -> dict[str, float]:
        """The cores and the share of a GPU that a job gets, or several GPUs."""
        small = is_small(job.training.trial)
        if self.device == "cuda":
            with_gpu = [node for node in nodes() if node.get("GPU")]
            each = min((int(node.get("CPU", 1) // node["GPU"]) for node in with_gpu), default=1)
            share = SMALL_SHARE if small and gpus == 1 else float(gpus)
            return {"num_gpus": share, "num_cpus": max(1, int(each * share))}
        cores = min((int(node["CPU"]) for node in nodes() if node.get("CPU", 0) >= 1), default=1)
        return {"num_cpus": 1 if small else max(1, cores)}

    def _has_room(self, needs: list[dict[str, float]]) -> bool:
        """Whether a further job should be handed to Ray, beside those with these needs."""
        if not needs:
            return True
        if self.jobs is not None and len(needs) >= self.jobs:
            return False
        return all(sum(need.get(key, 0.0) for need in needs) < total(RESOURCES[key]) for key in needs[0])


def _outcome(reference: Any, job: AnyJob, workspace: "Workspace") -> Outcome:
    """How a task ended.

    Raises:
        BenchError: what ends a run in one process ends it here as well.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError, TaskCancelledError

    try:
        outcome: Outcome = ray.get(reference)
    except TaskCancelledError:
        return Outcome(job, "stopped")
    except RayTaskError as error:
        while isinstance(error.cause, RayTaskError):  # of the coordinator
            error = error.cause
        raise error.cause from None
    except RayError as error:
        message = f"its process on the cluster ended, also when it was begun again: {type(error).__name__}"
        workspace.store.note_error(workspace.store.files_of(job), message)
        return Outcome(job, "errored", message=message)
    return outcome


def _absolute(workspace: "Workspace") -> "Workspace":
    """With paths that hold in any folder."""
    names = ("data_dir", "weights_dir", "results")
    return replace(workspace, **{name: getattr(workspace, name).resolve() for name in names})


@contextmanager
def _marker(workspace: "Workspace") -> Iterator[Path]:
    """A file in the store with a name that no other store has: a node that sees it sees the store."""
    path = workspace.store.lock_of(f"ray-{uuid.uuid4().hex}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _coordinator(workspace: "Workspace") -> Any:
    """The coordinator, on this node."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(_Coordinator)
    return actor.options(num_cpus=0, scheduling_strategy=here).remote(workspace)


class _Coordinator:
    """Collects progress, says whether to stop, and hands files of the store out and takes them in."""

    def __init__(self, workspace: "Workspace") -> None:
        self._store, self._stopping = workspace.store, False
        self._news: list[News] = []
        self._held: dict[str, ExitStack] = {}

    def stop(self) -> None:
        """From now on jobs are to pause."""
        self._stopping = True

    def stopping(self) -> bool:
        """Whether jobs are to pause."""
        return self._stopping

    def note(self, news: News) -> bool:
        """Take news of a job; whether it is to pause."""
        self._news.append(news)
        return self._stopping

    def news(self) -> list[News]:
        """What there is since the last call."""
        news, self._news = self._news, []
        return news

    def hand_out(self, job: AnyJob) -> Parcel | None:
        """What a job reads, which is claimed for it from now on; None where another process has it."""
        if job.id not in self._held:  # where it is, that is for a node that died
            held = ExitStack()
            if not held.enter_context(self._store.claim(job.id)):
                return None
            self._held[job.id] = held
        return inputs_of(job, self._store)

    def take_in(self, job: AnyJob, parcel: Parcel, gone: list[str]) -> None:
        """Store what a job has left, remove what is gone, and claim it no more."""
        deliver(job, parcel, gone, self._store)
        self._held.pop(job.id).close()


@dataclass(frozen=True)
class _Task:
    """What a node is told to do.

    Attributes:
        marker: see `_marker`; None has files travel.
        threads: of PyTorch.
        folder: in which relative paths of a suite hold.
    """

    job: AnyJob
    workspace: "Workspace"
    marker: Path | None
    threads: int
    folder: Path = field(default_factory=Path.cwd)


def _do(task: _Task, coordinator: Any) -> Outcome:
    """Do a job on a node, in the store where that is seen, else in one of its own."""
    import ray
    import torch

    job, workspace = task.job, task.workspace
    torch.set_num_threads(task.threads)
    if task.folder.is_dir():
        os.chdir(task.folder)

    def follow(job: AnyJob) -> _Report:
        return _Report(coordinator, job.id)

    with threads_of(job, workspace.device), _node_named():
        if task.marker is not None and task.marker.exists():
            return attempt(job, workspace, follow)
        with tempfile.TemporaryDirectory(prefix="vcbench-") as folder:
            here = replace(workspace, results=Path(folder))
            here.store.prepare()
            inputs = ray.get(coordinator.hand_out.remote(job))
            if inputs is None:
                return Outcome(job, "held")
            unpack(inputs, here.store)
            outcome = attempt(job, here, follow)
            left, gone = results_of(job, here.store), removed(inputs, here.store)
            ray.get(coordinator.take_in.remote(job, left, gone))
            return outcome


@contextmanager
def _node_named() -> Iterator[None]:
    """Errors that end the run say on which node they came, a full disk for one."""
    from ray.exceptions import RayError

    try:
        yield
    except RayError:  # of the coordinator
        raise
    except (BenchError, OSError) as error:
        kind = type(error) if isinstance(error, BenchError) else StoreError
        raise kind(f"{error} (on node {platform.node()})") from error


class _Report:
    """The observer on a node: sends progress to the coordinator, and stops when that says so."""

    def __init__(self, coordinator: Any, run: str) -> None:
        self._coordinator, self._run = coordinator, run
        self._stopping, self._phase, self._sent = False, "", 0.0
        import ray

        self._note("began", ray.get_runtime_context().get_node_id())

    def progress(self, phase: str, done: int, total: int, **numbers: float) -> None:
        """Send it, but not more often than a bar is drawn."""
        if phase != self._phase or done >= total or self._is_time():
            self._phase = phase
            self._note("progress", ((phase, done, total), numbers))

    def logged(self, row: dict[str, float]) -> None:
        """Send it: there are about a hundred in all."""
        self._note("logged", row)

    def should_stop(self) -> bool:
        """Whether the run is to end, as it was a moment ago."""
        if self._is_time():
            self._ask(self._coordinator.stopping.remote())
        return self._stopping

    def _is_time(self) -> bool:
        return time.monotonic() - self._sent >= POLL_SECONDS

    def _note(self, kind: Literal["began", "progress", "logged"], content: Any) -> None:
        self._ask(self._coordinator.note.remote((self._run, kind, content)))

    def _ask(self, answer: Any) -> None:
        """Wait for the coordinator's answer, whether to stop."""
        import ray
        from ray.exceptions import RayError

        self._sent = time.monotonic()
        try:
            self._stopping = self._stopping or ray.get(answer)
        except RayError:  # nobody is left to tell: keep what there is, and end
            self._stopping = True

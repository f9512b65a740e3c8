"""Further processes of this machine that train a network together with this one."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

from bench.errors import TrialError
from bench.running.children import ending, signals_held
from bench.spec.job import TrainJob

if TYPE_CHECKING:
    from bench.running.workspace import Workspace
    from bench.training.group import Group
    from bench.training.inputs import Inputs
    from bench.training.observer import Observer

    OpenInputs = Callable[[TrainJob, Workspace, Observer], Inputs]

POLL_SECONDS = 0.2
GOODBYE_SECONDS = 30.0
# How long an error of this process may take until the death of another that has caused it is known.
NEWS_SECONDS = 1.0
VISIBLE = "CUDA_VISIBLE_DEVICES"


@contextmanager
def together(job: TrainJob, workspace: "Workspace", open_inputs: "OpenInputs") -> "Iterator[Group]":
    """Start the others for a job; this process is the first of the group. They end with the block.

    Args:
        open_inputs: what the training is done on, in another process.

    Raises:
        TrialError: one of them has died.
    """
    from bench.training.group import joined, meeting_place

    size, store = workspace.gpus_per_trial, meeting_place()
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(
            target=_take_part, args=(job, workspace, open_inputs, rank, size, store.port), daemon=True
        )
        for rank in range(1, size)
    ]
    for rank, process in enumerate(others, 1):
        with _only_gpu(rank), signals_held():
            process.start()
    watch = _Watch(job, workspace, others)
    try:
        with joined(0, size, workspace.device, store, watch.check) as group:
            try:
                yield group
            except BaseException as error:  # stopped, diverged or failed: the others wait for this one
                if isinstance(error, RuntimeError):
                    watch.died.wait(NEWS_SECONDS)
                watch.end(kill=True)
                raise
    except RuntimeError as error:
        watch.check(error)
        raise
    finally:
        watch.end()
        for process in others:
            process.join(GOODBYE_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()


class _Watch:
    """Knows when one of the others dies, and ends this process where it does not notice.

    Gloo says that a connection is lost. NCCL waits, and what waits cannot be ended from within.
    """

    def __init__(self, job: TrainJob, workspace: "Workspace", others: list[SpawnProcess]) -> None:
        self.job, self.workspace, self.others = job, workspace, others
        self.message = ""
        self.died, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def check(self, cause: Exception | None = None) -> None:
        """Raises TrialError where one has died; the others are ended, too."""
        if self.died.is_set():
            self._kill()
            raise TrialError(self.message) from cause

    def end(self, *, kill: bool = False) -> None:
        """They may end from now on, or are to."""
        self._ended.set()
        self._thread.join()
        if kill:
            self._kill()

    def _kill(self) -> None:
        for process in self.others:
            process.kill()

    def _run(self) -> None:
        alive = list(self.others)
        while alive and not self._ended.is_set():
            ready = wait([process.sentinel for process in alive], POLL_SECONDS)
            for process in [process for process in alive if process.sentinel in ready]:
                process.join()
                alive.remove(process)
                if process.exitcode:
                    count, how = len(self.others) + 1, ending(process.exitcode)
                    self.message = f"one of the {count} processes that train it ended with {how}"
                    self.died.set()
                    if not self._ended.wait(GOODBYE_SECONDS):
                        self._give_up()
                    return

    def _give_up(self) -> None:
        self._kill()
        try:
            self.workspace.store.note_error(self.workspace.store.files_of(self.job), self.message)
        finally:
            line = f"run {self.job.id}: {self.message}; what is done is kept, and the same command continues"
            os.write(2, f"\nvcbench: error: {line}\n".encode())
            os._exit(2)


@contextmanager
def _only_gpu(number: int) -> Iterator[None]:
    """What is started here sees one GPU, the one with this number among those that this process sees."""
    before = os.environ.get(VISIBLE)
    seen = before.split(",") if before else [str(one) for one in range(number + 1)]
    if number < len(seen):
        os.environ[VISIBLE] = seen[number]
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VISIBLE, None)
        else:
            os.environ[VISIBLE] = before


def _take_part(
    job: TrainJob, workspace: "Workspace", open_inputs: "OpenInputs", rank: int, size: int, port: int
) -> None:
    """What a further process does: the steps of the training, and nothing else."""
    import torch

    from bench.training.group import joined, meeting_place
    from bench.training.loop import Diverged
    from bench.training.observer import Silent, Stopped
    from bench.training.train_network import take_part

    threading.Thread(target=_end_with_parent, daemon=True).start()
    if workspace.device == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // size))
    with joined(rank, size, workspace.device, meeting_place(port)) as group:
        inputs = open_inputs(job, workspace, Silent())
        try:
            take_part(inputs, group)
        except (Diverged, Stopped):  # as in the first process, which tells
            return


def _end_with_parent() -> None:
    """End this process with the one that started it, which may be killed while this one waits for it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

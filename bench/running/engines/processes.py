"""Several jobs at once, each in a process of this machine."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from bench.errors import InputError
from bench.running.attempt import Follow, Outcome, attempt
from bench.running.children import ending, signals_held
from bench.running.queue import Queue
from bench.running.threads import threads_of
from bench.spec.job import EvaluateJob, TrainJob

if TYPE_CHECKING:
    from bench.running.engines import Wanted
    from bench.running.workspace import Workspace
    from bench.training.observer import Observer

# How often processes are asked for news, and a wish to stop is passed on to them.
POLL_SECONDS = 0.2
# How long a process may take to end once it has nothing more to do.
GOODBYE_SECONDS = 5.0
# What libraries read, when they are loaded, to know how many threads they may have.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def make(wanted: "Wanted") -> "Processes":
    """The engine, with an equal share of the cores for each job.

    Raises:
        InputError: several jobs at once on Apple's GPU.
    """
    jobs = wanted.jobs or (wanted.cores if wanted.device == "cpu" else 1)
    if jobs > 1 and wanted.device == "mps":
        raise InputError(f"--jobs {jobs}: trials do not share mps; use --jobs 1, or --device cpu")
    return Processes(jobs, max(1, wanted.cores // jobs))


class Processes:
    """Several jobs at once, each in a process of this machine that does one after the other.

    The processes are fresh ones (`spawn`), have an equal share of the threads, and leave Ctrl-C to this one,
    which passes on that they should stop. One that dies takes its job with it as an errored one, and
    another is started for the rest.

    Args:
        jobs: how many processes, at least 1.
        threads: how many threads each may use.
    """

    def __init__(self, jobs: int, threads: int) -> None:
        self.jobs, self.threads = jobs, threads
        self.description = f"{jobs} processes, {threads} thread{'' if threads == 1 else 's'} each"

    def run(self, queue: Queue, workspace: "Workspace", follow: Follow) -> Iterator[Outcome]:
        """As `bench.running.engines.Engine.run`."""
        if self.jobs > 1:
            queue.longest_first()
        workers = [_Worker(workspace, self.threads) for _ in range(min(self.jobs, len(queue)))]
        stopping = False
        try:
            while True:
                for number, worker in enumerate(workers):
                    if worker.job is None and not stopping and (job := queue.take()) is not None:
                        if not worker.alive:
                            worker = workers[number] = _Worker(workspace, self.threads)
                        worker.begin(job)
                busy = [worker for worker in workers if worker.job is not None]
                if not busy:
                    return
                if not stopping and any(w.observer and w.observer.should_stop() for w in busy):
                    stopping = True
                    for worker in busy:
                        worker.stop()
                for ready in wait([worker.connection for worker in busy], timeout=POLL_SECONDS):
                    worker = next(worker for worker in busy if worker.connection is ready)
                    outcome = worker.read(workspace, follow)
                    if outcome is not None:
                        queue.ended(outcome)
                        yield outcome
        finally:
            for worker in workers:
                worker.stop()
            for worker in workers:
                worker.end()


class _Worker:
    """A process for jobs, seen from the one that started it; `job` is the one it is at."""

    def __init__(self, workspace: "Workspace", threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other, threads), daemon=True)
        with signals_held():
            self.process.start()
        other.close()
        self.alive = True
        self.job: TrainJob | EvaluateJob | None = None
        self.observer: Observer | None = None
        self._send(workspace)

    def begin(self, job: TrainJob | EvaluateJob) -> None:
        """Give it a job."""
        self.job, self.observer = job, None
        self._send(job)

    def read(self, workspace: "Workspace", follow: Follow) -> Outcome | None:
        """Read one message: that the job begins, progress, which is passed on, or how the job ended.

        Raises:
            BenchError: what ends a run in one process ends it here as well.
        """
        try:
            kind, content = self.connection.recv()
        except (EOFError, OSError):
            return self._died(workspace)
        assert self.job is not None
        if kind == "began":
            self.observer = follow(self.job)
            return None
        if kind == "progress":
            (phase, done, total), numbers = content
            assert self.observer is not None
            self.observer.progress(phase, done, total, **numbers)
            return None
        if kind == "logged":
            assert self.observer is not None
            self.observer.logged(content)
            return None
        self.job = None
        if kind == "failed":
            raise content
        outcome: Outcome = content
        return outcome

    def stop(self) -> None:
        """Ask it to pause the job it is at, and to begin no other."""
        self._send(None)

    def end(self) -> None:
        """Wait for the process to end once it was stopped, and end it by force if it takes too long."""
        self.process.join(GOODBYE_SECONDS if self.alive else 0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()

    def _died(self, workspace: "Workspace") -> Outcome:
        """The outcome of the job of a process that ended by itself."""
        self.alive = False
        self.process.join(GOODBYE_SECONDS)
        code = self.process.exitcode
        message = f"its process ended with {ending(code)}"
        if code == -getattr(signal, "SIGKILL", 0):
            message += ", as one does that needs more memory than there is; try --jobs 1"
        job, self.job = self.job, None
        assert job is not None
        workspace.store.note_error(workspace.store.files_of(job), message)
        return Outcome(job, "errored", message=message)

    def _send(self, what: Any) -> None:
        try:
            self.connection.send(what)
        except OSError:  # it has died, which reading from it shows
            return


class _Report:
    """The observer within a process: sends progress to the one that started it, and stops when that does."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._stopping = connection, False
        self._phase, self._sent = "", 0.0
        self._send(("began", None))

    def progress(self, phase: str, done: int, total: int, **numbers: float) -> None:
        """Send it, but not more often than a bar is drawn."""
        now = time.monotonic()
        if phase == self._phase and done < total and now - self._sent < POLL_SECONDS:
            return
        self._phase, self._sent = phase, now
        self._send(("progress", ((phase, done, total), numbers)))

    def logged(self, row: dict[str, float]) -> None:
        """Send it: there are about a hundred in all."""
        self._send(("logged", row))

    def should_stop(self) -> bool:
        """Whether the one that started this process has said so, or has ended.

        There is no shared flag: its lock would stay taken by a process that is killed while it looks.
        """
        try:
            self._stopping = self._stopping or self._connection.poll()
        except OSError:
            self._stopping = True
        return self._stopping

    def _send(self, message: tuple[str, Any]) -> None:
        try:
            self._connection.send(message)
        except OSError:  # nobody is left to tell: keep what there is, and end
            self._stopping = True


def _work(connection: Connection, threads: int) -> None:
    """What a process does: jobs as they come, until None comes or nobody is left to send one."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        workspace = connection.recv()
        import torch

        torch.set_num_threads(threads)
        while (job := connection.recv()) is not None:
            try:
                with threads_of(job, workspace.device):
                    outcome = attempt(job, workspace, lambda _: _Report(connection))
            except Exception as error:
                connection.send(("failed", _portable(error)))
            else:
                connection.send(("ended", outcome))
    except (EOFError, OSError):
        return


def _portable(error: Exception) -> Exception:
    """An error that can be sent to another process, with where it arose as a note."""
    import pickle
    import traceback

    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note("".join(traceback.format_exception(error)).rstrip())
    return error

"""Engines: whatever executes trials. A trial is a function of plain data, so it can be done anywhere.

`attempt` is what every engine does with one trial; an engine decides where, and how many at once.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Literal, Protocol

from bench.errors import InputError, TrialError
from bench.machine import machine_facts
from bench.spec.job import Resolved, Trial
from bench.store.records import TrialRecord
from bench.store.run_store import RunStore

if TYPE_CHECKING:
    from bench.running.workspace import Workspace
    from bench.training.observer import Observer

# How often processes are asked for news, and a wish to stop is passed on to them.
POLL_SECONDS = 0.2
# How long a process may take to end once it has nothing more to do.
GOODBYE_SECONDS = 5.0
# For which trials several processes are started without being asked for, and how many at most: each takes
# some hundred MB of memory, and as long to start as a few such trials take.
SMALL_INPUT = 64
TRIALS_A_PROCESS = 4
MOST_JOBS = 8
# What libraries read, when they are loaded, to know how many threads they may have.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: another process has it in hand (`held`), or has done it (`elsewhere`)."""

    resolved: Resolved
    status: Literal["finished", "diverged", "errored", "elsewhere", "held", "stopped"]
    record: TrialRecord | None = None
    message: str = ""


class Engine(Protocol):
    """Executes trials somewhere, in the order given as far as it can."""

    def run(
        self, trials: Iterable[Resolved], workspace: "Workspace", follow: "Callable[[Resolved], Observer]"
    ) -> Iterator[Outcome]:
        """Yields an outcome for each trial as it ends; once one was `stopped`, no other trial is begun."""


def attempt(resolved: Resolved, workspace: "Workspace", follow: "Callable[[Resolved], Observer]") -> Outcome:
    """Claim a trial, skip it where it is done, run it, and note what went wrong.

    Args:
        follow: makes the observer of a trial that is about to begin.

    Raises:
        DeviceError, StoreError: see `bench.running.trial.run_trial`.
    """
    from bench.running.trial import run_trial
    from bench.training.observer import Stopped

    store = RunStore(workspace.results)
    with store.claim(resolved.id) as mine:
        if not mine:
            return Outcome(resolved, "held")
        if store.is_done(resolved.id):
            return Outcome(resolved, "elsewhere", store.record(resolved.id))
        observer = follow(resolved)
        if observer.should_stop():
            return Outcome(resolved, "stopped")
        try:
            record = run_trial(resolved, workspace, observer)
        except TrialError as error:
            store.note_error(resolved.id, str(error), error.details)
            return Outcome(resolved, "errored", message=str(error))
        except Stopped:
            return Outcome(resolved, "stopped")
        return Outcome(resolved, record.outcome, record)


class InProcess:
    """One trial after the other, in this process."""

    words = "one trial at a time"

    def run(
        self, trials: Iterable[Resolved], workspace: "Workspace", follow: "Callable[[Resolved], Observer]"
    ) -> Iterator[Outcome]:
        """As `Engine.run`."""
        for resolved in trials:
            outcome = attempt(resolved, workspace, follow)
            yield outcome
            if outcome.status == "stopped":
                return


class Processes:
    """Several trials at once, each in a process of this machine that does one after the other.

    The processes are fresh ones (`spawn`), have an equal share of the threads, and leave Ctrl-C to this
    one, which passes on that they should stop. One that dies takes its trial with it as an errored one, and
    another is started for the rest.

    Args:
        jobs: how many processes, at least 1.
        threads: how many threads each may use.
    """

    def __init__(self, jobs: int, threads: int) -> None:
        self.jobs, self.threads = jobs, threads
        self.words = f"{jobs} processes, {threads} thread{'' if threads == 1 else 's'} each"

    def run(
        self, trials: Iterable[Resolved], workspace: "Workspace", follow: "Callable[[Resolved], Observer]"
    ) -> Iterator[Outcome]:
        """As `Engine.run`."""
        waiting = list(trials)[::-1]
        workers = [_Worker(workspace, self.threads) for _ in range(min(self.jobs, len(waiting)))]
        stopping = False
        try:
            while True:
                for number, worker in enumerate(workers):
                    if worker.resolved is None and waiting and not stopping:
                        if not worker.alive:
                            worker = workers[number] = _Worker(workspace, self.threads)
                        worker.begin(waiting.pop())
                busy = [worker for worker in workers if worker.resolved is not None]
                if not busy:
                    return
                if not stopping and any(w.observer and w.observer.should_stop() for w in busy):
                    stopping = True
                    for worker in busy:
                        worker.stop()
                for ready in wait([worker.connection for worker in busy], timeout=POLL_SECONDS):
                    worker = next(worker for worker in busy if worker.connection is ready)
                    outcome = worker.news(workspace, follow)
                    if outcome is not None:
                        yield outcome
        finally:
            for worker in workers:
                worker.stop()
            for worker in workers:
                worker.end()


def choose_engine(trials: Sequence[Trial], device: str, jobs: int | None) -> InProcess | Processes:
    """The engine for these trials: `jobs` processes, or as many as suit them.

    Networks for small images gain nothing from a second thread, so on a CPU they get a process for each core
    where there are enough trials to repay starting it. Everything else is run one trial at a time.

    Raises:
        InputError: several processes on a GPU.
    """
    cores = int(machine_facts()["cores"])
    if jobs is None:
        small = all(t.recipe.probe is None and t.input_size <= SMALL_INPUT for t in trials)
        jobs = min(cores, MOST_JOBS, len(trials) // TRIALS_A_PROCESS) if small and device == "cpu" else 1
    elif jobs > 1 and device != "cpu":
        raise InputError(f"--jobs {jobs}: trials share no GPU; use --jobs 1, or --device cpu")
    return Processes(jobs, max(1, cores // jobs)) if jobs > 1 else InProcess()


class _Worker:
    """A process for trials, seen from the one that started it; `resolved` is the trial it is at."""

    def __init__(self, workspace: "Workspace", threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        # Its start lets signals through again, so it comes before they are held.
        if hasattr(signal, "pthread_sigmask"):
            resource_tracker.ensure_running()
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other, threads), daemon=True)
        with _signals_held():
            self.process.start()
        other.close()
        self.alive = True
        self.resolved: Resolved | None = None
        self.observer: Observer | None = None
        self._send(workspace)

    def begin(self, resolved: Resolved) -> None:
        """Give it a trial."""
        self.resolved, self.observer = resolved, None
        self._send(resolved)

    def news(self, workspace: "Workspace", follow: "Callable[[Resolved], Observer]") -> Outcome | None:
        """Read one message: that the trial begins, progress, which is passed on, or how the trial ended.

        Raises:
            BenchError: what ends a run in one process ends it here as well.
        """
        try:
            kind, content = self.connection.recv()
        except (EOFError, OSError):
            return self._died(workspace)
        assert self.resolved is not None
        if kind == "began":
            self.observer = follow(self.resolved)
            return None
        if kind == "progress":
            (phase, done, total), numbers = content
            assert self.observer is not None
            self.observer.progress(phase, done, total, **numbers)
            return None
        self.resolved = None
        if kind == "failed":
            raise content
        outcome: Outcome = content
        return outcome

    def stop(self) -> None:
        """Ask it to pause the trial it is at, and to begin no other."""
        self._send(None)

    def end(self) -> None:
        """Wait for the process to end once it was stopped, and end it by force if it takes too long."""
        self.process.join(GOODBYE_SECONDS if self.alive else 0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()

    def _died(self, workspace: "Workspace") -> Outcome:
        """The trial of a process that ended without a word."""
        self.alive = False
        self.process.join(GOODBYE_SECONDS)
        code = self.process.exitcode
        how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"status {code}"
        message = f"its process ended with {how}"
        if code == -getattr(signal, "SIGKILL", 0):
            message += ", as one does that needs more memory than there is; try --jobs 1"
        resolved, self.resolved = self.resolved, None
        assert resolved is not None
        RunStore(workspace.results).note_error(resolved.id, message)
        return Outcome(resolved, "errored", message=message)

    def _send(self, what: Any) -> None:
        try:
            self.connection.send(what)
        except OSError:  # it has died, which reading from it will tell
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


@contextmanager
def _signals_held() -> Iterator[None]:
    """What is started here never gets Ctrl-C or a request to end, which are for the one that starts it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection, threads: int) -> None:
    """What a process does: trials as they come, until None comes or nobody is left to send one."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        workspace = connection.recv()
        import torch

        torch.set_num_threads(threads)
        while (resolved := connection.recv()) is not None:
            try:
                outcome = attempt(resolved, workspace, lambda _: _Report(connection))
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

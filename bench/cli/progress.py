"""Progress on the terminal: a bar over the suite and one over the running trial."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from bench.running.attempt import Outcome
from bench.spec.job import EvaluateJob, TrainJob
from bench.store.records.trials import Result

# A bar is redrawn at most this often; observers are called at every batch.
REDRAW_SECONDS = 0.2


# Signals that mean: stop, and keep what is done. SIGUSR1 is how Slurm warns of the end of a job.
STOPPING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)
]


@contextmanager
def passing_line() -> Iterator[Callable[[str], None]]:
    """What is called with a line replaces the one before; on a terminal alone, and nothing stays."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("") as status:
        yield status.update


class Ended(BaseException):
    """Raised where a run is to end and there is nothing to be finished first."""


class Stop:
    """Why a run is to end early: the budget, or Ctrl-C (a second one ends it at once).

    Before the first trial there is nothing to be finished, and a run ends where it is, by `Ended`. Trials
    check whether they are to stop, and keep what they have done.
    """

    def __init__(self, budget_seconds: float | None) -> None:
        self.budget, self.began = budget_seconds, time.monotonic()
        self.deadline = None if budget_seconds is None else self.began + budget_seconds
        self.signal: int | None = None
        self._heeded = False

    @property
    def interrupted(self) -> bool:
        """Whether a signal was the reason."""
        return self.signal is not None

    @property
    def exit_status(self) -> int:
        """That of a process that the signal has ended, as shells report it: 130 for Ctrl-C."""
        return 128 + (self.signal or signal.SIGINT)

    def __call__(self) -> bool:
        return self.interrupted or (self.deadline is not None and time.monotonic() > self.deadline)

    def heed(self) -> None:
        """From now on whatever runs asks whether it is to stop."""
        self._heeded = True

    @contextmanager
    def later(self) -> Iterator[None]:
        """A reason to end is noted within, and ends the run after it: an import that is broken off half way,
        PyTorch's for one, cannot be done again in the same process."""
        heeded, self._heeded = self._heeded, True
        try:
            yield
        finally:
            self._heeded = heeded
        if not heeded and self():
            raise Ended

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Turn the first of the signals STOPPING, and the end of the budget, into a clean stop."""

        def handle(number: int, frame: FrameType | None) -> None:
            if number == getattr(signal, "SIGHUP", None):
                _forget_terminal()
            if self.interrupted:
                raise KeyboardInterrupt
            self.signal = number
            if not self._heeded:
                raise Ended
            _say("vcbench: stopping; what is done is kept (once more to end at once)")

        def spent(number: int, frame: FrameType | None) -> None:
            if not self._heeded:
                raise Ended

        before = {number: signal.signal(number, handle) for number in STOPPING}
        timed = hasattr(signal, "setitimer")
        if timed and self.deadline is not None:
            before[signal.SIGALRM] = signal.signal(signal.SIGALRM, spent)
            signal.setitimer(signal.ITIMER_REAL, max(1e-6, self.deadline - time.monotonic()))
        try:
            yield
        finally:
            if timed and self.deadline is not None:
                signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)


def _say(text: str) -> None:
    """A line on standard error, from within a signal handler: whatever was being written is not disturbed."""
    with suppress(OSError):
        os.write(2, f"\n{text}\n".encode())


def _forget_terminal() -> None:
    """Write to nowhere from now on: the terminal has gone, and writing to it would fail."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            if stream.isatty():
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def in_notebook() -> bool:
    """Whether this runs in a Jupyter notebook."""
    return Console().is_jupyter


def _console(**options: Any) -> Console:
    """Standard error; in a notebook bars are widgets, and where there are none of these, lines alone."""
    if in_notebook() and find_spec("ipywidgets") is None:
        # Jupyter asks for colours, which would pass for a terminal.
        options |= {"force_jupyter": False, "force_terminal": False}
    return Console(stderr=True, **options)


class TrialBar:
    """Follows one trial and draws its bar."""

    def __init__(self, bars: Progress, task: TaskID, should_stop: Callable[[], bool]) -> None:
        self.bars, self.task, self._should_stop = bars, task, should_stop
        self._phase, self._drawn = "", 0.0

    def progress(self, phase: str, done: int, total: int, **numbers: float) -> None:
        """Redraw the trial's bar."""
        now = time.monotonic()
        if phase == self._phase and done < total and now - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = now
        formats = {"loss": "loss {:.3f}", "val_top1": "val {:.1%}", "images_per_s": "{:.0f} images/s"}
        shown = ", ".join(text.format(numbers[name]) for name, text in formats.items() if name in numbers)
        if phase != self._phase:
            self._phase = phase
            self.bars.reset(self.task, total=total, description=f"  {phase}", numbers=shown)
        self.bars.update(self.task, completed=done, total=total, numbers=shown)

    def logged(self, row: dict[str, float]) -> None:
        """The bar has shown it."""

    def should_stop(self) -> bool:
        """Whether the run is to end."""
        return self._should_stop()


def _column(**layout: Any) -> Column:
    return Column(no_wrap=True, overflow="ellipsis", **layout)


class SuiteBars:
    """A bar over the suite, one over each running trial, and a line for every trial that ends; or nothing."""

    def __init__(self, name: str, should_stop: Callable[[], bool], *, quiet: bool = False) -> None:
        self.console = _console(highlight=False, quiet=quiet)
        self.bars = Progress(
            # Of a line that is too long for the terminal the end is cut off, never count or time.
            TextColumn("{task.description}", markup=False, table_column=_column(max_width=30)),
            BarColumn(bar_width=12),
            TextColumn("{task.completed:.0f}/{task.total:.0f}", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
            TextColumn("{task.fields[numbers]}", markup=False, table_column=_column(ratio=1)),
            expand=True,
            console=self.console,
        )
        self.suite = self.bars.add_task(name, total=1, numbers="trials")
        self.should_stop = should_stop
        self._running: dict[str, TaskID] = {}
        self.drawn = False

    def began(self, done: int, total: int) -> None:
        """Show how much of the suite is done; nothing is drawn before this. A search adds to the total."""
        self.drawn = True
        self.bars.start()
        self.bars.update(self.suite, completed=done, total=total)

    def show(self, what: str) -> None:
        """Show what is being measured without training."""
        self.bars.update(self.suite, numbers=what)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self.console.print(text, markup=False, soft_wrap=True)

    def follow(self, job: TrainJob | EvaluateJob) -> TrialBar:
        """An observer for a job that begins, with a bar of its own."""
        self.bars.update(self.suite, numbers=job.training.where)
        self._running[job.id] = task = self.bars.add_task("", total=1, numbers="")
        return TrialBar(self.bars, task, self.should_stop)

    def ended(self, outcome: Outcome) -> None:
        """Take the bar of a job away, and print a line where its trial ends with it."""
        if (task := self._running.pop(outcome.job.id, None)) is not None:
            self.bars.remove_task(task)
        if outcome.status == "stopped" or not outcome.ends_trial:
            return
        if outcome.status != "errored":
            self.bars.advance(self.suite)
        if outcome.status == "elsewhere":
            return
        record, training = outcome.record, outcome.job.training
        if isinstance(record, Result) and outcome.status == "finished":
            val = f", val {record.metrics.val_top1:.1%}" if record.metrics.val_top1 is not None else ""
            text = f"top-1 {record.top1:.1%}{val}, {record.wall_s:.0f} s"
        elif record is not None and training.purpose == "search" and outcome.status == "finished":
            text = f"held out {record.metrics.val_top1:.1%}, {record.wall_s:.0f} s"
        else:
            text = f"{outcome.status}: {outcome.message or (record and record.reason)}"
        self.console.print(f"{training.id}  {training.where}: {text}", markup=False, soft_wrap=True)


@contextmanager
def trial_bar(name: str, should_stop: Callable[[], bool]) -> Iterator[TrialBar]:
    """The bar of one trial alone, which is gone at its end."""
    bars = SuiteBars(name, should_stop)
    bars.bars.live.transient = True
    bars.bars.update(bars.suite, visible=False)
    with bars.bars:
        yield TrialBar(bars.bars, bars.bars.add_task("", total=1, numbers=""), should_stop)


@contextmanager
def image_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar over images; gives the function that moves it."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f} images"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=1)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def phases(*, quiet: bool = False) -> Iterator[tuple[Callable[[str, int, int], None], Callable[[str], None]]]:
    """A bar over one phase after the other; gives what is called with phase, done and total, and what prints
    a line above the bar."""
    console = _console(highlight=False, quiet=quiet)
    columns = (
        TextColumn("{task.description}", markup=False, table_column=_column(max_width=60)),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=1)
        current = ""

        def show(phase: str, done: int, total: int) -> None:
            nonlocal current
            if phase != current:
                current = phase
                bars.reset(task, total=total, description=phase)
            bars.update(task, completed=done, total=total)

        yield show, lambda line: console.print(line, markup=False, soft_wrap=True)

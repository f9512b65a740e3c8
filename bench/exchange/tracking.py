"""Gives a tracker the trials of a store: live while they are trained, or whole once they are stored.

A run that a process left unfinished in the tracker is written anew: its rows are those of the trial's
learning curve, each once, however often training was stopped and went on.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.exchange.trackers import Log, Run, open_tracker
from bench.files import slug
from bench.networks.cards import find_card
from bench.spec.job import CLEAN, EvaluateJob, TrainJob

if TYPE_CHECKING:
    from bench.store.records.listing import Listing, TrialEntry
    from bench.store.records.trials import Result
    from bench.store.run_store import RunStore
    from bench.training.observer import Observer

Row = tuple[int, dict[str, float]]


class Tracking:
    """One suite of a store in the folder of a tracker.

    Raises:
        InputError: as `open_tracker`.
    """

    def __init__(self, name: str, folder: Path, store: "RunStore", suite: str) -> None:
        self.tracker = open_tracker(name, folder)
        self._unfinished = folder / ".unfinished"
        self._store, self._suite = store, suite
        self._open: dict[str, Log] = {}  # by the name of the run
        self._steps: dict[str, int] = {}  # the last one of each that has a row

    def follow(self, job: TrainJob | EvaluateJob, observer: "Observer") -> "Observer":
        """An observer of a job that also passes on the rows of its learning curve."""
        live = isinstance(job, TrainJob) and job.purpose == "report"
        return _Tracked(observer, self, job.training) if live else observer

    def row(self, job: TrainJob, row: dict[str, float]) -> None:
        """Pass on a row of the learning curve of a trial that trains here."""
        if (listing := self._store.suite(self._suite)) is None:
            return
        numbers = {name: value for name, value in row.items() if name != "step" and value == value}
        for entry in listing.runs.get(job.id, ()):
            if _name(entry) not in self._open:
                self._begin(_run_of_job(listing, entry, job))
            self._row(_name(entry), int(row["step"]), numbers)

    def write(self, only: str | None = None) -> list[str]:
        """Finish the runs of stored trials, or of `only` one by its id, and write those that the tracker
        lacks or has unfinished; returns their names."""
        if (listing := self._store.suite(self._suite)) is None:
            return []
        return [
            f"{self._suite}/{_name(entry)}"
            for run, entries in listing.runs.items()
            if only in (None, run) and (result := self._store.result(run)) is not None
            for entry in entries
            if self._finish(listing, entry, result)
        ]

    def close(self) -> None:
        """Close what is open, unfinished."""
        while self._open:
            self._open.popitem()[1].close()

    def _begin(self, run: Run) -> None:
        if self.tracker.has(run):
            self.tracker.remove(run)
        mark = self._mark(run.name)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        self._open[run.name], self._steps[run.name] = self.tracker.begin(run), 0

    def _row(self, name: str, step: int, numbers: dict[str, float]) -> None:
        """Log a row, unless it has been."""
        if step > self._steps[name]:
            self._steps[name] = step
            self._open[name].row(step, numbers)

    def _finish(self, listing: "Listing", entry: "TrialEntry", result: "Result") -> bool:
        """Whether there was anything to finish or to write."""
        name = _name(entry)
        if name not in self._open:
            run = _run_of_result(listing, entry, result)
            if self.tracker.has(run) and not self._mark(name).exists():
                return False
            self._begin(run)
        for step, numbers in _rows(self._store.history(result.id)):
            self._row(name, step, numbers)
        self._open.pop(name).finish(_metrics(self._store, listing, entry, result), result.outcome)
        self._mark(name).unlink(missing_ok=True)  # another process may have finished the same trial
        return True

    def _mark(self, name: str) -> Path:
        """A file that is there as long as the tracker has a run that is not finished."""
        return self._unfinished / self._suite / name


class _Tracked:
    """An observer of a trial whose learning curve is tracked."""

    def __init__(self, observer: "Observer", tracking: Tracking, job: TrainJob) -> None:
        self._tracking, self._job, self._observer = tracking, job, observer
        self.progress, self.should_stop = observer.progress, observer.should_stop

    def logged(self, row: dict[str, float]) -> None:
        """Passed on to both."""
        self._observer.logged(row)
        self._tracking.row(self._job, row)


def export_runs(store: "RunStore", name: str, folder: Path) -> list[str]:
    """Write all trials of a store, and a report of each of its suites that trains; returns their names.

    What the folder has already is left alone.

    Raises:
        InputError: as `open_tracker`.
        StoreError: the store cannot be read.
    """
    from bench.report.render import render

    open_tracker(name, folder)
    written = []
    for suite in store.suites():
        tracking = Tracking(name, folder, store, suite)
        new = tracking.write()
        if new:
            with tempfile.TemporaryDirectory() as report:
                render(store, suite, Path(report))
                tracking.tracker.attach(suite, Path(report))
        written += new
    return written


def _group(entry: "TrialEntry") -> str:
    size = "all" if entry.shots is None else str(entry.shots)
    return f"{slug(entry.comparison)}-{slug(entry.contestant)}-{size}"


def _name(entry: "TrialEntry") -> str:
    return f"{_group(entry)}-r{entry.replicate}"


def _run_of_job(listing: "Listing", entry: "TrialEntry", job: TrainJob) -> Run:
    """The run of a trial that is being trained."""
    card, recipe = find_card(job.trial.model), job.trial.recipe
    about = {
        "model": card.name,
        "family": card.family,
        "dataset": job.dataset,
        "split_id": job.identity["split_id"],
        "recipe": recipe.name,
        "protocol": recipe.protocol,
    }
    return _run(listing, entry, about, job.identity)


def _run_of_result(listing: "Listing", entry: "TrialEntry", result: "Result") -> Run:
    """The same run, of the stored trial."""
    about = {
        "model": result.model.name,
        "family": result.model.family,
        "dataset": result.data.dataset,
        "split_id": result.data.split_id,
        "recipe": result.recipe,
        "protocol": result.protocol,
    }
    return _run(listing, entry, about, result.identity.content())


def _run(listing: "Listing", entry: "TrialEntry", about: dict[str, str], identity: dict[str, Any]) -> Run:
    tags = about | {
        "suite": listing.suite,
        "comparison": entry.comparison,
        "contestant": entry.contestant,
        "shots": "all" if entry.shots is None else str(entry.shots),
        "replicate": str(entry.replicate),
        "run": str(entry.id),
    }
    return Run(str(entry.id), listing.suite, _group(entry), _name(entry), tags, dict(_flat(identity)))


def _metrics(
    store: "RunStore", listing: "Listing", entry: "TrialEntry", result: "Result"
) -> dict[str, float]:
    """Those of the clean test images and of every condition; the top-1 of a diverged trial is chance."""
    metrics = _numbers(result.metrics.content()) | {"top1": result.top1, "wall_s": result.wall_s}
    for condition in listing.conditions_of(entry):
        one = store.result(result.id, condition) if condition != CLEAN else None
        if one is not None and one.evaluation is not None:
            numbers = _numbers(one.evaluation.metrics.content())
            metrics |= {f"{condition}/{name}": value for name, value in numbers.items()}
    return metrics


def _numbers(content: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in content.items() if isinstance(value, int | float)}


def _rows(history: pd.DataFrame | None) -> list[Row]:
    """The steps of a learning curve, each with the numbers that it has."""
    if history is None:
        return []
    columns = history.drop(columns="step").astype("float64")
    rows = columns.to_dict("records")
    return [
        (int(step), {name: value for name, value in row.items() if value == value})
        for step, row in zip(history["step"], rows, strict=True)
    ]


def _flat(content: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings by dotted keys; what is neither text, number nor boolean as text."""
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value if isinstance(value, str | int | float) else str(value)

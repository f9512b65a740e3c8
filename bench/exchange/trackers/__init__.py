"""Experiment trackers: each a file here, which writes trials for one tracker, offline in a folder.

A file holds `open_tracker(folder) -> Tracker`. Its library is the extra of the project that has its name.
"""

import pkgutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from bench.errors import InputError, did_you_mean
from bench.spec.job import CLEAN

if TYPE_CHECKING:
    from bench.store.records.listing import Listing, TrialEntry
    from bench.store.records.trials import Result
    from bench.store.run_store import RunStore


@dataclass(frozen=True)
class Run:
    """A trial as trackers know one.

    Attributes:
        id: that of the trial.
        project: the suite.
        group: the cell, COMPARISON-CONTESTANT-SHOTS: the same for all replicates of a cell.
        name: the group and the replicate; one of a project.
        tags: what tells cells apart, by name.
        config: the resolved configuration, by dotted key: text, numbers and booleans.
        history: the learning curve, a row a logged step: its number, and what was logged, by name.
        metrics: what was measured in the end, by name; of a condition as CONDITION/NAME.
    """

    id: str
    project: str
    group: str
    name: str
    tags: dict[str, str]
    config: dict[str, Any]
    history: list[tuple[int, dict[str, float]]]
    metrics: dict[str, float]


class Tracker(Protocol):
    """Writes for one tracker into a folder."""

    def has(self, run: Run) -> bool:
        """Whether the run was written there before."""

    def write(self, run: Run) -> None:
        """Write a run, which is not there yet."""

    def attach(self, project: str, report: Path) -> None:
        """Add the folder of a rendered report to a project."""


def tracker_names() -> list[str]:
    """The trackers there are."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def open_tracker(name: str, folder: Path) -> Tracker:
    """A tracker that writes into a folder.

    Raises:
        InputError: there is no such tracker, or its library is not installed.
    """
    names = tracker_names()
    if name not in names:
        raise InputError(f'no tracker "{name}"{did_you_mean(name, names)} (trackers: {", ".join(names)})')
    try:
        tracker: Tracker = import_module(f"{__name__}.{name}").open_tracker(folder.absolute())
    except ImportError as error:
        raise InputError(f"{name}: is not installed ({error}); pip install 'vcbench[{name}]'") from error
    return tracker


def export_runs(store: "RunStore", name: str, folder: Path) -> list[str]:
    """Write all trials of a store, and a report of each of its suites that trains; returns their names.

    What the folder has already is left alone.

    Raises:
        InputError: as `open_tracker`.
        StoreError: the store cannot be read.
    """
    from bench.report.render import render

    tracker, written = open_tracker(name, folder), []
    for suite in store.suites():
        new = write_new(tracker, store, suite)
        if new:
            with tempfile.TemporaryDirectory() as report:
                render(store, suite, Path(report))
                tracker.attach(suite, Path(report))
        written += new
    return written


def write_new(tracker: Tracker, store: "RunStore", suite: str, only: str | None = None) -> list[str]:
    """Write the trials of a suite that the tracker lacks, or `only` one by its id; returns their names."""
    listing, written = store.suite(suite), []
    for run in _runs(store, listing, only) if listing else ():
        if not tracker.has(run):
            tracker.write(run)
            written.append(f"{run.project}/{run.name}")
    return written


def _runs(store: "RunStore", listing: "Listing", only: str | None) -> Iterator[Run]:
    """The trials that have a result, each once for every cell it is in."""
    for run, entries in listing.runs.items():
        result = store.result(run) if only in (None, run) else None
        if result is not None:
            history = _rows(store.history(run))
            for entry in entries:
                yield _run(listing, entry, result, history, _metrics(store, listing, entry, result))


def _run(
    listing: "Listing",
    entry: "TrialEntry",
    result: "Result",
    history: list[tuple[int, dict[str, float]]],
    metrics: dict[str, float],
) -> Run:
    size = "all" if entry.shots is None else str(entry.shots)
    group = f"{entry.comparison}-{entry.contestant}-{size}"
    tags = {
        "suite": listing.suite,
        "comparison": entry.comparison,
        "contestant": entry.contestant,
        "model": result.model.name,
        "family": result.model.family,
        "dataset": result.data.dataset,
        "split_id": result.data.split_id,
        "shots": size,
        "replicate": str(entry.replicate),
        "recipe": result.recipe,
        "protocol": result.protocol,
        "outcome": result.outcome,
        "run": result.id,
    }
    config = dict(_flat(result.identity.content()))
    name = f"{group}-r{entry.replicate}"
    return Run(result.id, listing.suite, group, name, tags, config, history, metrics)


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


def _rows(history: pd.DataFrame | None) -> list[tuple[int, dict[str, float]]]:
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

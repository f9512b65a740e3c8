"""Experiment trackers: each a file here, which writes runs for one tracker, offline in a folder.

A file holds `open_tracker(folder) -> Tracker`. Its library is the extra of the project that has its name.
`bench.exchange.tracking` gives them what is trained and what is stored.
"""

import pkgutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from bench.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Run:
    """A trial as trackers know one.

    Attributes:
        id: that of the trial.
        project: the suite.
        group: the cell, COMPARISON-CONTESTANT-SHOTS in lower case: the same for all replicates of a cell.
        name: the group and the replicate; one of a project.
        tags: what tells cells apart, by name.
        config: the resolved configuration, by dotted key: text, numbers and booleans.
    """

    id: str
    project: str
    group: str
    name: str
    tags: dict[str, str]
    config: dict[str, Any]


class Log(Protocol):
    """An open run of a tracker. Several may be open at once."""

    def row(self, step: int, numbers: dict[str, float]) -> None:
        """What was logged after a step of training, by name; who looks at the tracker sees it at once."""

    def finish(self, metrics: dict[str, float], outcome: str) -> None:
        """What was measured in the end, by name (of a condition as CONDITION/NAME); closes the run."""

    def close(self) -> None:
        """Close the run as it is, before it was finished."""


class Tracker(Protocol):
    """Writes for one tracker into a folder."""

    def has(self, run: Run) -> bool:
        """Whether the run was begun there before."""

    def remove(self, run: Run) -> None:
        """Remove a run that is there and not open."""

    def begin(self, run: Run) -> Log:
        """Begin a run, which is not there yet."""

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

"""Trackio: a database a suite in FOLDER; `TRACKIO_DIR=FOLDER trackio show --project SUITE`."""

import os
import sys
from contextlib import redirect_stdout
from contextvars import Context
from pathlib import Path
from typing import Any

from bench.errors import InputError
from bench.exchange.trackers import Log, Run


def open_tracker(folder: Path) -> "Trackio":
    """Trackio's databases in a folder.

    Raises:
        InputError: trackio writes to another folder already, which it cannot change.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio

    if folder != trackio.TRACKIO_DIR:
        raise InputError(f"trackio writes to {trackio.TRACKIO_DIR} in this process; begin a new one")
    return Trackio()


class Trackio:
    """See `bench.exchange.trackers.Tracker`. A report is the artefact of a run of its own, `report`."""

    def has(self, run: Run) -> bool:
        """Whether the project has a run of this name."""
        from trackio.sqlite_storage import SQLiteStorage

        return run.name in SQLiteStorage.get_runs(run.project)

    def remove(self, run: Run) -> None:
        """Its rows and its configuration."""
        from trackio.sqlite_storage import SQLiteStorage

        SQLiteStorage.delete_run(run.project, run.name)

    def begin(self, run: Run) -> Log:
        """Configuration and tags."""
        return Rows(_init(run.project, name=run.name, group=run.group, config=run.config | run.tags))

    def attach(self, project: str, report: Path) -> None:
        """The report as an artefact."""
        own = _init(project, name="report")
        with redirect_stdout(sys.stderr):
            own.log_artifact(report, name=f"{project}-report", type="report")
            own.finish()


class Rows:
    """See `bench.exchange.trackers.Log`; `own` is the run of trackio."""

    def __init__(self, own: Any) -> None:
        self._own, self._last = own, 0

    def row(self, step: int, numbers: dict[str, float]) -> None:
        """Metrics of a step, which trackio writes within half a second."""
        self._last = step
        self._own.log(numbers, step=step)

    def finish(self, metrics: dict[str, float], outcome: str) -> None:
        """One more row of the last step."""
        final = {f"final/{name}": value for name, value in metrics.items()}
        self._own.log({**final, "outcome": outcome}, step=self._last)
        self.close()

    def close(self) -> None:
        """Write what is queued."""
        with redirect_stdout(sys.stderr):
            self._own.finish()


def _init(project: str, **options: Any) -> Any:
    """A run. trackio ends the run before it in the same context, so that each has a context of its own."""
    import trackio

    quiet = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
    with redirect_stdout(sys.stderr):
        return Context().run(trackio.init, project, **quiet, **options)

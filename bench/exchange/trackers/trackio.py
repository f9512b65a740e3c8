"""Trackio: a database a suite in FOLDER; `TRACKIO_DIR=FOLDER trackio show --project SUITE`."""

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

from bench.errors import InputError
from bench.exchange.trackers import Run


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

    def write(self, run: Run) -> None:
        """The history, the final metrics as one more step, configuration and tags."""
        import trackio

        metrics = {f"final/{name}": value for name, value in run.metrics.items()}
        last = run.history[-1][0] if run.history else 0
        with redirect_stdout(sys.stderr):
            trackio.init(
                run.project,
                name=run.name,
                group=run.group,
                config=run.config | run.tags,
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
            for step, row in run.history:
                trackio.log(row, step=step)
            trackio.log(metrics, step=last)
            trackio.finish()

    def attach(self, project: str, report: Path) -> None:
        """The report as an artefact."""
        import trackio

        with redirect_stdout(sys.stderr):
            trackio.init(project, name="report", embed=False, auto_log_gpu=False, auto_log_cpu=False)
            trackio.log_artifact(report, name=f"{project}-report", type="report")
            trackio.finish()

"""Weights & Biases: FOLDER/wandb/offline-run-*; `wandb sync FOLDER/wandb/offline-run-*` uploads them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wandb

from bench.exchange.trackers import Log, Run


def open_tracker(folder: Path) -> "WeightsAndBiases":
    """Offline runs in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return WeightsAndBiases(folder)


class WeightsAndBiases:
    """See `bench.exchange.trackers.Tracker`. A report is the artefact of a run of its own, `report`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, run: Run) -> bool:
        """Whether there is an offline run of its id."""
        return any(self._found(run))

    def remove(self, run: Run) -> None:
        """Its offline runs."""
        for own in list(self._found(run)):
            shutil.rmtree(own)

    def begin(self, run: Run) -> Log:
        """Configuration and tags."""
        tags = [f"{name}:{value}"[:64] for name, value in run.tags.items()]
        own = self._begin(run.project, run.name, id=_id(run), group=run.group, tags=tags)
        own.config.update(run.config | run.tags)
        return Offline(own)

    def attach(self, project: str, report: Path) -> None:
        """The report as an artefact."""
        with self._begin(project, "report", job_type="report") as own:
            artefact = wandb.Artifact(f"{project}-report".replace("+", "-"), type="report")
            artefact.add_dir(str(report))
            own.log_artifact(artefact)

    def _found(self, run: Run) -> Iterator[Path]:
        return self._folder.glob(f"wandb/offline-run-*-{_id(run)}")

    def _begin(self, project: str, name: str, **options: Any) -> Any:
        settings = wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True)
        place = {"dir": str(self._folder), "mode": "offline", "reinit": "create_new"}
        return wandb.init(project=project.replace("+", "-"), name=name, settings=settings, **place, **options)


class Offline:
    """See `bench.exchange.trackers.Log`; `own` is the run of wandb."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def row(self, step: int, numbers: dict[str, float]) -> None:
        """A step of the history."""
        self._own.log(numbers, step=step, commit=True)

    def finish(self, metrics: dict[str, float], outcome: str) -> None:
        """The summary."""
        self._own.summary.update({**metrics, "outcome": outcome})
        self._own.finish()

    def close(self) -> None:
        """As a run that failed."""
        self._own.finish(exit_code=1)


def _id(run: Run) -> str:
    return f"{run.id}-{run.name}".replace("+", "-")[:128]

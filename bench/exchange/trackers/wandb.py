"""Weights & Biases: FOLDER/wandb/offline-run-*; `wandb sync FOLDER/wandb/offline-run-*` uploads them."""

from pathlib import Path
from typing import Any

import wandb

from bench.exchange.trackers import Run


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
        return any(self._folder.glob(f"wandb/offline-run-*-{_id(run)}"))

    def write(self, run: Run) -> None:
        """The history, the final metrics as the summary, configuration, and tags."""
        tags = [f"{name}:{value}"[:64] for name, value in run.tags.items()]
        with self._begin(run.project, run.name, id=_id(run), group=run.group, tags=tags) as own:
            own.config.update(run.config | run.tags)
            for step, row in run.history:
                own.log(row, step=step)
            own.summary.update(run.metrics)

    def attach(self, project: str, report: Path) -> None:
        """The report as an artefact."""
        with self._begin(project, "report", job_type="report") as own:
            artefact = wandb.Artifact(f"{project}-report".replace("+", "-"), type="report")
            artefact.add_dir(str(report))
            own.log_artifact(artefact)

    def _begin(self, project: str, name: str, **options: Any) -> Any:
        settings = wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True)
        place = {"dir": str(self._folder), "mode": "offline", "reinit": "finish_previous"}
        return wandb.init(project=project.replace("+", "-"), name=name, settings=settings, **place, **options)


def _id(run: Run) -> str:
    return f"{run.id}-{run.name}".replace("+", "-")[:128]

"""MLflow: an experiment a suite; `mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db` shows them."""

import time
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from bench.exchange.trackers import Log, Run

# What one call may hold.
MOST_PARAMS = 100


def open_tracker(folder: Path) -> "MLflow":
    """MLflow's database in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return MLflow(folder)


class MLflow:
    """See `bench.exchange.trackers.Tracker`. A report is the artefact of a run of its own, `report`."""

    def __init__(self, folder: Path) -> None:
        self._artefacts = folder / "artifacts"
        self._client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")

    def has(self, run: Run) -> bool:
        """Whether the experiment has a run of this name."""
        return bool(self._found(run))

    def remove(self, run: Run) -> None:
        """Mark it as deleted, as MLflow does."""
        for own in self._found(run):
            self._client.delete_run(own.info.run_id)

    def begin(self, run: Run) -> Log:
        """Parameters, and tags with the group."""
        params = [Param(name, str(value)) for name, value in run.config.items()]
        tags = [RunTag(name, value) for name, value in (run.tags | {"group": run.group}).items()]
        own = self._client.create_run(self._experiment(run.project), run_name=run.name).info.run_id
        self._client.log_batch(own, tags=tags)
        for start in range(0, len(params), MOST_PARAMS):
            self._client.log_batch(own, params=params[start : start + MOST_PARAMS])
        return Metrics(self._client, own)

    def attach(self, project: str, report: Path) -> None:
        """The report as an artefact."""
        own = self._client.create_run(self._experiment(project), run_name="report").info.run_id
        self._client.log_artifacts(own, str(report), "report")
        self._client.set_terminated(own)

    def _experiment(self, project: str) -> str:
        known = self._client.get_experiment_by_name(project)
        if known is not None:
            return str(known.experiment_id)
        return str(self._client.create_experiment(project, (self._artefacts / project).as_uri()))

    def _found(self, run: Run) -> Any:
        named = f"attributes.run_name = '{run.name}'"
        return self._client.search_runs([self._experiment(run.project)], named)


class Metrics:
    """See `bench.exchange.trackers.Log`; `own` is the id of the run in MLflow."""

    def __init__(self, client: MlflowClient, own: str) -> None:
        self._client, self._own = client, own

    def row(self, step: int, numbers: dict[str, float]) -> None:
        """Metrics of a step."""
        now = int(1000 * time.time())
        self._client.log_batch(
            self._own, metrics=[Metric(name, value, now, step) for name, value in numbers.items()]
        )

    def finish(self, metrics: dict[str, float], outcome: str) -> None:
        """Metrics as final/NAME, and the outcome as a tag."""
        self.row(0, {f"final/{name}": value for name, value in metrics.items()})
        self._client.set_tag(self._own, "outcome", outcome)
        self._client.set_terminated(self._own)

    def close(self) -> None:
        """Killed, as MLflow calls it."""
        self._client.set_terminated(self._own, "KILLED")

"""MLflow: an experiment a suite; `mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db` shows them."""

import time
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from bench.exchange.trackers import Run

# What one call may hold.
MOST_METRICS, MOST_PARAMS = 1000, 100


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
        return self._is_there(run.project, run.name)

    def write(self, run: Run) -> None:
        """History and final metrics, parameters, and tags with the group."""
        now = int(1000 * time.time())
        metrics = [Metric(name, value, now, step) for step, row in run.history for name, value in row.items()]
        metrics += [Metric(f"final/{name}", value, now, 0) for name, value in run.metrics.items()]
        params = [Param(name, str(value)) for name, value in run.config.items()]
        tags = [RunTag(name, value) for name, value in (run.tags | {"group": run.group}).items()]
        own = self._client.create_run(self._experiment(run.project), run_name=run.name).info.run_id
        self._client.log_batch(own, tags=tags)
        for start in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(own, metrics=metrics[start : start + MOST_METRICS])
        for start in range(0, len(params), MOST_PARAMS):
            self._client.log_batch(own, params=params[start : start + MOST_PARAMS])
        self._client.set_terminated(own)

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

    def _is_there(self, project: str, name: str) -> bool:
        named = f"attributes.run_name = '{name}'"
        return bool(self._client.search_runs([self._experiment(project)], named, max_results=1))

"""A suite of many jobs, and workers that only pretend to do them: records are written without training."""

import heapq
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from bench.running.attempt import Outcome
from bench.running.queue import Queue
from bench.running.workspace import Workspace
from bench.spec.job import EvaluateJob, TrainJob
from bench.store.reading import sha256
from bench.store.run_store import RunStore

MODELS = ("vit_digits", "vit_digits_small", "resnet_digits", "resnet_digits_small")
COMPARISONS = 5
SHOTS = (1, 2, 5, 10, 20)
CONDITIONS = ("gaussian_noise-1", "gaussian_noise-3", "gaussian_noise-5")
# A trial is a training and an evaluation under each condition, clean among them.
JOBS_A_REPLICATE = COMPARISONS * len(MODELS) * len(SHOTS) * (2 + len(CONDITIONS))
TITLE = """title = "scale"
description = "Many jobs, none of them done."
keep_weights = false
"""
MODEL = """[models.{0}]
model = "{0}"
"""
COMPARISON = """[[comparison]]
name = "c{number}"
dataset = "digits"
contestants = {models}
contrasts = [["vit_digits", "resnet_digits"]]
recipe = "scratch"
shots = {shots}
replicates = {replicates}
input_size = 16
conditions = {conditions}
[comparison.set]
"optimizer.lr" = {lr}
"""


def write_suite(path: Path, jobs: int) -> int:
    """Write a suite of about so many jobs; returns of how many."""
    replicates = max(1, round(jobs / JOBS_A_REPLICATE))
    comparisons = [
        COMPARISON.format(
            number=number,
            models=json.dumps(MODELS),
            shots=json.dumps(SHOTS),
            replicates=replicates,
            conditions=json.dumps(CONDITIONS),
            lr=(1 + number) / 1000,
        )
        for number in range(COMPARISONS)
    ]
    path.write_text("".join([TITLE, *map(MODEL.format, MODELS), *comparisons]))
    return replicates * JOBS_A_REPLICATE


class Pretending:
    """An engine that takes jobs from the queue and ends them in an order by chance.

    It has no processes, and claims and attempts no job as `bench.running.attempt` does.

    Args:
        workers: how many jobs are in hand at once.
        failing: the share of jobs that end with an error, as where a worker died; no worker is lost by it.
        seed: of what is by chance.
    """

    def __init__(self, workers: int, failing: float, seed: int = 0) -> None:
        self.workers, self.failing, self.random = workers, failing, random.Random(seed)
        self.description = f"{workers} workers that only pretend"
        self.ended = 0
        self._predictions: dict[int, tuple[bytes, float, str]] = {}

    def run(self, queue: Queue, workspace: Workspace, follow: object) -> Iterator[Outcome]:
        """As `bench.running.engines.Engine.run`."""
        in_hand: list[tuple[float, int, TrainJob | EvaluateJob]] = []
        number, now = itertools.count(), 0.0
        while True:
            while len(in_hand) < self.workers and (job := queue.take()) is not None:
                heapq.heappush(in_hand, (now + self.random.expovariate(1.0), next(number), job))
            if not in_hand:
                return
            now, _, job = heapq.heappop(in_hand)
            if self.random.random() < self.failing:
                workspace.store.note_error(workspace.store.files_of(job), "its worker died")
                outcome = Outcome(job, "errored", message="its worker died")
            else:
                self._write(job, workspace)
                outcome = Outcome(job, "finished")
            self.ended += 1
            queue.ended(outcome)
            yield outcome

    def _write(self, job: TrainJob | EvaluateJob, workspace: Workspace) -> None:
        store, dataset = workspace.store, workspace.resolver.dataset(job.training.trial)
        labels = dataset.split_labels("test")
        data = {
            "dataset": dataset.name, "split_id": dataset.split_id, "fingerprint": dataset.fingerprint,
            "copy": dataset.copy, "classes": len(dataset.class_names), "test_images": len(labels),
        }  # fmt: skip
        common = {
            "format": 2, "id": job.id, "outcome": "finished", "wall_s": 1.0, "device": "cpu",
            "machine": "none", "versions": {"torch": "0"}, "data": data, "details": {},
        }  # fmt: skip
        files = store.files_of(job)
        files.folder.mkdir(parents=True, exist_ok=True)
        if isinstance(job, EvaluateJob):
            if not store.labels_of((data["dataset"], data["split_id"], data["fingerprint"])).exists():
                key = (data["dataset"], data["split_id"], data["fingerprint"])
                store.write_labels(*key, labels, None, tuple(dataset.class_names))
            content, top1, hashed = self._predicted(labels, files.folder, int(job.id, 16) % 64)
            files.predictions.write_bytes(content)
            metrics = {"top1": top1, "top5": 1.0, "mean_per_class": top1, "nll": 1 - top1, "ece": 0.1}
            record = common | {
                "kind": "evaluation", "trial": job.training.id, "condition": job.condition,
                "metrics": metrics, "test_evaluations": 1, "predictions_sha256": hashed,
            }  # fmt: skip
        else:
            trial = job.trial
            model = {
                "name": trial.model, "title": trial.title, "family": trial.model[:3], "kind": "cnn",
                "pretraining": "none", "params": 100_000, "weights": "none", "weights_source": "none",
            }  # fmt: skip
            record = common | {
                "kind": "trial", "identity": job.identity, "model": model, "recipe": trial.recipe.name,
                "protocol": "shared", "selection": "last", "images_seen": 1000, "steps": 100, "epochs": 10.0,
                "data": data | {"train_images": job.train_images, "val_images": 100},
                "metrics": {"val_top1": 0.5, "val_nll": 1.0, "train_top1": 0.9, "train_nll": 0.3},
            }  # fmt: skip
            files.weights.touch()
        files.record.write_text(json.dumps(record))
        files.error.unlink(missing_ok=True)

    def _predicted(self, labels: np.ndarray, folder: Path, kind: int) -> tuple[bytes, float, str]:
        """One of few files of predictions, with its accuracy and hash."""
        if kind not in self._predictions:
            drawn = np.random.default_rng(kind)
            right = drawn.random(len(labels)) < 0.5 + kind / 200
            confidence = drawn.uniform(0.3, 1, len(labels))
            columns = {
                "predicted": np.where(right, labels, (labels + 1) % 10).astype(np.uint16),
                "confidence": confidence.astype(np.float16),
                "rank": (~right).astype(np.uint16),
                "log_prob": np.log(np.where(right, confidence, 1 - confidence + 1e-3)).astype(np.float16),
            }
            path = folder / "predictions.parquet"
            pa.parquet.write_table(pa.table(columns), path, compression="zstd")
            self._predictions[kind] = path.read_bytes(), float(right.mean()), sha256(path)
        return self._predictions[kind]


def workspace_of(folder: Path) -> Workspace:
    """A workspace with an empty store, or the one that is there."""
    workspace = Workspace(folder, folder / "weights", folder / "store", "cpu")
    RunStore(workspace.results).prepare()
    return workspace

"""What the networks of a repeat of k-fold come to together: one result on all images.

It is stored like the result of a trial, made of the records and predictions of its folds and of nothing else;
its details name the folds, and the fold of every image. Numbers of images and steps are of one network, the
mean over folds; seconds are of all.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.errors import warn
from bench.files import digest
from bench.metrics.accuracy import score_columns
from bench.planning.plan import Resolver
from bench.planning.repeats import repeat_identity, whole_repeats
from bench.spec.job import CLEAN, TrainJob, evaluation_id
from bench.store.records.base import Circumstances
from bench.store.records.trials import Result
from bench.store.run_store import RunStore
from bench.training.baselines import baseline_id

if TYPE_CHECKING:
    from bench.data import Dataset

ON_TEST = ("class_mean_top1", "class_top1", "distillation_top1")
"""Accuracies on the test images that predictions do not give."""


def join_repeats(jobs: Iterable[TrainJob], resolver: Resolver, store: RunStore) -> None:
    """Store the result of every repeat whose folds are all trained and evaluated, where it is not there yet
    or was made of networks that have been trained anew since.

    A repeat one of whose networks diverged has diverged.
    """
    for folds in whole_repeats(jobs):
        identity = repeat_identity(folds)
        run = digest(identity)
        weights = _weights(folds, store)
        for condition in folds[0].trial.conditions:
            if store.is_evaluated(run, condition) and _is_of(run, weights, store):
                continue
            results = [store.result(job.id, condition) for job in folds]
            done = [result for result in results if result is not None]
            if len(done) < len(folds):
                continue
            if all(one.outcome == "finished" for one in done):
                files = [store.evaluation_files(one.id, condition).predictions for one in done]
                if lost := [path for path in files if not path.exists()]:
                    warn(f"{lost[0]}: is not there; the repeat of this fold is left out")
                    continue
            with store.claim(run) as mine:
                if mine:
                    datasets = [resolver.dataset(job.trial) for job in folds]
                    _join(run, identity, weights, done, datasets, store)


def _weights(folds: Sequence[TrainJob], store: RunStore) -> str | None:
    """A hash of those of the stored weights of the folds; None where one of them has none."""
    trials = [store.trial(job.id) for job in folds]
    known = [one.weights_sha256 for one in trials if one and one.weights_sha256]
    return sha256(" ".join(known).encode()).hexdigest() if len(known) == len(trials) else None


def _is_of(run: str, weights: str | None, store: RunStore) -> bool:
    """Whether the record of a repeat is there and of folds with these weights, as far as is known."""
    trial = store.trial(run)
    return trial is not None and (None in (trial.weights_sha256, weights) or trial.weights_sha256 == weights)


def _join(
    run: str,
    identity: dict[str, Any],
    weights: str | None,
    results: list[Result],
    datasets: "list[Dataset]",
    store: RunStore,
) -> None:
    positions = [dataset.splits["test"] for dataset in datasets]
    diverged = next((k for k, result in enumerate(results) if result.outcome == "diverged"), None)
    trained = diverged is None or results[diverged].evaluation is not None
    reason = None if diverged is None else f"fold {diverged}: {results[diverged].reason}"
    data = results[0].data.content() | {
        "split_id": identity["split_id"],
        "test_images": sum(map(len, positions)),
        "train_images": _mean([result.data.train_images for result in results]),
        "val_images": _mean([result.data.val_images for result in results]),
    }
    around = _circumstances(results)
    evaluating = sum(result.evaluation.wall_s for result in results if result.evaluation)
    training = sum(result.wall_s for result in results) - evaluating
    if not _is_of(run, weights, store):
        _baseline(identity, data, results, store)
        first = results[0].content()
        kept = ("model", "recipe", "protocol", "selection")
        content = {name: first[name] for name in kept if name in first} | around
        fold_of = np.empty(data["test_images"], dtype=np.int64)
        for fold, own in enumerate(positions):
            fold_of[own] = fold
        content |= {
            "kind": "trial",
            "outcome": "finished" if trained else "diverged",
            "reason": None if trained else reason,
            "identity": identity,
            "data": data,
            "metrics": _while_choosing(results),
            "wall_s": round(training, 3),
            "details": {"folds": identity["folds"], "fold_of": fold_of.tolist()},
            "images_seen": _mean_known([result.images_seen for result in results]),
            "steps": _mean_known([result.steps for result in results]),
            "weights_sha256": weights,
        }
        store.finish_joined("runs", run, content)
    if not trained:
        return
    condition = results[0].condition
    content = around | {
        "kind": "evaluation",
        "trial": run,
        "condition": condition,
        "wall_s": round(evaluating, 3),
        "outcome": "finished" if diverged is None else "diverged",
        "reason": reason,
        "data": {name: value for name, value in data.items() if name not in ("train_images", "val_images")},
        "metrics": {},
        "test_evaluations": max(result.test_evaluations or 0 for result in results),
        "weights_sha256": weights,
    }
    content["data"].pop("overlap", None)
    if diverged is None:
        labels = datasets[0].labels
        columns, probabilities = _predictions(results, positions, store)
        key = (data["dataset"], data["split_id"], data["fingerprint"])
        store.write_labels(*key, labels, None, datasets[0].class_names, datasets[0].groups)
        files = store.evaluation_folder(run, condition)
        store.write_predictions(files, columns, probabilities)
        content["metrics"] = _on_test(columns, labels, results)
    store.finish_joined("evaluations", evaluation_id(run, condition), content)


def _predictions(
    results: list[Result], positions: list[np.ndarray], store: RunStore
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """The predictions of all images in their order, each by the network of its fold; and the probabilities,
    where those of all folds are there."""
    order = np.argsort(np.concatenate(positions))
    columns = [store.prediction_columns(result) for result in results]
    known = [one for one in columns if one is not None]
    assert len(known) == len(columns)  # `join_repeats` has looked
    joined = {name: np.concatenate([one[name] for one in known])[order] for name in known[0]}
    if results[0].condition != CLEAN or not all(store.has_probabilities(result.id) for result in results):
        return joined, None
    shares = np.concatenate([store.probabilities(result.id) for result in results])[order]
    return joined, shares.astype(np.float16)


def _on_test(
    columns: dict[str, np.ndarray], labels: np.ndarray, results: list[Result]
) -> dict[str, float | None]:
    """Metrics over all images; those that predictions do not give are means over images all the same."""
    metrics: dict[str, float | None] = {**score_columns(columns, labels)}
    for name in ("nll", *ON_TEST):  # predictions hold log-probabilities of 16 bits
        own = [getattr(result.metrics, name, None) for result in results]
        metrics[name] = _weighted(own, [result.data.test_images for result in results])
    return {name: value for name, value in metrics.items() if value is not None}


def _while_choosing(results: list[Result]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for split in ("val", "train"):
        weights = [getattr(result.data, f"{split}_images") for result in results]
        for name in (f"{split}_top1", f"{split}_nll"):
            value = _weighted([getattr(result.metrics, name) for result in results], weights)
            metrics |= {} if value is None else {name: value}
    return metrics


def _baseline(identity: dict[str, Any], data: dict[str, Any], results: list[Result], store: RunStore) -> None:
    """What needs no training, on all images: means over those of the folds."""
    run = baseline_id(identity)
    ids = [baseline_id(result.content()["identity"]) for result in results]
    own = {record.id: record for record in store.baselines() if record.id in ids} if ids else {}
    if store.has_baseline(run) or len(own) < len(results):
        return
    folds = [own[one] for one in ids]
    weights = [one.data.test_images for one in folds]
    names = ("chance_top1", "majority_top1", "nearest_top1", "statistics_top1")
    values = {name: _weighted([getattr(one, name) for one in folds], weights) for name in names}
    content = {
        "kind": "baseline",
        "id": run,
        "shots": identity["shots"],
        "draw_seed": identity["draw_seed"],
        "data": {name: value for name, value in data.items() if name not in ("val_images", "overlap")},
        "pixels": folds[0].pixels,
        **values,
        **_circumstances(folds),
    }
    store.finish_baseline(run, content)


def _circumstances(records: Sequence[Circumstances]) -> dict[str, Any]:
    """Those of the first, from when the first began until the last was done."""
    around = {name: getattr(records[0], name) for name in Circumstances.model_fields if name != "format"}
    started = [record.started for record in records if record.started]
    finished = [record.finished for record in records if record.finished]
    return around | {"started": min(started, default=None), "finished": max(finished, default=None)}


def _weighted(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not sum(weights):
        return None
    return float(np.average(known, weights=weights))


def _mean_known(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return _mean(known) if len(known) == len(values) else None


def _mean(values: Sequence[int]) -> int:
    return round(sum(values) / len(values))

"""Running a stored trial or profile again, and whether it comes out the same."""

import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import InputError, StoreError, TrialError
from bench.files import canonical
from bench.planning.plan import plan
from bench.spec.job import TrainJob, Trial, Unresolved
from bench.spec.recipe import Recipe
from bench.spec.toml import parse
from bench.store.lookup import in_suites, own_images, require_one_network
from bench.store.records.profiles import CostRecord, ProfileRecord
from bench.store.records.trials import Result, TrialRecord
from bench.store.run_store import RunStore

if TYPE_CHECKING:
    from bench.running.workspace import Workspace
    from bench.training.observer import Observer

# Judged by the tolerance, with the images that they are the accuracy on; the others (NLL, calibration) are
# shown and have to agree for "identical" only.
ACCURACIES = {
    "top1": "test_images",
    "top5": "test_images",
    "mean_per_class": "test_images",
    "top1_deduplicated": "test_images",
    "class_mean_top1": "test_images",
    "val_top1": "val_images",
    "train_top1": "train_images",
}
# Images that flip for no reason do so either way: the sum of k of them has a standard deviation of sqrt(k).
DEVIATIONS = 2.6
COSTS = ("params", "trainable_params", "flops", "gmacs", "activations_m")
CIRCUMSTANCES = ("device", "machine", "instructions", "threads", "commit", "versions")


@dataclass(frozen=True)
class Agreement:
    """How a reproduction compares with the stored run.

    Attributes:
        id: of the run.
        verdict: `identical` (all metrics and predictions), `within` what is allowed, or `differs`.
        tolerance: difference of an accuracy, as a fraction, that always counts as agreement.
        allowed: by accuracy, the largest difference that does: the tolerance, or, where that is more,
            DEVIATIONS standard deviations of as many images, flipped either way, as flipped on test.
        outcomes: of the stored run and of the new one.
        metrics: (stored, new) by name.
        flipped: test images that only the stored run got right, and that only the new one did; None as below.
        images, images_alike: test images, and on how many both predict the same class; None where one of
            the two has no predictions.
        predictions_identical: whether every column of the predictions is equal; None as above.
        circumstances: (stored, new) of what was not the same around the two runs.
    """

    id: str
    verdict: str
    tolerance: float
    allowed: dict[str, float]
    outcomes: tuple[str, str]
    metrics: dict[str, tuple[Any, Any]]
    flipped: tuple[int, int] | None
    images: int | None
    images_alike: int | None
    predictions_identical: bool | None
    circumstances: dict[str, tuple[Any, Any]]


def stored_trial(record: TrialRecord, dataset: str | None = None, where: str = "") -> Trial:
    """The trial of a record, as a suite would ask for it, without its teacher (`taught_trial`).

    Args:
        record: of a finished or diverged trial.
        dataset: the name to open the data by, where it is another than the recorded one ("folder:PATH").
        where: the suite, for messages.
    """
    identity, weights = record.identity, record.model.weights
    data = dataset or identity.dataset
    if weights is None or data is None:
        raise StoreError(f"{record.id}: its record does not name its weights and its dataset")
    labels = {"name": record.recipe, "title": record.recipe, "expected": "as stored"}
    values = identity.recipe | labels | {"protocol": record.protocol}
    replicate = next((seed for seed in (identity.seed, identity.draw_seed) if seed is not None), 0)
    return Trial(
        suite=where or "stored run",
        comparison=record.id,
        contestant=record.model.name,
        title=record.model.title,
        model=record.model.name,
        weights=weights,
        dataset=data,
        split_id=identity.split_id,
        shots=identity.shots,
        replicate=replicate,
        recipe=parse(values, Recipe, where=f"{record.id}: recipe"),
        input_size=identity.input_size,
        precision=identity.precision,
        keep_weights=False,
    )


def taught_trial(store: RunStore, record: TrialRecord, dataset: str | None, where: str) -> Trial:
    """As `stored_trial`, with the teacher that the store knows.

    Raises:
        StoreError: the record of the teacher is not there.
    """
    trial, run = stored_trial(record, dataset, where), record.identity.teacher
    if run is None:
        return trial
    teacher = store.trial(run)
    if teacher is None:
        raise StoreError(f"{record.id}: the record of its teacher, run {run}, is not there")
    return replace(trial, teacher=taught_trial(store, teacher, dataset, where))


def resolve_again(store: RunStore, record: Result, workspace: "Workspace", dataset: str | None) -> TrainJob:
    """The stored trial with what is here of data, weights and model.

    Raises:
        DataError, WeightsError: data or weights are not here.
        InputError: they are here, but are not those of the run, so that it would be another trial.
    """
    require_one_network(record)
    listed = in_suites(store, record.id)
    dataset = images_of(store, record, dataset)
    trial = taught_trial(store, record, dataset, listed[0]["suite"] if listed else "")
    job = workspace.resolver.resolve(trial)
    if isinstance(job, Unresolved):
        raise job.reason
    old, new = record.identity.content(), job.identity
    if job.id != record.id or canonical(old) != canonical(new):
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        changes = "; ".join(
            f"{key}: was {_brief(old.get(key))}, is {_brief(new.get(key))}" for key in changed
        )
        raise InputError(
            f"{record.id}: what is here makes another trial ({changes or 'of another format'}); "
            "reproduce it with the data, weights and version of vcbench that it was run with"
        )
    return job


def images_of(store: RunStore, record: Result, dataset: str | None) -> str | None:
    """Where one's own images of a trial are: `dataset`, else where they lay; None of other data.

    Raises:
        InputError: they are not there.
    """
    if dataset is not None or record.data.data_copy != "own data":
        return dataset
    lay = own_images(store, record.id)
    if lay is None or not Path(lay.partition(":")[2]).exists():
        raise InputError(
            f'{record.id}: it was run on your own images "{record.data.dataset}"; '
            "say where they are with --dataset folder:PATH"
        )
    return lay


def reproduce(
    store: RunStore,
    record: Result,
    workspace: "Workspace",
    observer: "Observer",
    *,
    tolerance: float,
    dataset: str | None = None,
) -> Agreement:
    """Run a stored trial again in a temporary store, with as many threads, and compare the two.

    Args:
        store: where the run lies; it is only read.
        workspace: where data and weights are, and on which device to run; its results folder is not used.
        tolerance: see `Agreement`.
        dataset: see `stored_trial`.

    Raises:
        BenchError: as `resolve_again`.
        TrialError: it went wrong.
    """
    with _temporary(store) as copy:
        copy.prepare()
        own = replace(workspace, results=copy.root)
        training = resolve_again(store, record, own, dataset)
        with _threads(record):
            again = run_trial(training, own, observer)
        return agreement(record, again, store.predictions(record), copy.predictions(again), tolerance)


def run_trial(training: TrainJob, workspace: "Workspace", observer: "Observer") -> Result:
    """Do what is missing of one trial in the workspace's store, and give what it came to.

    Raises:
        Stopped: the observer asked for it; the next call continues.
        TrialError: it went wrong.
    """
    from bench.running.attempt import attempt
    from bench.training.observer import Stopped

    store = workspace.store
    for job in plan([training], store):
        if store.has(job):
            continue
        outcome = attempt(job, workspace, lambda job: observer)
        if outcome.status == "stopped":
            raise Stopped
        if outcome.status == "held":
            raise TrialError(f"{training.id}: another process has it in hand")
        if outcome.record is None:
            raise TrialError(outcome.message)
        if outcome.status == "diverged" and job.id == training.id:
            break
    result = store.result(training.id)
    assert result is not None
    return result


def agreement(old: Result, new: Result, before: Any, after: Any, tolerance: float) -> Agreement:
    """Compare two records of one trial and their predictions (frames, or None where there are none)."""
    metrics = {
        name: (value, getattr(new.metrics, name, None)) for name, value in old.metrics.content().items()
    }
    outcomes = (old.outcome, new.outcome)
    both = before is not None and after is not None
    same = before.equals(after) if both else None
    flipped = _flipped(before, after) if both else None
    allowed = {
        name: _allowed(tolerance, getattr(old.data, images), flipped, len(after) if both else None)
        for name, images in ACCURACIES.items()
        if name in metrics
    }
    exact = all(a == b for a, b in metrics.values()) and outcomes[0] == outcomes[1]
    if exact and same is not False and (before is None) == (after is None):
        verdict = "identical"
    elif outcomes[0] == outcomes[1] and all(_near(*metrics[name], most) for name, most in allowed.items()):
        verdict = "within"
    else:
        verdict = "differs"
    alike = int((before["predicted"].to_numpy() == after["predicted"].to_numpy()).sum()) if both else None
    around = {name: (getattr(old, name), getattr(new, name)) for name in CIRCUMSTANCES}
    return Agreement(
        id=old.id,
        verdict=verdict,
        tolerance=tolerance,
        allowed=allowed,
        outcomes=outcomes,
        metrics=metrics,
        flipped=flipped,
        images=len(after) if both else None,
        images_alike=alike,
        predictions_identical=same,
        circumstances={name: pair for name, pair in around.items() if pair[0] != pair[1]},
    )


def recount(record: ProfileRecord) -> Agreement:
    """Count the costs of a stored profile again; counts are exact, so that there is no tolerance.

    Raises:
        InputError: the profile is not one of cost.
    """
    from bench.machine import versions
    from bench.networks import find_card
    from bench.profiling.cost import cost

    if not isinstance(record, CostRecord):
        raise InputError(f"{record.id}: a profile of {record.what} depends on the moment it was taken")
    new = cost(find_card(record.model), classes=record.classes, input_size=record.input_size)
    costs = {name: (getattr(record, name), new.get(name)) for name in COSTS}
    same = all(a == b for a, b in costs.values())
    libraries = (record.versions, versions())
    return Agreement(
        id=record.id,
        verdict="identical" if same else "differs",
        tolerance=0.0,
        allowed={},
        outcomes=("counted", "counted"),
        metrics=costs,
        flipped=None,
        images=None,
        images_alike=None,
        predictions_identical=None,
        circumstances={"versions": libraries} if libraries[0] != libraries[1] else {},
    )


@contextmanager
def _temporary(store: RunStore) -> Iterator[RunStore]:
    """A store of its own, which knows the frozen splits of the first."""
    with tempfile.TemporaryDirectory(prefix="vcbench-") as folder:
        copy = RunStore(Path(folder))
        if store.splits.is_dir():
            shutil.copytree(store.splits, copy.splits)
        yield copy


@contextmanager
def _threads(record: Result) -> Iterator[None]:
    """As many threads as the run had: sums are rounded in another order with another number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(record.threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _flipped(before: Any, after: Any) -> tuple[int, int] | None:
    """Test images that only the first got right, and that only the second did; None of other test images."""
    if len(before) != len(after):
        return None
    old, new = (frame["rank"].to_numpy() == 0 for frame in (before, after))
    return int((old & ~new).sum()), int((new & ~old).sum())


def _allowed(
    tolerance: float, images: int, flipped: tuple[int, int] | None, test_images: int | None
) -> float:
    """The largest difference of an accuracy on so many images that counts as agreement.

    Of val and train no predictions are stored: as large a share of them is taken to have flipped as of test,
    and at least one image.
    """
    if not flipped or not images or not test_images:
        return tolerance
    return max(tolerance, DEVIATIONS * math.sqrt(max(1.0, sum(flipped) * images / test_images)) / images)


def _near(a: float | None, b: float | None, tolerance: float) -> bool:
    return a == b if a is None or b is None else abs(a - b) <= tolerance + 1e-12


def _brief(value: Any) -> str:
    text = canonical(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

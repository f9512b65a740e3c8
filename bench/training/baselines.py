"""What needs no training, on the images that a trial is given: the majority class and the nearest neighbours.

A network that one of them beats has not been trained (`bench.analysis.trained`). All are exact and take no
choice: the class with the most training images, and the class of the training image at the smallest Euclidean
distance between raw pixels, or between eight numbers that say how bright, coloured and sharp an image is:
where these do well, classes can be told apart without looking at what is shown. So that a large set takes
a minute and not hours, images larger than `PIXELS` are scaled to PIXELS x PIXELS first, or to COARSE_PIXELS
where there are over MANY training images.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.data import Dataset, draw_subset
from bench.data.cache import decoded
from bench.files import digest
from bench.machine import commit, machine_name, versions
from bench.metrics.accuracy import at_chance
from bench.spec.job import TrainJob

if TYPE_CHECKING:
    from bench.store.run_store import RunStore

FORMAT = 1
PIXELS, COARSE_PIXELS, MANY = 32, 16, 20_000
CHUNK = 256  # test images at once

Progress = Callable[[int, int], None]


class Stopped(Exception):
    """The run was asked to stop; the baselines at hand are made by the next one."""


def baseline_id(identity: dict[str, Any]) -> str:
    """The id of the baselines of a trial: those of its data, split, shots and draw.

    Args:
        identity: of the trial (`bench.spec.job.TrainJob.identity`).
    """
    kept = {name: identity[name] for name in ("dataset", "data", "split_id", "shots", "draw_seed")}
    return digest({"baseline_format": FORMAT, **kept})


def measure_baselines(
    trials: Iterable[TrainJob],
    dataset_of: Callable[[Any], Dataset],
    store: "RunStore",
    *,
    progress: Progress = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Store the baselines that trials lack; returns how many there are more.

    Args:
        dataset_of: opens the dataset of a trial (`bench.planning.plan.Resolver.dataset`).
        progress: called with the images done and all images, of each dataset anew.
        should_stop: looked at between batches of images; what was not finished is not stored.

    Raises:
        DataError, StoreError: an image is damaged; the cache or the store cannot be written.
    """
    missing: dict[tuple, dict[str, TrainJob]] = {}
    for job in trials:
        run = baseline_id(job.identity)
        if not store.has_baseline(run):
            data = tuple(job.identity[name] for name in ("dataset", "data", "split_id"))
            missing.setdefault(data, {})[run] = job
    try:
        for wanted in missing.values():
            _of_dataset(wanted, dataset_of, store, progress, should_stop)
    except Stopped:
        return sum(store.has_baseline(run) for wanted in missing.values() for run in wanted)
    return sum(map(len, missing.values()))


def _of_dataset(
    wanted: dict[str, TrainJob],
    dataset_of: Callable[[Any], Dataset],
    store: "RunStore",
    progress: Progress,
    should_stop: Callable[[], bool],
) -> None:
    began = datetime.now(UTC)
    dataset = dataset_of(next(iter(wanted.values())).trial)
    labels, test_labels = dataset.split_labels("train"), dataset.split_labels("test")
    subsets = {
        run: draw_subset(
            dataset.id_name,
            dataset.split_id,
            labels,
            job.identity["shots"],
            job.identity["draw_seed"] or 0,
        )
        for run, job in wanted.items()
    }
    train, test = (raw_pixels(dataset, split, progress, should_stop) for split in ("train", "test"))
    nearest = nearest_classes(train, labels, test, list(subsets.values()), progress, should_stop)
    plain, plain_test = statistics(train), statistics(test)
    for (run, positions), predicted in zip(subsets.items(), nearest, strict=True):
        own = nearest_by_statistics(plain[positions], labels[positions], plain_test, should_stop)
        identity, classes = wanted[run].identity, len(dataset.class_names)
        store.finish_baseline(
            run,
            {
                "format": FORMAT,
                "kind": "baseline",
                "id": run,
                "shots": identity["shots"],
                "draw_seed": identity["draw_seed"],
                "data": {
                    "dataset": dataset.name,
                    "split_id": dataset.split_id,
                    "fingerprint": dataset.fingerprint,
                    "copy": dataset.copy,
                    "classes": classes,
                    "train_images": len(positions),
                    "test_images": len(test_labels),
                },
                "chance_top1": at_chance(classes)["top1"],
                "majority_top1": float((test_labels == majority_class(labels[positions])).mean()),
                "nearest_top1": float((predicted == test_labels).mean()),
                "statistics_top1": float((own == test_labels).mean()),
                "pixels": int(round((train.shape[1] / 3) ** 0.5)),
                "machine": machine_name(),
                "versions": versions(),
                "commit": commit(),
                "started": began.isoformat(timespec="seconds"),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        )


def majority_class(labels: np.ndarray) -> int:
    """The class with the most images, the first of those that have as many.

    Args:
        labels: int64 (n,).
    """
    return int(np.bincount(labels).argmax())


def how_decoded(dataset: Dataset) -> dict[str, Any]:
    """How the images of a dataset are decoded to be compared: see `bench.data.cache.decoded`."""
    side = COARSE_PIXELS if len(dataset.splits["train"]) > MANY else PIXELS
    return {"size": side, "resize": "squash", "interpolation": "bilinear"}


def raw_pixels(
    dataset: Dataset,
    split: str,
    progress: Progress = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """The images of a split as rows of levels -128..127: float32 (n, 3 side^2).

    Raises:
        Stopped: while images are decoded.
    """

    def watched(done: int, total: int) -> None:
        progress(done, total)
        if should_stop():
            raise Stopped

    images = decoded(dataset, split, **how_decoded(dataset), progress=watched)
    return np.asarray(images).reshape(len(images), -1).astype(np.float32) - 128


def statistics(pixels: np.ndarray) -> np.ndarray:
    """Of each image the mean and the spread of each channel, and how much its grey changes to the right and
    downwards: float32 (n, 8).

    Args:
        pixels: as of `raw_pixels`.
    """
    side = round((pixels.shape[1] / 3) ** 0.5)
    images = pixels.reshape(len(pixels), side, side, 3)
    grey = images.mean(3)
    changes = [np.abs(np.diff(grey, axis=axis)).mean((1, 2)) for axis in (2, 1)]
    return np.column_stack([images.mean((1, 2)), images.std((1, 2)), *changes]).astype(np.float32)


def nearest_by_statistics(
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    should_stop: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """The class of the training image with the nearest statistics, each in units of its spread: int64 (m,).

    Args:
        train, test: as of `statistics`.
        labels: of the training images, int64 (n,).

    Raises:
        Stopped: between two batches.
    """
    centre, spread = train.mean(0), train.std(0)
    spread[spread == 0] = 1
    own, theirs = ((part - centre) / spread for part in (train, test))
    (classes,) = nearest_classes(own, labels, theirs, [np.arange(len(own))], should_stop=should_stop)
    return classes


def nearest_classes(
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    subsets: list[np.ndarray],
    progress: Progress = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[np.ndarray]:
    """For each subset the class of the nearest of its images, the first of those equally near.

    Args:
        train, test: pixels, float32 (n, p) and (m, p).
        labels: of the training images, int64 (n,).
        subsets: ascending positions into the training images.

    Returns:
        int64 (m,) for each subset.

    Raises:
        Stopped: between two batches.
    """
    lengths = np.einsum("np,np->n", train, train)
    predicted = [np.empty(len(test), np.int64) for _ in subsets]
    for start in range(0, len(test), CHUNK):
        if should_stop():
            raise Stopped
        batch = slice(start, start + CHUNK)
        # The squared distance less the length of the test image, which is the same in a row.
        distances = lengths - 2 * test[batch] @ train.T
        for classes, positions in zip(predicted, subsets, strict=True):
            whole = len(positions) == len(train)
            own = distances if whole else distances[:, positions]
            classes[batch] = labels[positions[own.argmin(1)]]
        progress(min(start + CHUNK, len(test)), len(test))
    return predicted

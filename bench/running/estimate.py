"""How long trials will take, from finished ones of their kind on this machine, else from a short calibration;
and how much room they need on the disks."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.conditions import find_condition
from bench.errors import REFUSALS, InputError, first_line
from bench.machine import choose_device, device_name, machine_name
from bench.running.threads import is_small
from bench.spec.job import CLEAN, TrainJob, Trial
from bench.store.records.trials import Result
from bench.store.run_store import RunStore

if TYPE_CHECKING:
    from bench.data import Dataset

# A training step costs about three forward passes: one forward, two backward.
BACKWARD = 3
# Images in a step of the calibration: as many as a trial's, but few on a CPU, where that is about as fast: of
# small networks more, as a step of theirs has a cost of its own; of many pixels the fewest that batch
# normalisation takes.
CPU_BATCH, SMALL_CPU_BATCH = 4, 16
MANY_PIXELS = 384**2
# No further step of a calibration once it has taken so long.
CALIBRATION_S = 3.0
# Where a step on a CPU would take longer than this, the pass of one image is taken for the rate: slow bf16
# makes minutes of a step of a network of full size.
LONGEST_STEP_S = 15.0
STEPS = {"cpu": 2, "cuda": 10, "mps": 10}
WARM_UP = {"cpu": 1, "cuda": 3, "mps": 3}
# Finished trials of a kind whose median is taken; ids are hashes, so the first are as good as any.
ENOUGH = 50
Kind = tuple[str | int, ...]
# Images decoded to know how long one takes.
DECODED = 64


class Estimator:
    """Expects for each trial the time of what is still to be done for it, and counts the bytes it will write.

    The rate of a network (a model at an input size and precision on this machine and device) is in seconds
    per image passed forward: in training the median over finished trials that trained it, where there are
    any. Features and decoded images are counted with the first trial that needs them, as far as they are not
    in the cache.

    Args:
        dataset: opens the dataset of a trial.

    Attributes:
        log: called with what takes a moment.
    """

    def __init__(self, store: RunStore, device: str, dataset: "Callable[[Trial], Dataset]") -> None:
        self.store, self._requested, self._dataset = store, device, dataset
        self.log: Callable[[str], None] = lambda text: None
        self._device: str | None = None
        self._rates: dict[Kind, float] = {}
        self._widths: dict[str, int] = {}
        self._decoding: dict[tuple[Any, ...], float] = {}
        self._seen: defaultdict[Kind, list[float]] = defaultdict(list)
        # Times are those of trainings, not of what several came to together.
        self._unseen = (one for one in store.each_result() if "folds" not in one.details)
        self._measured = self._calibrated = False
        self._counted: set[Path | tuple[object, ...]] = set()
        self._streamed: set[Path] = set()
        self.cache_bytes = self.store_bytes = 0

    @property
    def device(self) -> str:
        """Where the trials would run; finding out may import PyTorch."""
        if self._device is None:
            self._device = choose_device(self._requested)
        return self._device

    def seconds(self, job: TrainJob) -> float:
        """Expected seconds of a trial from where it is; what it will write is added to the bytes."""
        recipe, images = job.trial.recipe, job.train_images
        is_trained = self.store.has(job)
        decoding = self._decode(job)
        tests = len(self._dataset(job.trial).splits["test"])
        missing = [one for one in job.trial.conditions if not self.store.is_evaluated(job.id, one)]
        new = [one for one in missing if self._is_first(job.id, one)]
        self.store_bytes += len(new) * tests * (2 * job.classes + 8)  # probabilities, predictions
        if recipe.budget is None:
            extracting = self._extract(job)
            rows = job.classes + (job.classes if recipe.knn is None else images)  # class means beside them
            self.store_bytes += 4 * rows * (self.feature_width(job) + 1)
            return decoding + extracting + (0.0 if is_trained else self._read_off(job))
        if job.trial.keep_weights and self._is_first(job.id, "weights"):
            self.store_bytes += 4 * self._parameters(job)
        steps, _ = recipe.budget.steps(images)
        trained = BACKWARD * steps * min(recipe.budget.batch_size, images)
        kind = _kind(job.identity, job.teacher.trial.model if job.teacher else None)
        if kind not in self._rates:
            finished = self._finished(kind)
            self._measured |= bool(finished)
            self._rates[kind] = statistics.median(finished) if finished else self._calibrated_rate(job)
        looks = tests * sum(_cost(job.trial, one) for one in missing)
        seen = 0 if is_trained else self._evaluated(job)
        passes = looks + (0 if is_trained else trained) + seen
        again = looks + (0 if is_trained else trained / BACKWARD) + seen
        return decoding + self._streaming(job, again) + self._rates[kind] * passes

    def _is_first(self, run: str, what: str) -> bool:
        """Whether this was not counted yet: several comparisons may hold the same trial."""
        first = (run, what) not in self._counted
        self._counted.add((run, what))
        return first

    def _evaluated(self, job: TrainJob) -> int:
        """Images that are evaluated while training: val several times, and the training subset once."""
        looks = job.trial.recipe.val_times + 1
        judged = len(self._dataset(job.trial).splits["val"]) if job.held_out is None else job.held_out
        return judged * looks + job.train_images

    def _decode(self, job: TrainJob) -> float:
        """Seconds of decoding what is not decoded yet, for the trial and for its baselines."""
        from bench.training.baselines import how_decoded

        trial = job.trial
        augment = trial.recipe.augment
        how = {"resize": augment.resize, "interpolation": augment.interpolation}
        own = _how_decoded(trial)
        counted = (trial.dataset, trial.split_id, trial.input_size, *own.values(), trial.conditions)
        if counted in self._counted:
            return 0.0
        self._counted.add(counted)
        sizes = {find_condition(one).input_size(trial.input_size) for one in trial.conditions}
        others = [{"size": augment.stored_size(size), **how} for size in sorted(sizes - {trial.input_size})]
        seconds = self._decode_as(job, own)
        seconds += self._decode_as(job, how_decoded(self._dataset(trial)), limited=False)
        return seconds + sum(self._decode_as(job, each, ("test",)) for each in others)

    def _decode_as(
        self,
        job: TrainJob,
        how: dict[str, Any],
        splits: tuple[str, ...] = ("train", "val", "test"),
        *,
        limited: bool = True,
    ) -> float:
        from bench.data.cache import Array, bytes_to_decode, decoded_in, seconds_an_image
        from bench.data.streamed import fits

        dataset, images = self._dataset(job.trial), 0.0
        for split in splits:
            array = Array.of(*decoded_in(dataset, split), **how)
            if array.path in self._counted:
                continue
            self._counted.add(array.path)
            if limited and not fits(array, self.cache_bytes):
                self._streamed.add(array.path)
                # Each is decoded once to see whether it is whole, and once more for its features.
                images += array.count * (1 if job.trial.recipe.budget else 2)
                continue
            missing = bytes_to_decode(dataset, split, **how)
            self.cache_bytes += missing
            images += missing / array.image_bytes
        if not images:
            return 0.0
        key = (dataset.fingerprint, *how.values())
        if key not in self._decoding:
            self._decoding[key] = seconds_an_image(dataset, DECODED, **how)
        return images * self._decoding[key]

    def _streaming(self, job: TrainJob, images: float) -> float:
        """Seconds of decoding so many images anew, where they are not kept."""
        from bench.data.cache import Array, decoded_in

        dataset, how = self._dataset(job.trial), _how_decoded(job.trial)
        if Array.of(*decoded_in(dataset, "train"), **how).path not in self._streamed:
            return 0.0
        return images * self._decoding[(dataset.fingerprint, *how.values())]

    def _extract(self, job: TrainJob) -> float:
        """Seconds of passing forward the images whose features are not in the cache."""
        from bench.training.features import computed, features_path

        missing, passes = 0, 0.0
        wanted = [("train", CLEAN), ("val", CLEAN), *(("test", one) for one in job.trial.conditions)]
        for split, condition in wanted:
            dataset = self._dataset(job.trial)
            count = len(dataset.splits[split])
            path = features_path(job.identity, dataset, split, condition)
            if path not in self._counted:
                self._counted.add(path)
                own = count - computed(path, count)
                missing, passes = missing + own, passes + own * _cost(job.trial, condition)
        if not missing:
            return 0.0
        kind = ("forward", *_kind(job.identity))
        if kind not in self._rates:
            self._rates[kind] = self._calibrate(job, train=False)
        self.cache_bytes += 4 * missing * self._widths[job.trial.model]
        return passes * self._rates[kind]

    def _read_off(self, job: TrainJob) -> float:
        """Seconds of a logistic regression, or of looking neighbours up."""
        from bench.training import knn, probe

        self._calibrated = True
        width, recipe = self.feature_width(job), job.trial.recipe.probe
        if recipe is None:
            splits = self._dataset(job.trial).splits
            looked_up = job.train_images + len(splits["val"]) + len(splits["test"])
            return knn.expected_seconds(looked_up, job.train_images, width)
        return probe.expected_seconds(job.train_images, width, job.classes, recipe)

    def source(self) -> str:
        """Where the expectations so far come from."""
        measured, calibrated = "finished trials of the same kind on this machine", "a short calibration"
        if self._measured and self._calibrated:
            return f"{measured}, where there are none from {calibrated}"
        return calibrated if self._calibrated else measured

    def _finished(self, kind: Kind) -> list[float]:
        """Rates of trials of a kind that finished here; of a large store no more is read than it takes."""
        here, device = machine_name(), device_name(self.device)
        while len(self._seen[kind]) < ENOUGH and (record := next(self._unseen, None)) is not None:
            work = _images_of(record)
            if record.machine == here and record.device == device and record.outcome == "finished" and work:
                teacher = record.details.get("teacher", {}).get("model")
                self._seen[_kind(record.identity.content(), teacher)].append(record.wall_s / work)
        return self._seen[kind]

    def _calibrated_rate(self, job: TrainJob) -> float:
        """Seconds per image passed forward in training; the teacher passes each image of a step once."""
        rate = self._calibrate(job, train=True)
        return rate + (self._calibrate(job.teacher, train=False) / BACKWARD if job.teacher else 0.0)

    def _calibrate(self, job: TrainJob, *, train: bool) -> float:
        """Seconds per image passed forward, from a few steps on random images, in training or not."""
        import torch

        from bench.training.evaluate import EVALUATION_BATCH
        from bench.training.loss import CrossEntropy
        from bench.training.optimizer import make_optimizer
        from bench.training.step import TrainingStep, autocast, set_backends

        self._calibrated = True
        trial, device = job.trial, self.device
        self.log(f"timing a step of {trial.model}, of which no trial has finished here")
        recipe = trial.recipe
        network = self._network(job).to(device).train(train)
        self._widths[trial.model] = network.num_features
        batch = EVALUATION_BATCH[device]
        if train:
            budget, optimizer = recipe.training
            batch = min(budget.batch_size, job.train_images)
        if device == "cpu":
            few = 2 if trial.input_size**2 > MANY_PIXELS else CPU_BATCH
            batch = min(batch, SMALL_CPU_BATCH if is_small(trial) else few)
        images = torch.randn(batch, 3, trial.input_size, trial.input_size, device=device)
        labels = torch.zeros(batch, dtype=torch.int64, device=device)
        set_backends(device)

        def forward() -> None:
            with torch.inference_mode(), autocast(trial.precision, device):
                network(images)

        if device == "cpu":
            network.eval()
            with torch.inference_mode(), autocast(trial.precision, device), _refusal_of(trial):
                began = time.perf_counter()
                network(images[:1])
                one = time.perf_counter() - began
            network.train(train)
            if one * batch * (BACKWARD if train else 1) > LONGEST_STEP_S:
                return one
        step: Callable[[], Any] = forward
        if train:
            training_step = TrainingStep(
                network,
                make_optimizer(network, optimizer),
                CrossEntropy(),
                precision=trial.precision,
                clip_grad=optimizer.clip_grad,
            )
            step = partial(training_step, images, labels)
        with _refusal_of(trial):
            seconds: list[float] = []
            while len(seconds) < WARM_UP[device] + STEPS[device] and sum(seconds) < CALIBRATION_S:
                began = time.perf_counter()
                step()
                _finish(device)
                seconds.append(time.perf_counter() - began)
        warm = seconds[WARM_UP[device] :] or seconds
        return sum(warm) / (len(warm) * batch * (BACKWARD if train else 1))

    def _network(self, job: TrainJob) -> Any:
        from bench.networks import find_card, make_model, resolve_weights
        from bench.training.step import trained_form

        trial = job.trial
        card = find_card(trial.model)
        weights = resolve_weights(card, "none", self.store.root, download=False)
        network = make_model(card, weights, classes=job.classes, input_size=trial.input_size)
        return trained_form(network, card.memory_format)

    def feature_width(self, job: TrainJob) -> int:
        """How many features the trial's model gives."""
        if job.trial.model not in self._widths:
            import torch

            with torch.device("meta"):
                self._widths[job.trial.model] = self._network(job).num_features
        return self._widths[job.trial.model]

    def _parameters(self, job: TrainJob) -> int:
        from bench.networks.parameters import count_parameters

        return count_parameters(job.trial.model, job.classes, job.trial.input_size)


@contextmanager
def _refusal_of(trial: Trial) -> Iterator[None]:
    """Raises InputError where a network takes no images of the trial's size."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except REFUSALS as error:
        raise InputError(
            f"{trial.suite}: {trial.comparison}: {trial.model} takes no input of {trial.input_size} px "
            f"({first_line(error)})"
        ) from error


def _cost(trial: Trial, condition: str) -> float:
    """What an image costs under a condition, as a share of one at the trial's own input size."""
    return (find_condition(condition).input_size(trial.input_size) / trial.input_size) ** 2


def _finish(device: str) -> None:
    """Wait for what is queued on a GPU."""
    import torch

    torch.get_device_module(device).synchronize()


def _how_decoded(trial: Trial) -> dict[str, Any]:
    """How the images of a trial are stored: see `bench.data.cache.decoded`."""
    augment = trial.recipe.augment
    return {
        "size": augment.stored_size(trial.input_size),
        "resize": augment.resize,
        "interpolation": augment.interpolation,
    }


def _kind(identity: dict[str, Any], teacher: str | None = None) -> Kind:
    """What trials of one rate have in common; `teacher` is the model of theirs."""
    return identity["model"]["name"], identity["input_size"], identity["precision"], teacher or ""


def _images_of(record: Result) -> int:
    """Images that a finished trial passed forward in training it, a training step counted as three passes."""
    if record.identity.recipe["budget"] is None:
        return 0
    data = record.data
    looks: int = data.val_images * record.identity.recipe["val_times"]
    evaluated = data.train_images + data.val_images + data.test_images + looks
    return BACKWARD * (record.images_seen or 0) + evaluated

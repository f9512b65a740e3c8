"""The training loop: a network, images, a recipe; nothing about suites or stores."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bench.data.augment import Pipeline
from bench.data.cache import require_unchanged
from bench.errors import InputError
from bench.spec.recipe import Recipe
from bench.training import checkpoint
from bench.training.group import ALONE, Group
from bench.training.images import Epoch, Images
from bench.training.loss import loss_of
from bench.training.observer import Observer, Stopped
from bench.training.optimizer import make_optimizer, set_rate
from bench.training.schedule import lr_factor, momentum, position
from bench.training.seeds import epoch_order, seed_step
from bench.training.step import TrainingStep, set_backends
from bench.training.teacher import Teacher

CHECKPOINT_SECONDS = 60.0
HISTORY_ROWS = 100
# A mean loss this many times that of guessing means that training has diverged.
DIVERGED_FACTOR = 10.0

Row = dict[str, float]


class Diverged(Exception):
    """Training left the range in which it can recover; the text says how it was seen."""

    def __init__(self, message: str, history: list[Row] | None = None) -> None:
        super().__init__(message)
        self.history = history or []


@dataclass(frozen=True)
class Trained:
    """What training leaves behind, beside the network's weights.

    Attributes:
        history: a row for each of about 100 parts of training: step, epoch, loss (mean of the part), lr,
            images_per_s, val_top1 and val_nll (NaN where val was not looked at).
        seconds: spent on training steps, in all processes; `earlier_seconds`, before this one.
        kept_step: after which step the weights that count were reached.
    """

    history: list[Row]
    steps: int
    epochs: int
    images_seen: int
    seconds: float
    earlier_seconds: float
    kept_step: int


class Trainer:
    """Trains a network in place, from its checkpoint at `saved` if there is one.

    Args:
        labels: class of every image, shape (len(images),).
        outputs: width of the network's last layer.
        validate: gives top1 and nll on val of the network as it is; None where there is no val split.
        teacher: of a recipe that distils.
        group: of processes that train this network together; all but the first only do steps.
    """

    def __init__(
        self,
        network: nn.Module,
        images: Images,
        labels: np.ndarray,
        recipe: Recipe,
        pipeline: Pipeline,
        *,
        outputs: int,
        seed: int,
        precision: str,
        saved: Path,
        validate: Callable[[], dict[str, float]] | None,
        observer: Observer,
        teacher: Teacher | None = None,
        group: Group = ALONE,
    ) -> None:
        self.group = group
        self.network, self.images, self.recipe, self.pipeline = network, images, recipe, pipeline
        self.outputs, self.seed, self.saved = outputs, seed, saved
        self.validate, self.observer = validate, observer
        self.labels = torch.from_numpy(labels.astype(np.int64)).to(images.device)
        budget, update = recipe.training
        self.batch_size, self.lr = min(budget.batch_size, len(images)), update.lr
        if self.batch_size < group.size:
            raise InputError(
                f"--gpus-per-trial {group.size}: more than the batch of {self.batch_size} images"
            )
        self.total, self.per_epoch = budget.steps(len(images))
        self.log_every = max(1, self.total // HISTORY_ROWS)
        self.val_steps = _validation_steps(recipe, self.total, self.per_epoch) if validate else set()
        self.optimizer = make_optimizer(network, update)
        self.loss = loss_of(recipe, outputs, teacher)
        self.step = TrainingStep(
            network,
            self.optimizer,
            self.loss,
            precision=precision,
            clip_grad=update.clip_grad,
            micro_batch=budget.micro_batch,
            group=group,
        )
        self.progress, self.best = checkpoint.load(saved, network, self.optimizer)
        self.earlier_seconds = self.progress.seconds
        self.loss_sum = torch.tensor(self.progress.loss_sum, device=images.device)
        self.generator = torch.Generator()
        self.epoch = -1
        self.shuffled: Epoch | None = None
        self.last_val: dict[str, float] = {}
        self.part_steps, self.part_seconds = 0, 0.0  # since the last row of the history
        self.started = self.saved_at = time.perf_counter()
        self.save_seconds = 0.0

    def run(self) -> Trained:
        """Train to the end.

        Raises:
            Diverged: the loss is not a number or far above that of guessing; outputs on val are not finite.
            Stopped: the observer asked for it; a checkpoint was written.
        """
        progress = self.progress
        set_backends(self.images.device)
        for row in progress.history:
            self.observer.logged(row)
        if progress.row is not None and self.group.is_first:  # stopped while val was looked at
            self._look_at_val(progress.row)
            self.observer.logged(progress.history[-1])
        self.network.train()
        self.started = time.perf_counter()
        while progress.step < self.total:
            # From here to the next row of the history nothing makes the host wait for a GPU.
            lr = self._set_rate()
            images, targets = self._batch()
            self.loss_sum += self.step(images, targets)
            progress.step += 1
            progress.loss_steps += 1
            self.part_steps += 1
            validating = progress.step in self.val_steps
            if validating or progress.step % self.log_every == 0 or progress.step == self.total:
                row = self._log(lr)
                if validating:
                    self._look_at_val(row)
                else:
                    progress.history.append(row)
                self._show(progress.history[-1])
                self.started = time.perf_counter()
            stop = self.group.decide(self.observer.should_stop()) and progress.step < self.total
            if self.group.is_first and (stop or self._checkpoint_is_due()):
                progress.loss_sum = self.loss_sum.item()  # waits for what is queued, which is training too
                self._count_time()
                self._save()
            if stop:
                raise Stopped
        if self.best is not None:
            self.network.load_state_dict(self.best)
        return Trained(
            history=progress.history,
            steps=self.total,
            epochs=self.total // self.per_epoch,
            images_seen=self.total * self.batch_size,
            seconds=progress.seconds,
            earlier_seconds=self.earlier_seconds,
            kept_step=progress.best_step if self.best is not None else self.total,
        )

    def _set_rate(self) -> float:
        """Set learning rate and momentum for the next step; returns the former."""
        schedule = self.recipe.schedule
        at = position(schedule, self.progress.step, self.per_epoch)
        lr = self.lr * lr_factor(schedule, at, self.total)
        set_rate(self.optimizer, lr, momentum(schedule, at, self.total))
        return lr

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Images, float32 (n, 3, size, size), and targets of the next step."""
        step = self.progress.step
        if self.shuffled is None or step // self.per_epoch != self.epoch:
            self.epoch = step // self.per_epoch
            repeats = self.recipe.augment.repeats
            order = epoch_order(self.seed, self.epoch, len(self.images), repeats)
            self.shuffled = Epoch(self.images, self.labels, order)
        start = step % self.per_epoch * self.batch_size
        seed_step(self.seed, step, self.generator, self.images.device)
        stored, labels = self.shuffled.batch(start, start + self.batch_size)
        return self.loss.targets(self.pipeline.train(stored, self.generator), labels, self.generator)

    def _log(self, lr: float) -> Row:
        """The history's row of the part that ends here.

        Raises:
            Diverged: its mean loss shows it.
        """
        progress = self.progress
        loss = self.loss_sum.item() / progress.loss_steps  # waits for what is queued
        self._count_time()
        problem = _problem(loss, progress.step, self.recipe.loss_of_guessing(self.outputs))
        if problem:
            raise Diverged(problem, progress.history)
        row = {
            "step": progress.step,
            "epoch": progress.step / self.per_epoch,
            "loss": loss,
            "lr": lr,
            "images_per_s": self.part_steps * self.batch_size / self.part_seconds,
            "val_top1": math.nan,
            "val_nll": math.nan,
        }
        self.loss_sum.zero_()
        progress.loss_steps = self.part_steps = 0
        self.part_seconds = 0.0
        return row

    def _look_at_val(self, row: Row) -> None:
        """Put val into a row and the row into the history; keep the weights if they are the best."""
        progress = self.progress
        progress.row = row
        assert self.validate is not None  # without a val split there are no `val_steps`
        try:
            self.last_val = self.validate()
        except Diverged as error:
            raise Diverged(str(error), [*progress.history, row]) from error
        except Stopped:
            progress.loss_sum = 0.0
            self._save()
            raise
        progress.row = None
        top1 = self.last_val["top1"]
        progress.history.append(row | {"val_top1": top1, "val_nll": self.last_val["nll"]})
        if self.recipe.keep == "best-val" and top1 > progress.best_val:
            progress.best_val, progress.best_step = top1, progress.step
            self.best = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.network.train()

    def _show(self, row: Row) -> None:
        val = {"val_top1": self.last_val["top1"]} if self.last_val else {}
        shown = {"loss": row["loss"], "images_per_s": row["images_per_s"], **val}
        self.observer.progress("training", self.progress.step, self.total, **shown)
        self.observer.logged(row)

    def _checkpoint_is_due(self) -> bool:
        """A checkpoint of a large network takes long: no more than a hundredth of the time goes into them."""
        return time.perf_counter() - self.saved_at > max(CHECKPOINT_SECONDS, 100 * self.save_seconds)

    def _save(self) -> None:
        """Write a checkpoint; the time for it does not count as training.

        Raises:
            TrialError: the images were changed meanwhile: what was trained since the last is of no use.
        """
        began = time.perf_counter()
        require_unchanged()
        checkpoint.save(self.saved, self.network, self.optimizer, self.progress, self.best)
        self.saved_at = self.started = time.perf_counter()
        self.save_seconds = self.saved_at - began

    def _count_time(self) -> None:
        """Add the time since training was last begun or counted."""
        now = time.perf_counter()
        self.part_seconds += now - self.started
        self.progress.seconds += now - self.started
        self.started = now


def _validation_steps(recipe: Recipe, total: int, per_epoch: int) -> set[int]:
    """After which steps the val split is looked at: every epoch where the best one is kept."""
    if recipe.keep == "best-val":
        return set(range(per_epoch, total + 1, per_epoch))
    return {round(total * part / recipe.val_times) for part in range(1, recipe.val_times + 1)} - {0}


def _problem(loss: float, step: int, guessing: float) -> str | None:
    """How a mean loss shows that training has diverged, if it does."""
    if not math.isfinite(loss):
        return f"loss is {loss} at step {step}"
    limit = DIVERGED_FACTOR * guessing
    return (
        f"mean loss {loss:.1f} at step {step} is over {limit:.1f}, ten times that of guessing"
        if loss > limit
        else None
    )

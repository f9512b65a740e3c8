"""The training loop: a network, images, a recipe; nothing about suites or stores."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench.data.augment import Pipeline
from bench.spec.recipe import Recipe
from bench.training import checkpoint
from bench.training.images import Epoch, Images
from bench.training.mix import mix_batch
from bench.training.observer import Observer, Stopped
from bench.training.optimizer import make_optimizer, set_rate
from bench.training.schedule import lr_factor, momentum, position
from bench.training.seeds import epoch_order, seed_step
from bench.training.step import autocast, set_backends, training_step

CHECKPOINT_SECONDS = 60.0
HISTORY_ROWS = 100
# Images evaluated at once; a GPU would be idle for much of the time with as few as a processor likes.
EVALUATION_BATCH = {"cpu": 128, "cuda": 512}
# A mean loss this many times that of guessing means that training has diverged.
DIVERGED_FACTOR = 10.0


class Diverged(Exception):
    """Training left the range in which it can recover; the text says how it was seen."""

    def __init__(self, message: str, history: list[dict[str, float]] | None = None) -> None:
        super().__init__(message)
        self.history = history or []


@dataclass
class Trained:
    """What training leaves behind, beside the network's weights.

    `keep` writes a checkpoint of the end, for when what follows is interrupted; it is slow for large
    networks, and a trial that goes on to its record needs none.
    """

    history: list[dict[str, float]]
    steps: int
    epochs: int
    images_seen: int
    seconds: float
    earlier_seconds: float
    kept_step: int
    keep: Callable[[], None]


def train(
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
) -> Trained:
    """Train `network` in place, from its checkpoint at `saved` if there is one.

    Args:
        labels: class of every image, shape (len(images),).
        outputs: width of the network's last layer.
        validate: gives val top1 and nll of the network as it stands; None where there is no val split.

    Raises:
        Diverged: the loss is not a number or far above that of guessing.
        Stopped: the observer asked for it; a checkpoint was written.
    """
    budget, device = recipe.budget, images.device
    batch_size = min(budget.batch_size, len(images))
    total, per_epoch = budget.steps(len(images))
    optimizer = make_optimizer(network, recipe.optimizer)
    progress, best = checkpoint.load(saved, network, optimizer)
    earlier = progress.seconds
    classes = torch.from_numpy(labels.astype(np.int64)).to(device)
    generator = torch.Generator()
    log_every = max(1, total // HISTORY_ROWS)
    val_steps = _validation_steps(recipe, total, per_epoch) if validate else set()
    running = torch.tensor(progress.loss_sum, device=device)
    set_backends(device)
    window_start, window_steps = time.perf_counter(), 0
    last_saved = time.perf_counter()
    last_val: dict[str, float] = {}
    epoch, shuffled = -1, None
    save_seconds = 0.0

    def look_at_val(row: dict[str, float]) -> None:
        """Put val into a row of the history, and keep the weights if they are the best."""
        nonlocal last_val, best
        try:
            last_val = validate()
        except Diverged as error:
            raise Diverged(str(error), [*progress.history, row]) from error
        except Stopped:
            progress.row, progress.loss_sum = row, 0.0
            checkpoint.save(saved, network, optimizer, progress, best)
            raise
        progress.row = None
        row |= {"val_top1": last_val["top1"], "val_nll": last_val["nll"]}
        if recipe.keep == "best-val" and last_val["top1"] > progress.best_val:
            progress.best_val, progress.best_step = last_val["top1"], progress.step
            best = {name: value.detach().clone() for name, value in network.state_dict().items()}

    if progress.row is not None:  # stopped while val was looked at
        look_at_val(row := progress.row)
        progress.history.append(row)
        window_start = time.perf_counter()
    network.train()

    while progress.step < total:
        step = progress.step
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            shuffled = Epoch(images, classes, epoch_order(seed, epoch, len(images)))
        start = step % per_epoch * batch_size
        place = position(recipe.schedule, step, per_epoch)
        lr = recipe.optimizer.lr * lr_factor(recipe.schedule, place, total)
        set_rate(optimizer, lr, momentum(recipe.schedule, place, total))
        seed_step(seed, step, generator)
        # From here to the next row of the history nothing makes the host wait for a GPU.
        stored, target = shuffled.batch(start, start + batch_size)
        inputs = pipeline.train(stored, generator)
        inputs, target = mix_batch(inputs, target, outputs, recipe, generator)
        running += training_step(
            network, inputs, target, optimizer, precision=precision, clip_grad=recipe.optimizer.clip_grad
        )
        progress.loss_steps += 1
        progress.step = step = step + 1
        window_steps += 1

        validating = step in val_steps
        if validating or step % log_every == 0 or step == total:
            mean_loss = running.item() / progress.loss_steps
            now = time.perf_counter()
            rate = window_steps * batch_size / (now - window_start)
            progress.seconds += now - window_start
            row = {
                "step": step,
                "epoch": step / per_epoch,
                "loss": mean_loss,
                "lr": lr,
                "images_per_s": rate,
                "val_top1": math.nan,
                "val_nll": math.nan,
            }
            problem = _problem(mean_loss, step, outputs)
            if problem:
                raise Diverged(problem, progress.history)
            running.zero_()
            progress.loss_steps = 0
            if validating:
                look_at_val(row)
                network.train()
            progress.history.append(row)
            shown = {"loss": mean_loss, "images_per_s": rate}
            if last_val:
                shown["val_top1"] = last_val["top1"]
            observer.progress("training", step, total, **shown)
            window_start, window_steps = time.perf_counter(), 0
        stop = observer.should_stop() and step < total
        # A checkpoint of a large network takes long: no more than a hundredth of the time goes into them.
        if stop or time.perf_counter() - last_saved > max(CHECKPOINT_SECONDS, 100 * save_seconds):
            progress.loss_sum = running.item()  # waits for what is queued, which is training too
            paused = time.perf_counter()
            progress.seconds += paused - window_start
            window_start = paused
            checkpoint.save(saved, network, optimizer, progress, best)
            last_saved = time.perf_counter()
            save_seconds = last_saved - paused
            window_start += save_seconds
        if stop:
            raise Stopped

    if best is not None:
        network.load_state_dict(best)
    return Trained(
        history=progress.history,
        steps=total,
        epochs=total // per_epoch,
        images_seen=total * batch_size,
        seconds=progress.seconds,
        earlier_seconds=earlier,
        kept_step=progress.best_step if best is not None else total,
        keep=lambda: checkpoint.save(saved, network, optimizer, progress, best),
    )


def predict(
    network: nn.Module,
    images: Images,
    pipeline: Pipeline,
    *,
    precision: str,
    phase: str,
    observer: Observer,
    rows: list[torch.Tensor] | None = None,
) -> np.ndarray:
    """Logits of every image in evaluation mode, float32, shape (len(images), outputs).

    Raises:
        Stopped: the observer asked for it; what was done is in `rows`, if they are given.
    """
    return forward_all(
        network, network, images, pipeline, precision=precision, phase=phase, observer=observer, rows=rows
    )


def forward_all(
    network: nn.Module,
    forward: Callable[[torch.Tensor], torch.Tensor],
    images: Images,
    pipeline: Pipeline,
    *,
    precision: str,
    phase: str,
    observer: Observer,
    rows: list[torch.Tensor] | None = None,
) -> np.ndarray:
    """What `forward` makes of every image with `network` in evaluation mode, float32, shape (n, width).

    Args:
        rows: of the first images, from an earlier call with the same arguments; more are added to them.

    Raises:
        Stopped: the observer asked for it, between two batches or two layers.
    """
    network.eval()
    rows = [] if rows is None else rows
    first, size = sum(map(len, rows)), EVALUATION_BATCH["cpu" if images.device == "cpu" else "cuda"]
    began = time.perf_counter()
    with torch.inference_mode(), _stoppable(observer):
        for start in range(first, len(images), size):
            if observer.should_stop():
                raise Stopped
            indices = np.arange(start, min(start + size, len(images)))
            inputs = pipeline.evaluate(images.batch(indices))
            with autocast(precision, images.device):
                output = forward(inputs)
            rows.append(output.float().cpu())
            done = indices[-1] + 1
            rate = (done - first) / (time.perf_counter() - began)
            observer.progress(phase, int(done), len(images), images_per_s=rate)
    return torch.cat(rows).numpy()


@contextmanager
def _stoppable(observer: Observer) -> Iterator[None]:
    """Look between two layers as well whether to stop: a batch of a large network takes seconds."""

    def look(module: nn.Module, inputs: tuple) -> None:
        if observer.should_stop():
            raise Stopped

    handle = nn.modules.module.register_module_forward_pre_hook(look)
    try:
        yield
    finally:
        handle.remove()


def _validation_steps(recipe: Recipe, total: int, per_epoch: int) -> set[int]:
    """After which steps the val split is looked at: every epoch where the best one is kept."""
    if recipe.keep == "best-val":
        return set(range(per_epoch, total + 1, per_epoch))
    return {round(total * part / recipe.val_times) for part in range(1, recipe.val_times + 1)} - {0}


def _problem(loss: float, step: int, outputs: int) -> str | None:
    """How a mean loss shows that training has diverged, if it does."""
    if not math.isfinite(loss):
        return f"loss is {loss} at step {step}"
    limit = DIVERGED_FACTOR * math.log(outputs)
    return (
        f"mean loss {loss:.1f} at step {step} is over {limit:.1f}, ten times that of guessing"
        if loss > limit
        else None
    )

"""A training loop as one writes it with torch and timm alone, to set beside the harness's.

Nothing of `bench.training` is used: seeds, order, schedule, parameter groups, mixing and losses are written
out from their definitions. What is shared is what has tests of its own against Pillow and torchvision: the
resampling, the draws of boxes, RandAugment and erasing.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import pytest
import timm
import timm.data.mixup
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.transforms.v2 import functional as V

from bench.data.augment import erase, resized_boxes
from bench.data.randaugment import randaugment
from bench.data.resize import resize
from bench.spec.recipe import Recipe

ORDER, BATCH, NETWORK = 1, 2, 3  # what a seed is for


@dataclass
class Data:
    """Images uint8 (n, s, s, 3), at their native size, and their classes int64 (n,)."""

    images: torch.Tensor
    labels: torch.Tensor


def derived(seed: int, purpose: int, number: int) -> int:
    """63 bits of numpy's SeedSequence."""
    high, low = np.random.SeedSequence((seed, purpose, number)).generate_state(2, np.uint32)
    return int(high) * 2**31 + int(low) // 2


def plain_loop(
    network: nn.Module,
    train: Data,
    val: Data,
    recipe: Recipe,
    *,
    input_size: int,
    mean: tuple,
    std: tuple,
    outputs: int,
    seed: int,
    precision: str,
    reshuffle: bool = True,
    teacher: nn.Module | None = None,
    teacher_mean: tuple = (),
    teacher_std: tuple = (),
) -> dict[str, torch.Tensor]:
    """Train `network` in place for the epochs of the recipe; returns the weights that count.

    With a teacher it has two heads, and the second is trained on the class that the teacher gives.
    """
    n, batch = len(train.images), recipe.budget.batch_size
    per_epoch = n // batch
    total = recipe.budget.epochs * per_epoch
    mean, std = (
        torch.tensor(x).view(3, 1, 1) for x in (recipe.augment.mean or mean, recipe.augment.std or std)
    )
    optimizer, scheduler = _optimizer(network, recipe, total)
    best, best_top1 = None, -1.0
    generator = torch.Generator()
    for epoch in range(recipe.budget.epochs):
        order = np.random.default_rng(derived(seed, ORDER, epoch if reshuffle else 0)).permutation(n)
        order = np.array([image for image in order for _ in range(recipe.augment.repeats)])[:n]
        for number in range(per_epoch):
            step = epoch * per_epoch + number
            chosen = torch.from_numpy(order[number * batch : (number + 1) * batch].copy())
            generator.manual_seed(derived(seed, BATCH, step))
            images = _augmented(train.images[chosen], recipe, input_size, generator)
            images = images.float().div(255).sub(mean).div(std)
            if recipe.augment.erase:
                images = erase(images, recipe.augment.erase, generator)
            images, targets = _mixed(images, train.labels[chosen], outputs, recipe, generator)
            torch.manual_seed(derived(seed, NETWORK, step))
            network.train()
            with torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext():
                logits = network(images)
            if teacher is None:
                loss = -(targets * F.log_softmax(logits.float(), 1)).sum(1).mean()
            else:
                means, stds = (torch.tensor(x).view(3, 1, 1) for x in (teacher_mean, teacher_std))
                teacher.eval()
                with torch.no_grad():
                    taught = teacher((images * std + mean - means) / stds).argmax(1)
                share = recipe.distill.weight
                loss = -(1 - share) * (targets * F.log_softmax(logits[0], 1)).sum(1).mean()
                loss = loss - share * F.log_softmax(logits[1], 1)[range(batch), taught].mean()
            for parameter in network.parameters():
                parameter.grad = None
            loss.backward()
            if recipe.optimizer.clip_grad is not None:
                torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.optimizer.clip_grad)
            optimizer.step()
            if not recipe.schedule.step_per_epoch:
                scheduler.step()
        if recipe.schedule.step_per_epoch:
            scheduler.step()
        if recipe.keep == "best-val":
            network.eval()
            with torch.no_grad():
                pixels = resize(val.images.permute(0, 3, 1, 2), input_size, recipe.augment.interpolation)
                predicted = network(pixels.div(255).sub(mean).div(std)).argmax(1)
            top1 = float((predicted == val.labels).double().mean())
            if top1 > best_top1:
                best, best_top1 = copy.deepcopy(network.state_dict()), top1
    return best or network.state_dict()


def _optimizer(network: nn.Module, recipe: Recipe, total: int):
    """Plain AdamW (Adam) on two groups, and torch's schedulers."""
    settings, schedule = recipe.optimizer, recipe.schedule
    spared = network.no_weight_decay() if hasattr(network, "no_weight_decay") else set()
    matrices, rest = [], []
    for name, parameter in network.named_parameters():
        (rest if parameter.ndim < 2 or name in spared else matrices).append(parameter)
    groups = [
        {"params": rest, "weight_decay": 0.0},
        {"params": matrices, "weight_decay": settings.weight_decay},
    ]
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[settings.name]
    optimizer = kind(groups, lr=settings.lr, betas=settings.betas, foreach=False)
    schedulers = torch.optim.lr_scheduler
    if schedule.name == "onecycle":
        return optimizer, schedulers.OneCycleLR(optimizer, max_lr=settings.lr, total_steps=total)
    assert schedule.name == "cosine"
    rise = round(schedule.warmup * total)
    cosine = schedulers.CosineAnnealingLR(optimizer, total - rise, eta_min=schedule.final * settings.lr)
    if not rise:
        return optimizer, cosine
    warmup = schedulers.LinearLR(optimizer, 1 / (rise + 1), 1.0, total_iters=rise)
    return optimizer, schedulers.SequentialLR(optimizer, [warmup, cosine], [rise])


def _augmented(images: torch.Tensor, recipe: Recipe, size: int, generator: torch.Generator) -> torch.Tensor:
    """Levels 0..255, shape (n, 3, size, size): one image at a time, in DeiT's order."""
    augment, (n, side) = recipe.augment, images.shape[:2]
    flip = torch.rand(n, generator=generator) < (0.5 if augment.flip else 0.0)
    boxes = torch.tensor([[0, 0, side, side]] * n)
    if augment.random_crop == "resized":
        boxes = resized_boxes(n, side, augment.scale, augment.ratio, generator)
    else:
        assert augment.random_crop == "none"
    made = []
    for image, box, mirrored in zip(images.permute(0, 3, 1, 2), boxes, flip, strict=True):
        scaled = resize(image[None], size, augment.interpolation, box[None])[0]
        made.append(V.horizontal_flip(scaled) if mirrored else scaled)
    pixels = torch.stack(made)
    if augment.randaugment is not None:
        pixels = pixels.round().to(torch.uint8)
        pixels = randaugment(pixels, augment.randaugment, generator)
    return pixels


def _mixed(
    images: torch.Tensor, labels: torch.Tensor, outputs: int, recipe: Recipe, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Timm's Mixup, whose global random numbers are a generator's."""
    augment, smoothing = recipe.augment, recipe.label_smoothing
    if not (augment.mixup or augment.cutmix):
        return images, timm.data.mixup.mixup_target(labels, outputs, 1.0, smoothing)
    mixup = timm.data.Mixup(
        augment.mixup,
        augment.cutmix,
        prob=augment.mix_prob,
        switch_prob=0.5,
        label_smoothing=smoothing,
        num_classes=outputs,
    )
    with _drawn_from(np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))):
        return mixup(images.clone(), labels)


@contextmanager
def _drawn_from(rng: np.random.Generator) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "rand", rng.random)
        patch.setattr(np.random, "beta", rng.beta)
        patch.setattr(np.random, "randint", lambda low, high=None, size=None: rng.integers(low, high))
        yield

"""Mixup and CutMix over a batch, and the soft targets that go with them.

As in DeiT's recipe: one weight a batch, each image mixed with its mirror place in the batch, and an even
chance of either kind where both are on. Mixup: Zhang et al., 2018, arXiv 1710.09412; CutMix: Yun et al.,
2019, arXiv 1905.04899.
"""

import math

import numpy as np
import torch
from torch import Tensor

from bench.spec.recipe import Recipe

SWITCH = 0.5


def mix_batch(
    images: Tensor, labels: Tensor, classes: int, recipe: Recipe, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mixed images and their targets.

    Args:
        images: float, shape (n, 3, h, w); left as they are.
        labels: int64, shape (n,), on the images' device.
        classes: width of the targets.
        recipe: gives mixup, cutmix, mix_prob (of its augmentation) and label_smoothing.
        generator: on the CPU; the source of everything random.

    Returns:
        Images, and soft targets whose rows sum to 1: float32, shape (n, classes).
    """
    targets = smooth(labels, classes, recipe.label_smoothing)
    augment = recipe.augment
    alphas = {"mixup": augment.mixup, "cutmix": augment.cutmix}
    kinds = [kind for kind, alpha in alphas.items() if alpha > 0]
    if not kinds:
        return images, targets
    # PyTorch has no beta distribution that takes a generator.
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    if rng.random() >= augment.mix_prob:
        return images, targets
    kind = kinds[0] if len(kinds) == 1 else ("cutmix" if rng.random() < SWITCH else "mixup")
    weight = float(rng.beta(alphas[kind], alphas[kind]))
    if kind == "mixup":
        images = torch.lerp(images.flip(0), images, weight)
    else:
        height, width = images.shape[-2:]
        top, bottom, left, right = cutmix_box(height, width, weight, rng)
        weight = 1 - (bottom - top) * (right - left) / (height * width)
        other = images.flip(0)[:, :, top:bottom, left:right]
        images = images.clone()
        images[:, :, top:bottom, left:right] = other
    return images, torch.lerp(targets.flip(0), targets, weight)


def smooth(labels: Tensor, classes: int, amount: float) -> Tensor:
    """One-hot targets of which `amount` is spread evenly over all classes: float32, shape (n, classes)."""
    targets = torch.full((len(labels), classes), amount / classes, device=labels.device)
    return targets.scatter_(1, labels[:, None], 1 - amount + amount / classes)


def cutmix_box(height: int, width: int, weight: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A box of 1 - `weight` of the image's area around a random centre, cut off at the image's edge.

    Returns:
        top, bottom, left, right in px; bottom and right are not in the box.
    """
    side = math.sqrt(1 - weight)
    box_height, box_width = int(height * side), int(width * side)
    y, x = int(rng.integers(height)), int(rng.integers(width))
    top, left = max(y - box_height // 2, 0), max(x - box_width // 2, 0)
    bottom, right = min(y + (box_height + 1) // 2, height), min(x + (box_width + 1) // 2, width)
    return top, bottom, left, right

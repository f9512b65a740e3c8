"""RandAugment with operations of its own for every image, done in groups of equal operations.

All that is random is drawn on the CPU, and on a GPU no operation makes the host wait: what torchvision's own
would upload each time (grids, kernels) is made once and kept.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as V

from bench.data.device import to_device
from bench.spec.recipe import RandAugment

# Levels of the magnitude's scale, 0 to 30.
BINS = 31
Operation = Callable[[Tensor], Tensor]


@lru_cache(maxsize=BINS)
def operations(magnitude: int, side: int) -> tuple[tuple[Operation | None, Operation | None], ...]:
    """Torchvision's operations and scales, in its order; each with the two signs it may be drawn with.

    Args:
        magnitude: 0 to 30 (of `BINS`).
        side: of the images in px.

    Returns:
        Functions from uint8 (n, 3, s, s) to the same; None leaves the image as it is.
    """

    def level(first: float, last: float) -> float:
        return float(torch.linspace(first, last, BINS)[magnitude])

    shear, angle, change = level(0.0, 0.3), level(0.0, 30.0), level(0.0, 0.9)
    # Torchvision cuts translations to whole pixels.
    shift = int(level(0.0, 150.0 / 331.0 * side))
    bits = 8 - round(4 * magnitude / (BINS - 1))

    def signed(make: Callable[[float], Operation], value: float) -> tuple[Operation, Operation]:
        return make(value), make(-value)

    def unsigned(operation: Operation | None) -> tuple[Operation | None, Operation | None]:
        return operation, operation

    return (
        unsigned(None),
        signed(lambda level: partial(_move, how="shear_x", value=level), shear),
        signed(lambda level: partial(_move, how="shear_y", value=level), shear),
        signed(lambda pixels: partial(_move, how="translate_x", value=pixels), shift),
        signed(lambda pixels: partial(_move, how="translate_y", value=pixels), shift),
        signed(lambda degrees: partial(_move, how="rotate", value=degrees), angle),
        signed(lambda level: partial(V.adjust_brightness, brightness_factor=1 + level), change),
        signed(lambda level: partial(V.adjust_saturation, saturation_factor=1 + level), change),
        signed(lambda level: partial(V.adjust_contrast, contrast_factor=1 + level), change),
        signed(lambda level: partial(_sharpen, factor=1 + level), change),
        unsigned(partial(V.posterize, bits=bits)),
        unsigned(partial(V.solarize, threshold=255.0 * level(1.0, 0.0))),
        unsigned(V.autocontrast),
        unsigned(V.equalize),
    )


def randaugment(pixels: Tensor, how: RandAugment, generator: torch.Generator) -> Tensor:
    """Random operations on every image, drawn with replacement (Cubuk et al., 2020, arXiv 1909.13719).

    A magnitude that is spread (`how.std`) is normal, cut off at 0 and 30 and rounded to a whole one.

    Args:
        pixels: uint8, shape (n, 3, s, s).
        generator: on the CPU.

    Returns:
        New images, as `pixels`.
    """
    side, shape = pixels.shape[-1], (how.ops, len(pixels))
    signed = torch.tensor([negative is not positive for positive, negative in operations(1, side)])
    kinds = torch.randint(len(signed), shape, generator=generator)
    signs = torch.randint(2, shape, generator=generator)
    magnitudes = torch.full(shape, how.magnitude)
    if how.std:
        spread = how.magnitude + how.std * torch.randn(shape, generator=generator)
        magnitudes = spread.round().clamp(0, BINS - 1).long()
    if how.prob < 1:
        kinds[torch.rand(shape, generator=generator) >= how.prob] = 0  # the operation that does nothing
    for drawn, sign, magnitude in zip(kinds, signs, magnitudes, strict=True):
        # Images of one operation and magnitude are brought together, worked on, and put back.
        groups = (magnitude * len(signed) + drawn) * 2 + sign * signed[drawn]
        order = to_device(groups.argsort(stable=True), pixels.device)
        together, start = pixels.index_select(0, order), 0
        for group, count in zip(*(x.tolist() for x in groups.unique(return_counts=True)), strict=True):
            level, place = divmod(group, 2 * len(signed))
            operation = operations(level, side)[place // 2][place % 2]
            if operation is not None:
                together[start : start + count] = operation(together[start : start + count])
            start += count
        pixels = torch.empty_like(together).index_copy_(0, order, together)
    return pixels


def _move(pixels: Tensor, *, how: str, value: float) -> Tensor:
    """Torchvision's geometric operation with the nearest pixel, black outside, by a table of its pixels."""
    sources = _sources(how, value, pixels.shape[-1], str(pixels.device))
    with_black = F.pad(pixels.flatten(2), (1, 0))
    return with_black.index_select(2, sources).view_as(pixels)


@lru_cache(maxsize=512)
def _sources(how: str, value: float, side: int, device: str) -> Tensor:
    """For each pixel of the result, the one it comes from, counted from 1, or 0: int64, shape (side * side,).

    Made by torchvision on the CPU, so that the same pixels come out on every device.
    """
    numbered = torch.arange(1, side * side + 1, dtype=torch.float32).view(1, 1, side, side)
    if how == "rotate":
        moved = V.rotate(numbered, angle=value)
    else:
        shear = {"shear_x": [_degrees(value), 0.0], "shear_y": [0.0, _degrees(value)]}.get(how)
        translate = {"translate_x": [value, 0], "translate_y": [0, value]}.get(how, [0, 0])
        # Torchvision's RandAugment shears about the upper left corner.
        centre = [0, 0] if shear else None
        moved = V.affine(
            numbered, angle=0.0, translate=translate, scale=1.0, shear=shear or [0.0, 0.0], center=centre
        )
    return to_device(moved.view(-1).long(), device)


def _sharpen(pixels: Tensor, *, factor: float) -> Tensor:
    """Torchvision's adjust_sharpness of uint8 images."""
    if pixels.shape[-1] <= 2:
        return pixels
    levels = pixels.float()
    blurred = F.conv2d(levels, _blur(str(pixels.device)), groups=levels.shape[1]).round_()
    inner = levels[..., 1:-1, 1:-1]
    inner.add_(blurred.sub_(inner), alpha=1 - factor)
    return levels.clamp_(0, 255).to(torch.uint8)


@lru_cache(maxsize=8)
def _blur(device: str) -> Tensor:
    """The kernel that sharpening takes the difference to, for three channels: shape (3, 1, 3, 3)."""
    kernel = torch.full((3, 1, 3, 3), 1 / 13)
    kernel[:, :, 1, 1] = 5 / 13
    return to_device(kernel, device)


def _degrees(slope: float) -> float:
    return math.degrees(math.atan(slope))

"""RandAugment with operations of its own for every image, done in groups of equal operations."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as V

# Levels of the magnitude's scale, 0 to 30.
BINS = 31
Operation = Callable[[Tensor], Tensor]


def operations(magnitude: int, side: int) -> list[tuple[Operation | None, Operation | None]]:
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

    return [
        unsigned(None),
        signed(lambda level: partial(_affine, shear=(_degrees(level), 0.0), center=[0, 0]), shear),
        signed(lambda level: partial(_affine, shear=(0.0, _degrees(level)), center=[0, 0]), shear),
        signed(lambda pixels: partial(_affine, translate=(pixels, 0)), shift),
        signed(lambda pixels: partial(_affine, translate=(0, pixels)), shift),
        signed(lambda degrees: partial(V.rotate, angle=degrees), angle),
        signed(lambda level: partial(V.adjust_brightness, brightness_factor=1 + level), change),
        signed(lambda level: partial(V.adjust_saturation, saturation_factor=1 + level), change),
        signed(lambda level: partial(V.adjust_contrast, contrast_factor=1 + level), change),
        signed(lambda level: partial(V.adjust_sharpness, sharpness_factor=1 + level), change),
        unsigned(partial(V.posterize, bits=bits)),
        unsigned(partial(V.solarize, threshold=255.0 * level(1.0, 0.0))),
        unsigned(V.autocontrast),
        unsigned(V.equalize),
    ]


def randaugment(pixels: Tensor, ops: int, magnitude: int, generator: torch.Generator) -> Tensor:
    """`ops` random operations on every image (Cubuk et al., 2020, arXiv 1909.13719).

    Args:
        pixels: uint8, shape (n, 3, s, s).
        ops: how many operations an image, drawn with replacement.
        magnitude: of all operations, 0 to 30.
        generator: on the CPU.

    Returns:
        New images, as `pixels`.
    """
    space = operations(magnitude, pixels.shape[-1])
    kinds = torch.randint(len(space), (ops, len(pixels)), generator=generator)
    signs = torch.randint(2, (ops, len(pixels)), generator=generator)
    pixels = pixels.clone()
    for drawn, sign in zip(kinds, signs, strict=True):
        for number, (positive, negative) in enumerate(space):
            if positive is None:
                continue
            groups = [(positive, drawn == number)]
            if negative is not positive:
                groups = [(f, (drawn == number) & (sign == s)) for s, f in enumerate((positive, negative))]
            for operation, members in groups:
                if members.any():
                    chosen = members.nonzero()[:, 0].to(pixels.device)
                    pixels[chosen] = operation(pixels[chosen])
    return pixels


def _affine(
    pixels: Tensor,
    *,
    shear: tuple[float, float] = (0.0, 0.0),
    translate: tuple[int, int] = (0, 0),
    center: list[int] | None = None,
) -> Tensor:
    return V.affine(pixels, angle=0.0, translate=list(translate), scale=1.0, shear=list(shear), center=center)


def _degrees(slope: float) -> float:
    return math.degrees(math.atan(slope))

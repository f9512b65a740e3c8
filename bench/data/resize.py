"""Pillow's resize of a box, for a whole batch with a box of its own for every image.

Training and evaluation both scale by this, and the cache of decoded images is made by Pillow itself, so that
a network is tested on images that were resampled as those it was trained on.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from bench.data.device import to_device

# How far each kernel reaches, in pixels of the input or, where the image shrinks, of the output.
SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}
# Of the cubic kernel (Keys, 1981), as Pillow has it; that of `grid_sample` is -0.75.
A = -0.5


def resize(
    pixels: Tensor, size: int, interpolation: str, boxes: Tensor | None = None, flip: Tensor | None = None
) -> Tensor:
    """Scale a box of every image to size x size px as `PIL.Image.resize(..., box=box)` does.

    Where a box is larger than the result, the kernel is as much wider (antialiasing). At a box's edge it sees
    the image around the box. Levels are not rounded: it is what Pillow does to floating-point images, where
    with 8 bits it would round, and cut overshoot off, after either direction. Products are in fp32 whatever
    autocast and TF32 are set to.

    Args:
        pixels: levels 0..255 of any type, shape (n, 3, s, s), in any memory format.
        size: side of the result in px.
        interpolation: "bilinear" or "bicubic".
        boxes: top, left, height, width in px, on the CPU, shape (n, 4); None is the whole of every image.
        flip: which images to mirror afterwards, on the CPU, bool, shape (n,); None is none.

    Returns:
        Levels 0..255, float32, shape (n, 3, size, size).
    """
    n, channels, side, _ = pixels.shape
    if boxes is None:
        boxes = torch.tensor([[0, 0, side, side]])
    # Both directions at once: all vertical extents, then all horizontal ones, of which some are mirrored.
    extents = torch.cat((boxes[:, 0::2], boxes[:, 1::2])).double()
    mirrored = torch.zeros(len(extents), dtype=torch.bool)
    if flip is not None:
        mirrored[len(boxes) :] = flip
    scale = max(1.0, float(extents[:, 1].max()) / size)
    taps = min(side, math.ceil(2 * SUPPORT[interpolation] * scale) + 1)
    plan = to_device(torch.cat((extents, mirrored[:, None]), 1), pixels.device)
    vertical, horizontal = _weights(plan, size, side, taps, interpolation).chunk(2)
    with _exact(pixels.device.type):
        # As (row, channel, column) one product serves all channels, in either direction.
        rows = pixels.permute(0, 2, 1, 3).to(torch.float32, memory_format=torch.contiguous_format)
        narrow = torch.matmul(rows.view(n, side * channels, side), horizontal.mT)
        small = torch.matmul(vertical, narrow.view(n, side, channels * size))
    # A cubic kernel overshoots at edges.
    return small.clamp_(0, 255).view(n, size, channels, size).permute(0, 2, 1, 3).contiguous()


def _weights(plan: Tensor, size: int, side: int, taps: int, interpolation: str) -> Tensor:
    """What each input pixel weighs in each output pixel, along one direction.

    Args:
        plan: start and length of the extent in px, and whether it is mirrored: float64, shape (m, 3).
        taps: how many neighbouring input pixels may count in an output pixel.

    Returns:
        float32, shape (m, size, side); the weights of an output pixel add up to 1.
    """
    start, length, mirrored = plan[:, :, None].unbind(1)
    steps = torch.arange(size, device=plan.device, dtype=torch.float64)
    steps = torch.where(mirrored > 0, size - 1 - steps, steps)
    scale = length / size
    centre = start + (steps + 0.5) * scale
    width = scale.clamp(min=1.0)
    first = (centre - SUPPORT[interpolation] * width + 0.5).floor().clamp(0, side - taps)
    inputs = first[:, :, None] + torch.arange(taps, device=plan.device)
    weights = _kernel((inputs + 0.5 - centre[:, :, None]) / width[:, :, None], interpolation)
    weights /= weights.sum(2, keepdim=True)
    dense = torch.zeros(len(plan), size, side, device=plan.device)
    return dense.scatter_(2, inputs.long(), weights.float())


def _kernel(distance: Tensor, interpolation: str) -> Tensor:
    """The weight of a pixel at a distance, before normalisation."""
    x = distance.abs()
    if interpolation == "bilinear":
        return (1 - x).clamp_(min=0)
    near = ((A + 2) * x - (A + 3)) * x * x + 1
    far = A * (((x - 5) * x + 8) * x - 4)
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


@contextmanager
def _exact(device: str) -> Iterator[None]:
    """Matrix products in full fp32, whatever surrounds them."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.autocast(device, enabled=False):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before

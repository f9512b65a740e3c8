"""What a unit sees: the effective receptive field, from the gradient of the unit in the middle of a map."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from torch import Tensor

from bench.inspection.tokens import NotShown

# Images over which a field that is drawn is averaged.
AVERAGED = 8


def feature_maps(network: Any, images: Tensor) -> list[Tensor]:
    """The feature maps of timm's stages, or after each block of a transformer, (n, channels, h, w).

    Raises:
        NotShown: timm gives none for this network.
    """
    if not hasattr(network, "forward_intermediates"):
        raise NotShown("timm gives no feature maps of it")
    maps: list[Tensor] = network.forward_intermediates(images, intermediates_only=True)
    return maps


def receptive_fields(network: Any, images: Tensor, stages: Sequence[int], seed: int = 0) -> list[Tensor]:
    """How strongly each pixel moves the unit in the middle of each stage's map (Luo et al., 2016).

    The root of the mean square, over images, channels of the unit and colours, of the gradient. Channels are
    summed with random signs, image by image, so that they do not cancel and one backward pass is enough.

    Args:
        images: (n, 3, size, size), normalised.
        stages: which of `feature_maps`.

    Returns:
        For each stage (size, size), not negative, float64.
    """
    places = [(stage, 0.5, 0.5) for stage in stages]
    return list(fields_at(network, images, places, seed))


def fields_at(
    network: Any, images: Tensor, places: Sequence[tuple[int, float, float]], seed: int = 0
) -> Iterator[Tensor]:
    """As `receptive_fields`, of units at some places: the stage, and row and column as shares of its map."""
    generator = torch.Generator().manual_seed(seed)
    with torch.enable_grad():
        pixels = images.clone().requires_grad_(True)
        maps = feature_maps(network, pixels)
        for stage, down, right in places:
            rows, columns = maps[stage].shape[2:]
            unit = maps[stage][:, :, int(down * rows), int(right * columns)]
            signs = torch.randint(0, 2, unit.shape, generator=generator).to(unit) * 2 - 1
            (gradient,) = torch.autograd.grad((unit * signs).sum(), pixels, retain_graph=True)
            yield gradient.cpu().double().square().mean((0, 1)).sqrt()


def middle_of(field: Tensor, positions: int) -> tuple[float, float]:
    """Where a field is strongest, over squares as wide as the stride of the map: row and column in px.

    Args:
        field: (size, size).
        positions: of the map, along one side.
    """
    values = field.cpu().numpy()
    window = max(1, values.shape[0] // positions)
    blurred = uniform_filter(values, window, mode="constant")
    row, column = np.unravel_index(int(blurred.argmax()), blurred.shape)
    shift = 0.5 if window % 2 else 0.0  # an even window has its middle between two pixels
    return float(row) + shift, float(column) + shift


def side_of(field: Tensor, middle: tuple[float, float], share: float) -> int:
    """Side in px of the smallest square around a point that holds a share of the field's sum.

    Args:
        field: (size, size).
        middle: row and column in px; the first pixel goes from 0 to 1.
    """
    values = field.cpu().numpy()
    rows, columns = np.indices(values.shape)
    reach = np.maximum(abs(rows + 0.5 - middle[0]), abs(columns + 0.5 - middle[1]))
    order = np.argsort(reach, axis=None)
    held = np.cumsum(values.ravel()[order])
    if held[-1] <= 0:
        return 0
    last = int(np.searchsorted(held, share * held[-1]))
    outermost = float(reach.ravel()[order][min(last, len(order) - 1)])
    return min(values.shape[0], round(2 * outermost + 1))

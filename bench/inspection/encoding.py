"""Maps and images as data URIs, small enough for a page that holds everything."""

import base64
from io import BytesIO

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.inspection.drawing import HEAT

LEVELS = 16  # that an eye tells apart in a small map, and that compress well


def jpeg(pixels: np.ndarray) -> str:
    """An image uint8 (h, w, 3)."""
    return _uri(Image.fromarray(pixels), "JPEG", quality=88)


def coloured(values: np.ndarray) -> str:
    """Colours 0..1, (h, w, 3 or 4)."""
    return _uri(Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8)), "PNG")


def levels(values: np.ndarray) -> str:
    """Values 0..1 (h, w) in LEVELS steps, as grey from 0 to 255."""
    steps = np.rint(np.clip(values, 0, 1) * (LEVELS - 1)) * (255 // (LEVELS - 1))
    return _uri(Image.fromarray(steps.astype(np.uint8)), "PNG")


def rows_of_attention(attention: Tensor) -> str:
    """Attention to patches (heads, queries, patches), heads one below the other.

    Every row is divided by its largest value, and its root taken, so that weak attention is seen.
    """
    largest = attention.amax(-1, keepdim=True).clamp(min=1e-12)
    return levels((attention / largest).sqrt().flatten(0, 1).numpy())


def peaks(attention: Tensor) -> str:
    """What dividing every row by its largest value loses, of attention as above to 256 patches at most.

    Returns:
        Bytes (2 heads + 1, queries) as base64: of each head the root of its largest value, over that of all
        heads, in 255 steps; then the patch that is attended to most, in the mean of the heads and by each.
    """
    largest = attention.amax(-1)
    weights = (largest / largest.amax(0).clamp(min=1e-12)).sqrt().mul(255).round()
    best = torch.cat([attention.mean(0, keepdim=True), attention]).argmax(-1)
    return base64.b64encode(torch.cat([weights, best]).to(torch.uint8).numpy().tobytes()).decode()


def pooled(attention: Tensor, prefix: int, grid: tuple[int, int], factor: int) -> Tensor:
    """Attention (..., tokens, tokens) between squares of `factor` x `factor` patches.

    The mean over those that attend, the sum over those attended to; tokens in front stay. Where patches do
    not fill the last squares of a row or column, these are the smaller.
    """
    rows, columns = (torch.arange(side) // factor for side in grid)
    squares = prefix + rows[:, None] * -(-grid[1] // factor) + columns
    place = torch.cat([torch.arange(prefix), squares.flatten()])
    held = place.bincount()
    summed = attention.new_zeros(*attention.shape[:-1], len(held)).index_add_(-1, place, attention)
    whole = summed.new_zeros(*attention.shape[:-2], len(held), len(held)).index_add_(-2, place, summed)
    return whole / held[:, None]


def heat_colours() -> list[list[int]]:
    """The colours of LEVELS steps of heat, 0..255."""
    colours = mpl.colormaps[HEAT](np.linspace(0.1, 1, LEVELS))[:, :3]
    return [[int(value) for value in colour] for colour in (colours * 255).round()]


def _uri(image: Image.Image, kind: str, **options: int) -> str:
    file = BytesIO()
    image.save(file, kind, optimize=True, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"

"""Attention within windows, as in Swin: read beside the forward pass, put back to its place in the image."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from timm.utils import AttentionExtract
from torch import Tensor, nn
from torch.nn.functional import pad

from bench.inspection.attention import distances

OUTSIDE = -1  # the place of what fills a window up at the edge of the image


@dataclass(frozen=True)
class WindowAttention:
    """Attention of one block whose tokens attend to those of their own window alone.

    Attributes:
        weights: softmax within each window, (windows, heads, area, area); rows sum to 1.
        places: where on the grid the tokens of each window lie, row by row, (windows, area); -1 is none.
        grid: rows and columns of tokens of this block.
        patch: height and width of a token's own part of the image in px.
        window: rows and columns of a window.
        shift: by how many rows and columns windows are moved.
    """

    weights: Tensor
    places: Tensor
    grid: tuple[int, int]
    patch: tuple[int, int]
    window: tuple[int, int]
    shift: tuple[int, int]

    @property
    def heads(self) -> int:
        """How many there are."""
        return self.weights.shape[1]

    def from_token(self, row: int, column: int) -> Tensor:
        """Where a token attends, on the grid: (heads, rows, columns); 0 outside of its window."""
        (window,), (position,) = torch.nonzero(self.places == row * self.grid[1] + column, as_tuple=True)
        inside = self.places[window] != OUTSIDE
        whole = torch.zeros(self.heads, self.grid[0] * self.grid[1])
        whole[:, self.places[window][inside]] = self.weights[window, :, position][:, inside]
        return whole.unflatten(1, self.grid)

    def mean_distance(self) -> Tensor:
        """How far away what each head attends to lies, in px, averaged over all tokens: (heads,)."""
        columns = self.grid[1]
        rows = torch.div(self.places, columns, rounding_mode="floor") * self.patch[0]
        centres = torch.stack([rows, self.places % columns * self.patch[1]], -1).double()
        there = self.places != OUTSIDE
        weights = self.weights.double() * there[:, None, None]
        far = (weights * torch.cdist(centres, centres)[:, None]).sum(-1) / weights.sum(-1)
        return far.transpose(1, 2)[there].mean(0)

    def uniform_distance(self) -> float:
        """The mean distance in px where every token attends to all of a whole window alike."""
        return float(distances(self.window, self.patch).mean())


def read_windows(network: nn.Module, images: Tensor) -> list[WindowAttention]:
    """Attention within windows of every block that has it, for the first image; none in other networks.

    A copy is set to timm's explicit form, in which timm's `AttentionExtract` reads what comes out of each
    module `attn_drop`; the network itself is left as it is.

    Args:
        images: (1, 3, size, size).
    """
    names = [
        name
        for name, block in network.named_modules()
        if all(hasattr(block, one) for one in ("window_size", "shift_size", "input_resolution", "attn"))
        and hasattr(block.attn, "attn_drop")
    ]
    if not names:
        return []
    copy = deepcopy(network).eval()
    blocks: list[Any] = [copy.get_submodule(name) for name in names]
    for block in blocks:
        block.attn.fused_attn = False
    read = [f"{name}.attn.attn_drop" for name in names]
    with torch.no_grad():
        every = AttentionExtract(copy, names=read, mode="eval", method="hook")(images)
    made = []
    for block, weights in zip(blocks, every.values(), strict=True):
        grid, window, shift = (
            (int(one[0]), int(one[1]))
            for one in (block.input_resolution, block.window_size, block.shift_size)
        )
        places = window_places(grid, window, shift)
        patch = images.shape[-2] // grid[0], images.shape[-1] // grid[1]
        made.append(WindowAttention(weights.float().cpu(), places, grid, patch, window, shift))
    return made


def window_places(grid: tuple[int, int], window: tuple[int, int], shift: tuple[int, int]) -> Tensor:
    """Which token of the grid stands where in each window, (windows, area).

    The grid is rolled by `shift`, filled up to whole windows at its lower right, and cut, as Swin does (Liu
    et al., 2021, section 3.2).
    """
    places = torch.arange(grid[0] * grid[1]).view(grid).roll((-shift[0], -shift[1]), (0, 1))
    rows, columns = (-(-side // one) for side, one in zip(grid, window, strict=True))
    filled = pad(places, (0, columns * window[1] - grid[1], 0, rows * window[0] - grid[0]), value=OUTSIDE)
    return filled.view(rows, window[0], columns, window[1]).transpose(1, 2).flatten(2).flatten(0, 1)

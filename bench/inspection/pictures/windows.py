"""Attention within windows, as in Swin, as heat maps and by its reach in pixels."""

import numpy as np
import pandas as pd
from torch import Tensor

from bench.inspection.pictures.heads import every_value, heads_figure, reach_figure
from bench.inspection.view import View
from bench.report.blocks import Figure

DRAWN = 6  # heads of a block: later stages have many


def from_patch(view: View) -> Figure:
    """Where one patch looks, per block and head: within its window, which moves from block to block."""
    (row, column), first = view.at, view.windows[0]
    each, frames = [], []
    for number, block in enumerate(view.windows, 1):
        place = row * block.grid[0] // first.grid[0], column * block.grid[1] // first.grid[1]
        maps = block.from_token(*place)
        frames.append(every_value(maps[None].numpy()).assign(block=number))
        each.append(_enlarged(maps[:DRAWN], first.grid))
    sizes = ", ".join(dict.fromkeys(f"{one.grid[0]} x {one.grid[1]}" for one in view.windows))
    rows, columns = first.window
    most = max(block.heads for block in view.windows)
    some = "" if most <= DRAWN else f" Of each block {DRAWN} of up to {most} heads are drawn."
    return heads_figure(
        view,
        np.stack(each),
        "attention-patch",
        f"where patch {row + 1},{column + 1} (in the frame) attends",
        f"{some} Attention stays within a window of {rows} x {columns} tokens, which every other block moves "
        "by half, and is 0 in the black rest; what lies further away is reached over several blocks, on "
        f"coarser grids ({sizes}).",
        data=pd.concat(frames, ignore_index=True),
        framed=(row, column),
        patch=first.patch,
    )


def reach(view: View) -> Figure:
    """Mean attention distance of every head, by depth, beside that of a whole window."""
    return reach_figure(
        view,
        [block.mean_distance() for block in view.windows],
        [block.uniform_distance() for block in view.windows],
        "attending to all of a window alike",
        " A window is as many tokens in every stage, and a token of a later stage stands for more pixels: "
        "the reach grows by that, as that of a CNN does.",
    )


def _enlarged(maps: Tensor, grid: tuple[int, int]) -> np.ndarray:
    """Maps (heads, rows, columns) on the finest grid, each token as often as it covers; NaN where there are
    fewer heads than are drawn."""
    rows, columns = (np.arange(side) * own // side for side, own in zip(grid, maps.shape[1:], strict=True))
    drawn = np.full((DRAWN, *grid), np.nan)
    drawn[: len(maps)] = maps.numpy()[:, rows][:, :, columns]
    return drawn

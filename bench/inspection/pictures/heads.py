"""What pictures of attention share: maps a block and head, and how far heads look by depth."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import Rectangle
from torch import Tensor

from bench.inspection.drawing import WIDTH, sheet, show, show_mosaic
from bench.inspection.view import View, spread_over
from bench.report.blocks import Figure
from bench.report.style import INK, PAPER, SERIES

MOST_HEADS, FEW_HEADS = 16, 6


def heads_figure(
    view: View,
    maps: np.ndarray,
    name: str,
    where: str,
    reading: str,
    *,
    data: pd.DataFrame | None = None,
    framed: tuple[int, int] | None = None,
    patch: tuple[int, int] = (0, 0),
) -> Figure:
    """Maps (blocks, heads, rows, columns), each scaled to its own largest value, beside the image.

    Args:
        reading: how to read them, after a space.
        data: the values; None are those of the maps.
        framed: row and column of a patch of `patch` px that is framed in the image.
    """
    drawing, image = by_block(maps, each=True, image=True)
    show(image, view.shown, "image")
    image.set_anchor("N")
    if framed:
        (row, column), (tall, wide) = framed, patch
        corner = (column * wide - 0.5, row * tall - 0.5)
        image.add_patch(Rectangle(corner, wide, tall, fill=False, edgecolor=SERIES[1][0], linewidth=1.6))
    return Figure(
        drawing,
        f"{view.model.name}-{name}",
        f"{view.model.title}: {where}, a map a block and head, each scaled to its own largest value."
        f"{reading}",
        f"The image, and heat maps of {where}, for {maps.shape[0]} blocks and {maps.shape[1]} heads.",
        every_value(maps) if data is None else data,
    )


def every_value(maps: np.ndarray) -> pd.DataFrame:
    """Maps (blocks, heads, rows, columns) as a row a value."""
    index = np.indices(maps.shape).reshape(4, -1) + 1
    data = pd.DataFrame(dict(zip(("block", "head", "row", "column"), index, strict=True)))
    data["attention"] = maps.ravel().round(6)
    return data


def reach_figure(
    view: View, far: Sequence[Tensor], uniform: Sequence[float], uniform_is: str, reading: str = ""
) -> Figure:
    """Mean attention distance in px of every head, by depth.

    Args:
        far: of each block, (heads,).
        uniform: of each block, where all that can be attended to is attended to alike.
        uniform_is: the name of that.
        reading: what else is to be said, after a space.
    """
    drawing, ((axes,),) = sheet(72, 1, left=13, right=4, top=4, bottom=11)
    blocks = np.arange(1, len(far) + 1)
    for block, values in zip(blocks, far, strict=True):
        places = np.full(len(values), block)
        axes.scatter(places, values, s=18, color=SERIES[0][0], edgecolors="none", alpha=0.75)
    axes.plot(blocks, [float(values.mean()) for values in far], color=INK, linewidth=1)
    dashed = {"color": SERIES[1][0], "linewidth": 0.9, "linestyle": (0, (4, 2))}
    box = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.5, "alpha": 0.8}
    text = {"textcoords": "offset points", "size": 6.5, "color": SERIES[1][0], "bbox": box}
    if len(set(uniform)) == 1:
        axes.axhline(uniform[0], **dashed)
        axes.annotate(f"{uniform_is}: {uniform[0]:.0f} px", (1, uniform[0]), (0, 3), **text)
    else:
        axes.step(blocks, uniform, where="mid", **dashed)
        corner = {"xycoords": "axes fraction", "va": "top"}
        axes.annotate(f"dashed: {uniform_is}", (0, 1), (4, -4), **corner, **text)
    least, most = (float(end([end(values) for values in far])) for end in (min, max))
    axes.set_ylim(0, max(most, *uniform) * 1.12)
    axes.set_xticks(blocks)
    axes.set_xlabel("block")
    axes.set_ylabel("mean attention distance, px")
    data = pd.concat([by_head({"distance_px": values[None]}, number) for number, values in enumerate(far, 1)])
    return Figure(
        drawing,
        f"{view.model.name}-distance",
        f"{view.model.title}: how far away, in pixels, what each head attends to lies: a dot a head, the "
        "line their mean, for this image. Low dots are heads that look nearby, as a convolution does; high "
        f"ones look across the image of {view.model.size} px.{reading}",
        f"Mean attention distance from {least:.0f} to {most:.0f} px over {len(far)} blocks.",
        data,
    )


def by_block(
    maps: np.ndarray, *, each: bool = False, image: bool = False, right: float = 3
) -> tuple[Drawing, Axes]:
    """Maps (blocks, heads, h, w): a column a block and a row a head, few heads on two lines.

    Args:
        image: leave axes at the left of the first line, which are returned.
    """
    heads = spread_over(maps.shape[1], MOST_HEADS)
    blocks, count = len(maps), len(heads)
    line = blocks if count > FEW_HEADS or blocks <= 8 else -(-blocks // 2)
    lines = [range(first, min(first + line, blocks)) for first in range(0, blocks, line)]
    left = 16 + (34 if image else 0)
    side = min((WIDTH - left - right) / line, 30)  # mm of one map, gap included
    height = len(lines) * (side * count + 9) + 2
    between = 9 / (side * count)
    drawing, axes = sheet(height, 1, len(lines), left=left, right=right, top=8, bottom=2, hspace=between)
    low, high = (None, None) if each else (float(maps.min()), float(maps.max()))
    for axis, some in zip(axes[:, 0], lines, strict=True):
        names = [f"head {k + 1}" for k in heads], [f"block {k + 1}" for k in some]
        turned = maps[list(some)][:, heads].transpose(1, 0, 2, 3)
        if len(some) < line:  # an empty place keeps the scale of the line above
            turned = np.concatenate([turned, np.full_like(turned[:, : line - len(some)], np.nan)], axis=1)
        show_mosaic(axis, turned, *names, each=each, low=low, high=high)
        axis.set_anchor("NW")
    corner = (
        drawing.add_axes((2 / WIDTH, 1 - (8 + 30) / height, 30 / WIDTH, 30 / height)) if image else axes[0, 0]
    )
    return drawing, corner


def some_heads(maps: Tensor | np.ndarray) -> str:
    """Says so where not all heads are drawn."""
    heads = maps.shape[1]
    return "" if heads <= MOST_HEADS else f" {MOST_HEADS} of {heads} heads are drawn."


def by_head(columns: dict[str, Tensor], first: int = 1) -> pd.DataFrame:
    """Values (blocks, heads) as a row a head, blocks counted from `first`."""
    blocks, heads = next(iter(columns.values())).shape
    return pd.DataFrame(
        {
            "block": np.repeat(np.arange(first, first + blocks), heads),
            "head": np.tile(np.arange(1, heads + 1), blocks),
            **{name: values.flatten().numpy().round(6) for name, values in columns.items()},
        }
    )

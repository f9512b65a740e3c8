"""Attention as heat maps: from the class token, from a patch, as matrices, over depth; and its reach."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import Rectangle
from torch import Tensor

from bench.inspection.attention import mean_distance, rollout, uniform_distance
from bench.inspection.drawing import WIDTH, over, scale, sheet, show, show_mosaic, unit
from bench.inspection.view import View, spread_over
from bench.report.blocks import Figure
from bench.report.style import INK, PAPER, SERIES

MOST_HEADS, FEW_HEADS = 16, 6
LARGEST_MATRIX = 99  # rows and columns of one matrix as it is drawn
FLOOR = 1e-5  # the least attention of the logarithmic scale


def from_class_token(view: View) -> Figure:
    """Where the token that decides looks, per block and head."""
    tokens = view.tokens
    maps = tokens.on_grid(tokens.read(view.attention)).numpy()
    what = "all patches attend, on average" if tokens.pooled else f"the {tokens.reader} attends"
    return _heads(
        view,
        maps,
        "attention-class",
        f"where {what}",
        "Bright is where most of what is taken over comes from.",
    )


def from_patch(view: View) -> Figure:
    """Where one patch looks, per block and head."""
    tokens, (row, column) = view.tokens, view.at
    query = tokens.prefix + row * tokens.grid[1] + column
    maps = tokens.on_grid(view.attention[:, :, query]).numpy()
    return _heads(
        view,
        maps,
        "attention-patch",
        f"where {tokens.name(query)} (in the frame) attends",
        "A bright spot at its own place means that a head looks at what is near. From the first block on a "
        "head can look at any patch of the image, which a small convolution cannot.",
        framed=(row, column),
    )


def matrices(view: View) -> Figure:
    """All attention as matrices, per block and head."""
    tokens, attention = view.tokens, view.attention
    step = -(-tokens.count // LARGEST_MATRIX)
    drawn = attention[..., ::step, ::step].clamp(min=FLOOR).log10().numpy()
    drawing, _ = _by_block(drawn, right=18)
    low, high = float(drawn.min()), float(drawn.max())
    scale(drawing, drawing.axes, low, high, "attention, log10")
    count = tokens.prefix
    own = attention.diagonal(dim1=-2, dim2=-1)[..., count:].mean(-1)
    entropy = -(attention * attention.clamp(min=1e-12).log()).sum(-1).mean(-1)
    columns = {"to_itself": own, "entropy_nats": entropy}
    if count:
        columns["to_tokens_in_front"] = attention[..., count:, :count].sum(-1).mean(-1)
    every = "" if step == 1 else f" Of every {step} rows and columns, one is drawn."
    return Figure(
        drawing,
        f"{view.model.name}-attention-matrices",
        f"{view.model.title}: the attention matrices softmax(QK^T / sqrt d), {tokens.count} x "
        f"{tokens.count}, on a logarithmic scale. A row is a token that attends, a column one that is "
        "attended to; rows sum to 1. A diagonal means that tokens look at themselves and at neighbours in "
        "their row, lines beside it at the rows above and below, a vertical stripe that all look at the "
        f"same token.{every}{_some_heads(attention)}",
        f"Attention matrices of {attention.shape[0]} blocks and {attention.shape[1]} heads.",
        _by_head(columns),
    )


def rolled_out(view: View) -> Figure:
    """Attention rollout over the image, by depth."""
    tokens = view.tokens
    depth = tokens.on_grid(tokens.read(rollout(view.attention))).numpy()
    blocks = spread_over(len(depth), 6)
    drawing, (axes,) = sheet(35, len(blocks) + 1, top=6, bottom=2, wspace=0.05)
    show(axes[0], view.shown, "image")
    for one, block in zip(axes[1:], blocks, strict=True):
        low = depth[block] - depth[block].min()
        show(one, over(view.shown, unit(low)), f"after block {block + 1}")
    index = np.indices(depth.shape).reshape(3, -1) + 1
    data = pd.DataFrame(dict(zip(("block", "row", "column"), index, strict=True)))
    data["share"] = depth.ravel().round(6)
    return Figure(
        drawing,
        f"{view.model.name}-rollout",
        f"{view.model.title}: attention rollout. Which patches the {tokens.reader} is mixed of after each "
        "block, if attention alone is followed and half of every token passes by it (Abnar and Zuidema, "
        "2020). Each map is scaled from its least to its largest value; the values themselves are in the "
        "CSV.",
        "The image with heat maps of attention rollout over it, after "
        + ", ".join(f"block {block + 1}" for block in blocks)
        + ".",
        data,
    )


def reach(view: View) -> Figure:
    """Mean attention distance of every head, by depth."""
    tokens = view.tokens
    far = mean_distance(view.attention, tokens).numpy()
    uniform = uniform_distance(tokens)
    drawing, ((axes,),) = sheet(72, 1, left=13, right=4, top=4, bottom=11)
    blocks = np.arange(1, len(far) + 1)
    for head in range(far.shape[1]):
        axes.scatter(blocks, far[:, head], s=18, color=SERIES[0][0], edgecolors="none", alpha=0.75)
    axes.plot(blocks, far.mean(1), color=INK, linewidth=1)
    axes.axhline(uniform, color=SERIES[1][0], linewidth=0.9, linestyle=(0, (4, 2)))
    axes.annotate(
        f"attending to all patches alike: {uniform:.0f} px",
        (1, uniform),
        (0, 3),
        textcoords="offset points",
        size=6.5,
        color=SERIES[1][0],
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
    )
    axes.set_ylim(0, max(far.max(), uniform) * 1.12)
    axes.set_xticks(blocks)
    axes.set_xlabel("block")
    axes.set_ylabel("mean attention distance, px")
    data = _by_head({"distance_px": mean_distance(view.attention, tokens)})
    return Figure(
        drawing,
        f"{view.model.name}-distance",
        f"{view.model.title}: how far away, in pixels, what each head attends to lies: a dot a head, the "
        "line their mean, for this image. Low dots are heads that look nearby, as a convolution does; high "
        f"ones look across the image of {view.model.size} px.",
        f"Mean attention distance from {far.min():.0f} to {far.max():.0f} px over {len(far)} blocks.",
        data,
    )


def _heads(
    view: View, maps: np.ndarray, name: str, where: str, reading: str, framed: tuple[int, int] | None = None
) -> Figure:
    """Maps (blocks, heads, rows, columns), each scaled to its own largest value, beside the image."""
    drawing, image = _by_block(maps, each=True, image=True)
    show(image, view.shown, "image")
    image.set_anchor("N")
    if framed:
        (row, column), (tall, wide) = framed, view.tokens.patch
        corner = (column * wide - 0.5, row * tall - 0.5)
        image.add_patch(Rectangle(corner, wide, tall, fill=False, edgecolor=SERIES[1][0], linewidth=1.6))
    index = np.indices(maps.shape).reshape(4, -1) + 1
    data = pd.DataFrame(dict(zip(("block", "head", "row", "column"), index, strict=True)))
    data["attention"] = maps.ravel().round(6)
    return Figure(
        drawing,
        f"{view.model.name}-{name}",
        f"{view.model.title}: {where}, a map a block and head, each scaled to its own largest value."
        f"{_some_heads(maps)} {reading}",
        f"The image, and heat maps of {where}, for {maps.shape[0]} blocks and {maps.shape[1]} heads.",
        data,
    )


def _by_block(
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


def _some_heads(maps: Tensor | np.ndarray) -> str:
    """Says so where not all heads are drawn."""
    heads = maps.shape[1]
    return "" if heads <= MOST_HEADS else f" {MOST_HEADS} of {heads} heads are drawn."


def _by_head(columns: dict[str, Tensor]) -> pd.DataFrame:
    """Values (blocks, heads) as a row a head."""
    blocks, heads = next(iter(columns.values())).shape
    return pd.DataFrame(
        {
            "block": np.repeat(np.arange(1, blocks + 1), heads),
            "head": np.tile(np.arange(1, heads + 1), blocks),
            **{name: values.flatten().numpy().round(6) for name, values in columns.items()},
        }
    )

"""Attention as heat maps: from the class token, from a patch, as matrices, over depth; and its reach."""

import numpy as np
import pandas as pd

from bench.inspection.attention import mean_distance, rollout, uniform_distance
from bench.inspection.drawing import over, scale, sheet, show, unit
from bench.inspection.pictures import windows
from bench.inspection.pictures.heads import by_block, by_head, heads_figure, reach_figure, some_heads
from bench.inspection.view import View, spread_over
from bench.report.blocks import Figure

LARGEST_MATRIX = 99  # rows and columns of one matrix as it is drawn
FLOOR = 1e-5  # the least attention of the logarithmic scale


def from_class_token(view: View) -> Figure:
    """Where the token that decides looks, per block and head."""
    tokens = view.tokens
    maps = tokens.on_grid(tokens.read(view.attention)).numpy()
    what = "all patches attend, on average" if tokens.pooled else f"the {tokens.reader} attends"
    return heads_figure(
        view,
        maps,
        "attention-class",
        f"where {what}",
        f"{some_heads(maps)} Bright is where most of what is taken over comes from.",
    )


def from_patch(view: View) -> Figure:
    """Where one patch looks, per block and head."""
    if view.windows:
        return windows.from_patch(view)
    tokens, (row, column) = view.tokens, view.at
    query = tokens.prefix + row * tokens.grid[1] + column
    maps = tokens.on_grid(view.attention[:, :, query]).numpy()
    return heads_figure(
        view,
        maps,
        "attention-patch",
        f"where {tokens.name(query)} (in the frame) attends",
        f"{some_heads(maps)} A bright spot at its own place means that a head looks at what is near. From "
        "the first block on a head can look at any patch of the image, which a small convolution cannot.",
        framed=(row, column),
        patch=tokens.patch,
    )


def matrices(view: View) -> Figure:
    """All attention as matrices, per block and head."""
    tokens, attention = view.tokens, view.attention
    step = -(-tokens.count // LARGEST_MATRIX)
    drawn = attention[..., ::step, ::step].clamp(min=FLOOR).log10().numpy()
    drawing, _ = by_block(drawn, right=18)
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
        f"same token.{every}{some_heads(attention)}",
        f"Attention matrices of {attention.shape[0]} blocks and {attention.shape[1]} heads.",
        by_head(columns),
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
        "2020). Each map is scaled from its least to its largest value.",
        "The image with heat maps of attention rollout over it, after "
        + ", ".join(f"block {block + 1}" for block in blocks)
        + ".",
        data,
    )


def reach(view: View) -> Figure:
    """Mean attention distance of every head, by depth."""
    if view.windows:
        return windows.reach(view)
    far = mean_distance(view.attention, view.tokens)
    uniform = uniform_distance(view.tokens)
    return reach_figure(view, list(far), [uniform] * len(far), "attending to all patches alike")

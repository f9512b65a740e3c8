"""From an image to a sequence of tokens, and the table of all steps."""

import numpy as np
import pandas as pd
import torch
from matplotlib.patches import FancyArrowPatch, Rectangle

from bench.inspection.drawing import LIKENESS, SIGNED, draw_grid, scale, sheet, show, show_mosaic
from bench.inspection.embeddings import cuts_the_image, position_similarity
from bench.inspection.steps import Shape
from bench.inspection.tokens import NotShown
from bench.inspection.view import View, spread_over
from bench.report.blocks import Column, Figure, Table, number
from bench.report.style import INK, SERIES


def patches(view: View) -> Figure:
    """The image cut into patches, one of them flattened and projected."""
    tokens, size = view.tokens, view.model.size
    if not cuts_the_image(view.model.network):
        raise NotShown("its patches are cut from the maps of a convolutional stem, not from the image")
    (rows, columns), (height, width) = tokens.grid, tokens.patch
    row, column = view.at
    pixels = view.shown
    one = pixels[row * height : (row + 1) * height, column * width : (column + 1) * width]
    with torch.no_grad():
        embedded = view.model.network.patch_embed(view.input)
    embedded = embedded.reshape(1, tokens.patches, -1)[0].cpu().numpy()
    vector = embedded[row * columns + column]
    numbers = height * width * 3
    drawing, (axes,) = sheet(66, 4, widths=[1.25, 0.7, 0.3, 0.3], top=8, bottom=10, wspace=0.55)
    show(axes[0], pixels, f"{size} x {size} px", f"{rows} x {columns} = {rows * columns} patches")
    draw_grid(axes[0], size, rows, columns)
    corner = (column * width - 0.5, row * height - 0.5)
    axes[0].add_patch(Rectangle(corner, width, height, fill=False, edgecolor=SERIES[1][0], linewidth=1.6))
    show(axes[1], one, f"patch {row + 1},{column + 1}", f"{height} x {width} px x 3 colours")
    flat = (one.reshape(-1, 3).T.reshape(-1) / 255.0)[:, None]
    show(axes[2], flat, "flattened", f"{numbers} numbers", cmap="gray", aspect="auto", vmin=0, vmax=1)
    most = float(np.abs(vector).max())
    show(
        axes[3],
        vector[:, None],
        "projected",
        f"{len(vector)} numbers",
        cmap=SIGNED,
        aspect="auto",
        vmin=-most,
        vmax=most,
    )
    for left, right, text in ((0, 1, ""), (1, 2, ""), (2, 3, f"times {numbers} x {len(vector)}")):
        start, end = axes[left].get_position().x1, axes[right].get_position().x0
        arrow = FancyArrowPatch(
            (start + 0.008, 0.5),
            (end - 0.008, 0.5),
            arrowstyle="-|>",
            mutation_scale=7,
            color=INK,
            linewidth=0.8,
        )
        arrow.set_transform(drawing.transFigure)
        drawing.add_artist(arrow)
        if text:
            drawing.text((start + end) / 2, 0.53, text, size=5.5, ha="center", va="bottom")
    means = pixels[: rows * height, : columns * width].reshape(rows, height, columns, width, 3).mean((1, 3))
    data = pd.DataFrame(
        {
            "row": np.repeat(np.arange(1, rows + 1), columns),
            "column": np.tile(np.arange(1, columns + 1), rows),
            **{colour: means[..., k].ravel().round(2) for k, colour in enumerate(("red", "green", "blue"))},
            "length_of_token": np.linalg.norm(embedded, axis=1).round(4),
        }
    )
    return Figure(
        drawing,
        f"{view.model.name}-patches",
        f"{view.model.title}: the image is cut into {rows * columns} patches of {height} x {width} px. Each "
        f"is written as one row of {numbers} numbers and multiplied with the same matrix, {numbers} x "
        f"{len(vector)}. In code this is one convolution whose kernel and stride are {height} px.",
        f"An image with a grid of {rows} by {columns} patches; one patch enlarged, flattened and projected.",
        data,
    )


def sequence(view: View) -> Figure:
    """Tokens before and after the position embeddings are added."""
    tokens, network = view.tokens, view.model.network
    if getattr(network, "pos_embed", None) is None or not hasattr(network, "_pos_embed"):
        raise NotShown("it adds no position embeddings to its tokens")
    with torch.no_grad():
        patches = network.patch_embed(view.input)
        first = network._pos_embed(patches)
    embedded = patches.reshape(tokens.patches, -1)
    after = (first[0] if isinstance(first, tuple) else first).reshape(tokens.count, -1)
    before = after.clone()
    before[tokens.prefix :] = embedded
    parts = {"patches": before, "positions": after - before, "sum": after}
    arrays = {name: values.cpu().numpy() for name, values in parts.items()}
    arrays["patches"][: tokens.prefix] = np.nan
    arrays["positions"][: tokens.prefix] = np.nan
    most = float(np.nanpercentile(np.abs(arrays["sum"]), 99)) or 1.0
    titles = ("patches, projected", "+ position embeddings", "= what the first block gets")
    drawing, (axes,) = sheet(84, 3, left=24, top=7, bottom=6, wspace=0.06)
    thick = -(-tokens.patches // 30)  # a token in front is drawn as many rows high, so that it is seen
    for one, values, title in zip(axes, arrays.values(), titles, strict=True):
        front = np.repeat(values[: tokens.prefix], thick, axis=0)
        drawn = np.concatenate([front, np.full((thick if len(front) else 0, values.shape[1]), np.nan)])
        drawn = np.concatenate([drawn, values[tokens.prefix :]])
        below = f"{values.shape[1]} numbers a token"
        show(one, drawn, title, below, cmap=SIGNED, aspect="auto", vmin=-most, vmax=most)
    start = thick * (tokens.prefix + bool(tokens.prefix))
    labels = {(k + 0.5) * thick: name for k, name in enumerate(tokens.names)}
    labels |= {start + k: tokens.name(tokens.prefix + k) for k in spread_over(tokens.patches, 6)}
    axes[0].set_yticks(list(labels), list(labels.values()))
    axes[0].tick_params(length=2, labelsize=6)
    data = pd.DataFrame(
        {
            "token": [tokens.name(k) for k in range(tokens.count)],
            **{f"length_{name}": np.linalg.norm(values, axis=1).round(4) for name, values in arrays.items()},
        }
    )
    names = ", ".join(tokens.names)
    in_front = f"In front: {names} (learned, the same for every image); then the" if names else "All are"
    return Figure(
        drawing,
        f"{view.model.name}-sequence",
        f"{view.model.title}: the sequence of {tokens.count} tokens, a row each, {arrays['sum'].shape[1]} "
        f"numbers wide. {in_front} patches, row by row of the image. The position embeddings are learned "
        "too, and are all that tells the network where a patch lies.",
        "Three heat maps: projected patches, position embeddings, and their sum, with the tokens in front.",
        data,
    )


def positions(view: View) -> Figure:
    """Cosine similarity of the position embeddings: one map a position."""
    tokens = view.tokens
    similar = position_similarity(view.model.network, tokens).cpu().numpy()
    rows, columns = (spread_over(count, 14) for count in tokens.grid)
    drawing, ((axes,),) = sheet(128, 1, left=12, right=20, top=8, bottom=2)
    low = float(similar.min())
    show_mosaic(
        axes,
        similar[np.ix_(rows, columns)],
        [str(k + 1) for k in rows],
        [str(k + 1) for k in columns],
        cmap=LIKENESS,
    )
    scale(drawing, axes, low, float(similar.max()), "cosine similarity", LIKENESS)
    axes.set_ylabel("row of the patch", size=6.5)
    index = np.indices(similar.shape).reshape(4, -1) + 1
    data = pd.DataFrame(dict(zip(("row", "column", "other_row", "other_column"), index, strict=True)))
    data["cosine"] = similar.ravel().round(4)
    where = "" if len(rows) == tokens.grid[0] else f" {len(rows)} x {len(columns)} of them are shown."
    return Figure(
        drawing,
        f"{view.model.name}-positions",
        f"{view.model.title}: how alike the position embedding of one patch is to those of all others, one "
        f"small map a patch.{where} Nobody told the network which patches are neighbours: where training "
        "has found it out, each map is bright around its own place and along its row and column.",
        f"{len(rows)} by {len(columns)} heat maps of the cosine similarity between position embeddings.",
        data,
    )


def steps(view: View) -> Table:
    """Shapes, parameters and FLOPs from pixels to logits."""
    every = view.steps
    total = sum(step.flops for step in every) or 1
    return Table.of(
        f"{view.model.name}-steps",
        f"{view.model.title}: the shape of one image's numbers at every step, with the parameters and the "
        "FLOPs (2 x multiply-adds) that lie in the step. They add up to those of vcbench profile --what "
        "cost.",
        (
            Column("Step", lambda step: step.title),
            Column("From", lambda step: in_words(step.input)),
            Column("To", lambda step: in_words(step.output)),
            number("Parameters", lambda step: f"{step.params:,}"),
            number("MFLOPs", lambda step: f"{step.flops / 1e6:,.1f}"),
            number("Share of FLOPs", lambda step: f"{100 * step.flops / total:.1f} %"),
        ),
        every,
    )


def in_words(shape: Shape) -> str:
    """A shape as 196 x 192."""
    return " x ".join(map(str, shape))

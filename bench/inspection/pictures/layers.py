"""What layers respond to: the first filters, feature maps by stage, and how much of the image a unit sees."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from bench.inspection.drawing import HEAT, draw_grid, mosaic, sheet, show, show_mosaic, unit
from bench.inspection.embeddings import cuts_the_image, first_convolution, principal_filters
from bench.inspection.receptive import AVERAGED, middle_of, receptive_fields, side_of
from bench.inspection.tokens import NotShown
from bench.inspection.view import View, spread_over
from bench.report.blocks import Figure
from bench.report.style import SERIES

FILTERS, CHANNELS = 28, 8
HELD = 0.5  # share of the gradient by which a receptive field is measured


def first_filters(view: View) -> Figure:
    """The filters of the first layer; of large ones, as of patches, their principal components."""
    weight = first_convolution(view.model.network).weight.detach().cpu()
    count, height = weight.shape[0], weight.shape[2]
    if cuts_the_image(view.model.network):
        filters, shares = principal_filters(weight, FILTERS)
        data = pd.DataFrame({"component": np.arange(1, len(shares) + 1), "share": shares.numpy().round(6)})
        held = float(shares.sum())
        text = (
            f"the first {len(filters)} principal components of the {count} filters that project a patch of "
            f"{height} x {weight.shape[3]} px, which hold {100 * held:.0f} % of their variance. Trained "
            "ones look like a basis for what is inside a patch: means, edges and gratings of rising "
            "frequency, and colours (Dosovitskiy et al., 2021, figure 7)."
        )
        alt = f"{len(filters)} principal components of the patch embedding, as small colour images."
    else:
        filters = weight.double()[: 4 * FILTERS]
        flat = filters.flatten(1)
        data = pd.DataFrame(
            {"filter": np.arange(1, len(flat) + 1), "length": flat.norm(dim=1).numpy().round(6)}
        )
        text = (
            f"the {len(filters)} filters of the first convolution, {height} x {weight.shape[3]} px each. "
            "Trained ones respond to edges, at several angles, and to colours."
        )
        alt = f"The {len(filters)} filters of the first convolution, as small colour images."
    columns = 14 if len(filters) > 14 else len(filters)
    rows = -(-len(filters) // columns)
    tiles = np.zeros((rows * columns, *filters.shape[2:], 3)) + 1.0
    tiles[: len(filters)] = np.stack([as_colours(one) for one in filters])
    drawing, ((axes,),) = sheet(6 + 12.4 * rows, 1, left=2, right=2, top=2, bottom=2)
    show(axes, mosaic(tiles.reshape(rows, columns, *tiles.shape[1:]), gap=0.12))
    return Figure(drawing, f"{view.model.name}-filters", f"{view.model.title}: {text}", alt, data)


def feature_maps(view: View) -> Figure:
    """The channels that respond most strongly, by stage or block."""
    stages = spread_over(len(view.maps), 5)
    drawing, axes = sheet(
        8 + 21.5 * len(stages), 2, len(stages), widths=[1, 8.3], left=2, right=2, top=6, bottom=2,
        wspace=0.16, hspace=0.1,
    )  # fmt: skip
    rows = []
    for (left, right), stage in zip(axes, stages, strict=True):
        maps = view.maps[stage][0].float().cpu().numpy()
        order = np.argsort(-np.abs(maps - maps.mean((1, 2), keepdims=True)).mean((1, 2)))[:CHANNELS]
        show(left, view.shown)
        if stage == stages[0]:
            left.set_title("image", size=7, pad=3)
        draw_grid(left, view.model.size, *(min(side, 28) for side in maps.shape[1:]))
        chosen = maps[order] - maps[order].min((1, 2), keepdims=True)
        padded = np.stack([unit(one) for one in chosen])[None]
        show_mosaic(right, padded, [f"{view.layer_names[stage]}\n{maps.shape[1]} x {maps.shape[2]}"], [])
        rows += [
            {"layer": stage + 1, "channel": int(k) + 1, "height": maps.shape[1], "width": maps.shape[2]}
            | {"mean": float(maps[k].mean()), "deviation": float(maps[k].std())}
            for k in order
        ]
    if len(view.maps) > len(stages):
        some = f"{len(stages)} of {len(view.maps)} {view.layer_word}s"
    else:
        some = ", ".join(view.layer_names)
    return Figure(
        drawing,
        f"{view.model.name}-maps",
        f"{view.model.title}: the {CHANNELS} channels that vary most over this image, for {some}, with the "
        "number of positions that they have. Each map is scaled from its least to its largest value. A CNN "
        "keeps fewer and fewer positions, each for a larger part of the image; a ViT keeps all its patches "
        "to the end.",
        f"Heat maps of {CHANNELS} channels for {some}.",
        pd.DataFrame(rows).round(6),
    )


def fields(views: Sequence[View]) -> Figure:
    """The effective receptive field of the unit in the middle, by depth, of one or two networks."""
    drawn = [(view, *_fields_of(view)) for view in views]
    columns = max(len(some) for _, some, _, _ in drawn)
    drawing, axes = sheet(
        4 + 43 * len(drawn), columns, len(drawn), left=2, right=2, top=11, bottom=4, wspace=0.06, hspace=0.5
    )
    rows, texts = [], []
    for line, (view, some, each, shapes) in zip(axes, drawn, strict=True):
        size = view.model.size
        for axis in line[len(some) :]:
            axis.set_visible(False)
        sides = []
        for axis, stage, field, shape in zip(line, some, each, shapes, strict=False):
            values, centre = field.cpu().numpy(), middle_of(field, max(shape[-2:]))
            side = side_of(field, centre, HELD)
            bright = float(np.percentile(values, 99.8)) or 1.0
            show(axis, np.clip(values / bright, 0, 1) ** 0.5, view.layer_names[stage], cmap=HEAT)
            axis.set_xlabel(f"half within {side} px", size=6.5, labelpad=2)
            _frame(axis, centre, side, size)
            sides.append(side)
            rows.append(
                {"model": view.model.title, "layer": stage + 1, "name": view.layer_names[stage]}
                | {"half_within_px": side, "share_of_side": round(side / size, 4)}
                | {"nonzero_px": int((values > 0).any(0).sum())}
            )
        box = line[0].get_position()
        drawing.text(box.x0, box.y1 + 6 / (4 + 43 * len(drawn)), view.model.card.title, size=7, weight="bold")
        texts.append(f"{view.model.title}: from {sides[0]} to {sides[-1]} of {size} px")
    name = "-".join(["fields", *(view.model.name for view in views)])
    return Figure(
        drawing,
        name[:200],
        "How strongly each pixel moves the unit in the middle, by depth (effective receptive field, Luo et "
        f"al., 2016), over {views[0].sample.first(AVERAGED).source}. Brightness is the square root of the "
        "gradient, so that weak parts are seen. The frame holds half of it. " + "; ".join(texts) + ".",
        "Heat maps of the gradient of the middle unit by depth. " + "; ".join(texts) + ".",
        pd.DataFrame(rows),
    )


def _fields_of(view: View) -> tuple[Sequence[int], list[Tensor], list[Sequence[int]]]:
    shapes = [one.shape for one in view.maps]
    stages = spread_over(len(shapes), 6)
    if not stages:
        raise NotShown("timm gives no feature maps of it")
    images = view.model.inputs(view.sample.first(AVERAGED).images)
    return stages, receptive_fields(view.model.network, images, stages), [shapes[k] for k in stages]


def _frame(axes: Axes, centre: tuple[float, float], side: int, size: int) -> None:
    """A square around a unit."""
    if side < size:
        corner = (centre[1] - side / 2 - 0.5, centre[0] - side / 2 - 0.5)
        axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=SERIES[5][0], linewidth=0.9))


def as_colours(weight: Tensor) -> np.ndarray:
    """A filter (3, h, w) as colours, grey for 0."""
    values = weight.numpy().transpose(1, 2, 0)
    most = float(np.abs(values).max()) or 1.0
    colours: np.ndarray = 0.5 + 0.5 * values / most
    return colours

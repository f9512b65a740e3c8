"""Drawing maps: many small ones in one image, an image with a map over it, sheets of a slide's width."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Drawing
from PIL import Image

from bench.report.figures import MM
from bench.report.style import MUTED, PAPER

WIDTH = 178.0  # mm; twice the column of a paper, so that it fills a slide
HEAT, SIGNED, LIKENESS = "magma", "RdBu_r", "viridis"


def sheet(
    height: float, columns: int, rows: int = 1, *, widths: Sequence[float] | None = None, **margins: float
) -> tuple[Drawing, np.ndarray]:
    """An empty figure `WIDTH` mm wide with axes in rows and columns; margins in mm."""
    edge = {"left": 2.0, "right": 2.0, "top": 6.0, "bottom": 2.0} | margins
    drawing = Drawing(figsize=(WIDTH * MM, height * MM))
    FigureCanvasAgg(drawing)
    axes = drawing.subplots(rows, columns, squeeze=False, width_ratios=widths)
    drawing.subplots_adjust(
        left=edge["left"] / WIDTH,
        right=1 - edge["right"] / WIDTH,
        top=1 - edge["top"] / height,
        bottom=edge["bottom"] / height,
        wspace=edge.get("wspace", 0.08),
        hspace=edge.get("hspace", 0.3),
    )
    return drawing, axes


def bare(axes: Axes, title: str = "", below: str = "") -> None:
    """Take frame and ticks away; a title above and a line below."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title:
        axes.set_title(title, size=7, pad=3)
    if below:
        axes.set_xlabel(below, size=6.5, color=MUTED, labelpad=3)


def show(axes: Axes, values: Any, title: str = "", below: str = "", **options: Any) -> None:
    """An image or a map with its own pixels, without ticks."""
    axes.imshow(values, interpolation="none", **options)
    bare(axes, title, below)


def mosaic(
    maps: np.ndarray,
    *,
    each: bool = False,
    low: float | None = None,
    high: float | None = None,
    gap: float = 0.08,
    cmap: str = HEAT,
) -> np.ndarray:
    """Maps (rows, columns, h, w) or colours (..., 3) side by side in one array of colours, RGBA 0..1.

    Args:
        each: scale each map from 0 to its own largest value; else all from `low` to `high`, None being their
            least and largest. A map of NaN is left empty.
        gap: between two maps, as a share of a map.
    """
    empty = np.isnan(maps).all(tuple(range(2, maps.ndim)))
    if maps.ndim == 4:
        if each:
            bottom, top = 0.0, maps.max((2, 3), keepdims=True)
        else:
            bottom = float(np.nanmin(maps)) if low is None else low
            top = np.asarray(float(np.nanmax(maps)) if high is None else high)
        maps = mpl.colormaps[cmap]((maps - bottom) / np.where(top - bottom > 0, top - bottom, 1))
    rows, columns, height, width, channels = maps.shape
    between = max(1, round(gap * max(height, width)))
    whole = np.zeros((rows * (height + between) - between, columns * (width + between) - between, 4))
    for row, column in np.argwhere(~empty):
        down, right = row * (height + between), column * (width + between)
        whole[down : down + height, right : right + width, :channels] = maps[row, column]
        whole[down : down + height, right : right + width, 3] = 1
    return whole


def show_mosaic(
    axes: Axes, maps: np.ndarray, rows: Sequence[str], columns: Sequence[str], **options: Any
) -> None:
    """A mosaic with the names of its rows on the left and those of its columns above."""
    image = mosaic(maps, **options)
    show(axes, image)
    for names, length, count, side in (
        (rows, image.shape[0], maps.shape[0], "y"),
        (columns, image.shape[1], maps.shape[1], "x"),
    ):
        places = (np.arange(len(names)) + 0.5) * length / count - 0.5
        getattr(axes, f"set_{side}ticks")(places, names)
    axes.tick_params(length=0, pad=2, labelsize=6.5)
    axes.xaxis.tick_top()


def scale(
    drawing: Drawing, axes: Axes | Sequence[Axes], low: float, high: float, label: str, cmap: str = HEAT
) -> None:
    """A bar of colours beside axes."""
    bar = drawing.colorbar(
        ScalarMappable(Normalize(low, high), cmap), ax=axes, fraction=0.04, pad=0.02, aspect=25
    )
    bar.set_label(label, size=6.5)
    bar.ax.tick_params(labelsize=6, length=2)
    bar.outline.set_visible(False)


def over(image: np.ndarray, heat: np.ndarray, cmap: str = HEAT) -> np.ndarray:
    """An image uint8 (s, s, 3) in grey with a map (h, w) of 0..1 over it, the more opaque the higher."""
    side = image.shape[0]
    strength = enlarge(heat, side)[..., None]
    grey = np.repeat(np.asarray(Image.fromarray(image).convert("L"))[..., None] / 255, 3, axis=2)
    grey = 0.12 + 0.83 * grey
    colours = mpl.colormaps[cmap](0.15 + 0.85 * strength[..., 0])[..., :3]
    opacity = np.clip(1.5 * strength - 0.1, 0, 0.9)
    mixed: np.ndarray = grey * (1 - opacity) + colours * opacity
    return mixed


def enlarge(values: np.ndarray, side: int) -> np.ndarray:
    """A map (h, w) at side x side px, smoothly."""
    image = Image.fromarray(np.asarray(values, dtype=np.float32))
    return np.clip(np.asarray(image.resize((side, side), Image.Resampling.BICUBIC)), 0, 1)


def unit(values: np.ndarray) -> np.ndarray:
    """Values divided by their largest; zeros where that is not positive."""
    largest = float(values.max())
    return values / largest if largest > 0 else np.zeros_like(values)


def draw_grid(axes: Axes, size: int, rows: int, columns: int) -> None:
    """Lines between rows and columns of patches over an image of `size` px."""
    for count, line in ((rows, axes.axhline), (columns, axes.axvline)):
        for k in range(1, count):
            line(k * size / count - 0.5, color=PAPER, linewidth=0.5, alpha=0.9)

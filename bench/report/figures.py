"""Drawing a figure: a canvas as wide as a paper's column, and labels at the ends of lines."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from scipy.optimize import isotonic_regression

from bench.report.style import Style

MM = 1 / 25.4
WIDTH = 85.0
LABEL_CHARACTERS = 19
LINE_CHARACTERS = 52
LABEL_LINES = 2


@dataclass(frozen=True)
class EndLabel:
    """The name of a line, to be written beside its last point (data coordinates)."""

    text: str
    x: float
    y: float
    style: Style


def canvas(height: float, panels: int = 1, below: float = 9.5) -> tuple[Drawing, list[Axes]]:
    """An empty figure `WIDTH` mm wide and `height` mm high, `below` of it for what stands below the axes.

    Panels stand above one another and share the x axis.
    """
    drawing = Drawing(figsize=(WIDTH * MM, height * MM))
    FigureCanvasAgg(drawing)
    axes = drawing.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
    drawing.subplots_adjust(
        left=11.5 / WIDTH, right=1 - 3 / WIDTH, bottom=below / height, top=1 - 3 / height, hspace=0.16
    )
    drawing.align_ylabels(axes)
    return drawing, list(axes)


def renderer_of(drawing: Drawing) -> RendererAgg:
    """What measures the text of a figure made by `canvas`."""
    assert isinstance(drawing.canvas, FigureCanvasAgg)
    return drawing.canvas.get_renderer()


def room_for(labels: int, height: float, lines: int = LABEL_LINES) -> float:
    """What axes `height` mm high lack, in mm, for this many labels of so many lines to stand beside them."""
    return max(0.0, (0.8 + 2.6 * lines) * labels - height)


def label_ends(drawing: Drawing, axes: Axes, labels: list[EndLabel], lines: int = LABEL_LINES) -> None:
    """Write the labels to the right of the axes, each on so many lines at most, moved apart where they would
    overlap."""
    if not labels:
        return
    renderer = renderer_of(drawing)
    to_figure = drawing.transFigure.inverted()
    texts = [
        drawing.text(0, 0, _wrapped(label.text, lines), va="center", size=6.5, linespacing=1.05)
        for label in labels
    ]
    boxes = [text.get_window_extent(renderer).transformed(to_figure) for text in texts]
    right = 1 - max(box.width for box in boxes) - 5.5 / WIDTH
    drawing.subplots_adjust(right=right)
    frame = axes.get_position()
    ends = to_figure.transform(axes.transData.transform([(label.x, label.y) for label in labels]))
    heights = np.array([box.height for box in boxes]) + 0.8 * MM / drawing.get_figheight()
    centres = spread_out(ends[:, 1], heights, frame.y0, frame.y1 + 0.02)
    for label, text, (x, y), centre in zip(labels, texts, ends, centres, strict=True):
        text.set_position((right + 4.5 / WIDTH, centre))
        span = [x + 0.8 / WIDTH, right + 3.7 / WIDTH]
        leader = Line2D(span, [y, centre], color=label.style.colour, linewidth=0.6)
        leader.set_transform(drawing.transFigure)
        drawing.add_artist(leader)


def spread_out(targets: np.ndarray, heights: np.ndarray, low: float, high: float) -> np.ndarray:
    """Centres of labels of the given heights, near their targets, without overlap, within [low, high].

    The sum of squared moves is the least possible in the order of the targets (isotonic regression);
    labels that cannot all fit run over the upper end.
    """
    if not len(targets):
        return np.empty(0)
    order = np.argsort(targets, kind="stable")
    sorted_heights = heights[order]
    steps = np.concatenate([[0.0], np.cumsum([(a + b) / 2 for a, b in pairwise(sorted_heights)])])
    free = isotonic_regression(targets[order] - steps).x
    lowest = low + sorted_heights[0] / 2
    highest = max(lowest, high - sorted_heights[-1] / 2 - steps[-1])
    placed = np.empty(len(targets))
    placed[order] = np.clip(free, lowest, highest) + steps
    return placed


def shortened(text: str, characters: int) -> str:
    """The text, cut where it is longer than so many characters."""
    return text if len(text) <= characters else f"{text[: characters - 1].rstrip()}…"


def one_line(names: Sequence[str], between: str, after: str = "") -> str:
    """Names with words between them; each is cut where together they are wider than a figure."""
    room = (LINE_CHARACTERS - len(after) - len(between) * (len(names) - 1)) // len(names)
    whole = between.join(names) + after
    if len(whole) <= LINE_CHARACTERS:
        return whole
    return between.join(shortened(name, room) for name in names) + after


def _wrapped(text: str, most: int) -> str:
    """At most so many lines of `LABEL_CHARACTERS` characters."""
    lines = textwrap.wrap(text, LABEL_CHARACTERS, break_on_hyphens=False)
    if len(lines) > most:
        last = lines[most - 1][: LABEL_CHARACTERS - 1].rstrip()
        lines = [*lines[: most - 1], f"{last}…"]
    return "\n".join(lines)

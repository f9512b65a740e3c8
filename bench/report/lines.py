"""Line charts: every figure of one line a model, with the models' names at the ends."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from bench.report.figures import LABEL_LINES, WIDTH, EndLabel, canvas, label_ends, renderer_of, room_for
from bench.report.style import PAPER, Style
from bench.report.text import count

AXES_HEIGHT = 48.0
AXIS_CHARACTERS = 30  # that fit side by side along the axis of a figure
GAP_CHARACTERS = 0.15  # left free between the labels of two ticks


@dataclass(frozen=True)
class Line:
    """Values of y over x, in the order of x; without a title its end has no label.

    Attributes:
        low, high: ends of intervals, drawn as bars; NaN where there is none.
        band: whether the intervals are shaded too.
        hollow: which points have an empty marker.
        ringed: which points have a ring around them.
        failed: values of x beyond the line's end that have no y, marked by a cross.
        drawn: matplotlib's keywords where the line is not drawn as its style says.
    """

    title: str
    style: Style
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    band: bool = False
    hollow: Sequence[bool] = ()
    ringed: Sequence[bool] = ()
    failed: Sequence[float] = ()
    drawn: Mapping[str, Any] = field(default_factory=dict)


def line_chart(
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    log_x: bool = True,
    log_y: bool = False,
    from_0: bool = False,
    whole: Collection[float] = (),
    label_lines: int = LABEL_LINES,
) -> Drawing:
    """The lines on one pair of axes; a y label that ends in "(%)" says that y lies between 0 and 100.

    Args:
        from_0: whether the y axis begins at 0.
        whole: values of x that are all there is, and are named so.
        label_lines: how many lines a name may take.
    """
    named = [line for line in lines if line.title]
    more = room_for(len(named), AXES_HEIGHT, label_lines)
    drawing, (axes,) = canvas(AXES_HEIGHT + 14 + more, below=12.5 if whole else 9.5)
    for line in lines:
        _draw(axes, line)
    _x_axis(axes, sorted({x for line in lines for x in (*line.x, *line.failed)}), whole, log=log_x)
    if log_y:
        _log_y_axis(axes, [y for line in lines for y in line.y])
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], min_n_ticks=3))
        low, high = axes.get_ylim()
        least, most = (-2, 102) if y_label.endswith("(%)") else (low, high)
        axes.set_ylim(0 if from_0 else max(low, least), min(high, most))
    axes.set_xlabel(f"{x_label} (log scale)" if log_x else x_label)
    axes.set_ylabel(f"{y_label} (log scale)" if log_y else y_label)
    box = axes.yaxis.get_tightbbox(renderer_of(drawing))
    over = 1.0 - box.x0 / drawing.dpi * 25.4 if box else 0.0
    if over > 0:  # long numbers push the label of the axis towards the edge
        drawing.subplots_adjust(left=drawing.subplotpars.left + over / WIDTH)
    ends = [EndLabel(line.title, max([line.x[-1], *line.failed]), line.y[-1], line.style) for line in named]
    label_ends(drawing, axes, ends, label_lines)
    return drawing


def _draw(axes: Axes, line: Line) -> None:
    x, y = np.asarray(line.x, dtype=float), np.asarray(line.y, dtype=float)
    hollow, ringed = (
        np.asarray(which if len(which) else [False] * len(x), dtype=bool)
        for which in (line.hollow, line.ringed)
    )
    colour, style = line.style.colour, line.style
    own: dict[str, Any] = {"linestyle": style.dash, "marker": style.marker, "linewidth": 1.1, "alpha": 1.0}
    own |= line.drawn
    marker: dict[str, Any] = {"marker": own.pop("marker"), "alpha": own["alpha"], "linestyle": "none"}
    if line.band and len(x) > 1:
        axes.fill_between(x, line.low, line.high, where=~hollow, color=colour, alpha=0.13, lw=0)
    for at, *ends in zip(x, line.low, line.high, strict=False):
        axes.plot([at, at], ends, color=colour, linewidth=0.7, alpha=own["alpha"])
    axes.plot(x, y, color=colour, **own)
    for which, fill in ((~hollow, colour), (hollow, PAPER)):
        filled: dict[str, Any] = {"markerfacecolor": fill, "markeredgecolor": colour, "markeredgewidth": 0.7}
        axes.plot(x[which], y[which], **marker, **filled)
    for at in line.failed:
        axes.plot([x[-1], at], [y[-1], y[-1]], color=colour, linewidth=1.1, linestyle=(0, (1, 1.5)))
        axes.plot([at], [y[-1]], marker="x", linestyle="none", color=colour, markersize=4.5)
    axes.scatter(x[ringed], y[ringed], s=45, facecolors="none", edgecolors=colour, linewidths=0.9)


def _x_axis(axes: Axes, values: list[float], whole: Collection[float], *, log: bool) -> None:
    """Ticks at the values; on a log axis only those whose names have room."""
    if not log:
        axes.xaxis.set_major_locator(FixedLocator(values) if len(values) < 9 else MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        return
    axes.set_xscale("log")
    pad = max((values[-1] / values[0]) ** 0.04, 1.1) if len(values) > 1 else 1.5
    axes.set_xlim(values[0] / pad, values[-1] * pad)
    axes.xaxis.set_major_locator(FixedLocator(values))
    span = math.log(values[-1] / values[0] * pad**2)
    axes.xaxis.set_major_formatter(FixedFormatter(_tick_names(values, whole, span)))
    axes.xaxis.set_minor_locator(NullLocator())


def _tick_names(ticks: Sequence[float], whole: Collection[float], span: float) -> list[str]:
    """Names of ticks, from the largest down, without those that would run into the one before.

    All have as many lines as that of a `whole` split, so that they stand on one line.

    Args:
        span: the natural logarithm of the axis' last value over its first.
    """
    shown: dict[float, str] = {}
    for tick in reversed(ticks):
        label = f"{tick:.0f}" if tick >= 10 else f"{tick:.4g}"
        if shown:
            nearest = min(shown)
            apart = AXIS_CHARACTERS * math.log(nearest / tick) / span
            if apart < (len(label) + len(shown[nearest].partition("\n")[0])) / 2 + GAP_CHARACTERS:
                continue
        shown[tick] = label + ("\n(all)" if tick in whole else "\n " if whole else "")
    return [shown.get(tick, "") for tick in ticks]


def _log_y_axis(axes: Axes, values: list[float]) -> None:
    """A log axis that spans a factor of four at least, so that noise does not look like a difference."""
    axes.set_yscale("log")
    low, high = min(values), max(values)
    pad = max(1.25, math.sqrt(4 * low / high))
    axes.set_ylim(low / pad, high * pad)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 150 else (1,)))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: count(value) if value >= 1000 else f"{value:g}")
    )
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_locator(NullLocator())

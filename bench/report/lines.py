"""Figures of one line a model, on log axes, with the models' names at the ends."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from bench.report.blocks import Figure
from bench.report.figures import WIDTH, EndLabel, canvas, label_ends, renderer_of, room_for
from bench.report.style import Style
from bench.report.text import count

AXES_HEIGHT = 46.0
APART = 0.085  # of the axis, between two ticks


@dataclass(frozen=True)
class Line:
    """One model's values; `low` and `high` are the ends of their intervals, where there are any.

    `failed` are values of x without a value of y because memory ran out.
    """

    title: str
    style: Style
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    failed: Sequence[float] = ()


def line_figure(
    name: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    caption: str,
    alt: str,
    data: pd.DataFrame,
    runs: Iterable[str] = (),
    percent: bool = False,
    log_x: bool = True,
) -> Figure:
    """The lines, with ticks where there are values of x, on log axes; with `percent` y is linear, from 0."""
    drawing, (axes,) = canvas(60 + room_for(len(lines), AXES_HEIGHT))
    labels = []
    for line in lines:
        drawn: dict[str, Any] = {"color": line.style.colour, "linewidth": 1.1}
        axes.plot(line.x, line.y, marker=line.style.marker, linestyle=line.style.dash, **drawn)
        for x, low, high in zip(line.x, line.low, line.high, strict=False):
            if not (math.isnan(low) or math.isnan(high)):
                axes.plot([x, x], [low, high], color=line.style.colour, linewidth=0.8)
        for x in line.failed:
            axes.plot([line.x[-1], x], [line.y[-1]] * 2, linestyle=(0, (1, 1.5)), **drawn)
            axes.plot(
                [x], [line.y[-1]], marker="x", linestyle="none", color=line.style.colour, markersize=4.5
            )
        labels.append(EndLabel(line.title, max([line.x[-1], *line.failed]), line.y[-1], line.style))
    _x_axis(axes, sorted({x for line in lines for x in (*line.x, *line.failed)}), log=log_x)
    if percent:
        axes.set_ylim(0, None)
    else:
        _y_axis(axes, [y for line in lines for y in line.y])
    axes.set_xlabel(f"{x_label} (log scale)" if log_x else x_label)
    axes.set_ylabel(y_label if percent else f"{y_label} (log scale)")
    box = axes.yaxis.get_tightbbox(renderer_of(drawing))
    over = 1.0 - box.x0 / drawing.dpi * 25.4 if box else 0.0
    if over > 0:  # long numbers push the label of the axis towards the edge
        drawing.subplots_adjust(left=drawing.subplotpars.left + over / WIDTH)
    label_ends(drawing, axes, labels)
    return Figure(drawing, name, caption=caption, alt=alt, data=data, runs=sorted(runs))


def _x_axis(axes: Axes, values: list[float], *, log: bool) -> None:
    first, last = values[0], values[-1]
    if log:
        axes.set_xscale("log", base=2)
        pad = (last / first) ** 0.04 if last > first else 1.5
        axes.set_xlim(first / pad, last * pad)
    axes.xaxis.set_major_locator(FixedLocator(ticks(values) if log else values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _y_axis(axes: Axes, values: list[float]) -> None:
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


def ticks(values: Sequence[float], apart: float = APART) -> list[float]:
    """Those of the sorted, positive values that stand far enough apart on a log axis to be printed."""
    span = math.log(values[-1] / values[0]) or 1.0
    kept = [values[-1]]
    for value in values[-2::-1]:
        if math.log(kept[-1] / value) >= apart * span:
            kept.append(value)
    return kept[::-1]

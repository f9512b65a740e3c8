"""The axis of training images per class that figures of data efficiency share."""

import math

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from bench.report.cells import Cell

AXIS_CHARACTERS = 30  # that fit side by side along the axis of a figure
GAP_CHARACTERS = 0.15  # left free between the labels of two ticks


def size_axis(axes: Axes, measured: list[Cell]) -> None:
    """A logarithmic x axis with the measured sizes as ticks."""
    whole = {cell.images_per_class for cell in measured if cell.shots is None}
    ticks = sorted({cell.images_per_class for cell in measured})
    axes.set_xscale("log")
    margin = 1.25 if len(ticks) > 1 else 2.0
    first, last = ticks[0] / margin, ticks[-1] * margin
    axes.set_xlim(first, last)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter(_names(ticks, whole, math.log(last / first))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Training images per class (log scale)")


def _names(ticks: list[float], whole: set[float], span: float) -> list[str]:
    """Names of ticks, from the largest down, without those that would run into the one before.

    All have as many lines as that of the `whole` split, so that they stand on one line.

    Args:
        span: the natural logarithm of the axis' last value over its first.
    """
    shown: dict[float, str] = {}
    for tick in reversed(ticks):
        label = f"{tick:g}"
        if shown:
            nearest = min(shown)
            apart = AXIS_CHARACTERS * math.log(nearest / tick) / span
            if apart < (len(label) + len(f"{nearest:g}")) / 2 + GAP_CHARACTERS:
                continue
        shown[tick] = label + ("\n(all)" if tick in whole else "\n " if whole else "")
    return [shown.get(tick, "") for tick in ticks]

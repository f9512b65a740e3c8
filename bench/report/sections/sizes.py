"""The axis of training images per class that figures of data efficiency share."""

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from bench.report.cells import Cell

CLOSEST_TICKS = 1.22  # ticks nearer than this factor are not both labelled


def size_axis(axes: Axes, measured: list[Cell], beyond: float = 1.0) -> None:
    """A logarithmic x axis with the measured sizes as ticks, up to `beyond` times the largest."""
    whole = {cell.images_per_class for cell in measured if cell.shots is None}
    ticks = sorted({cell.images_per_class for cell in measured})
    axes.set_xscale("log")
    margin = 1.25 if len(ticks) > 1 else 2.0
    axes.set_xlim(ticks[0] / margin, ticks[-1] * max(margin, 1.08 * beyond))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter(_names(ticks, whole)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Training images per class (log scale)")


def _names(ticks: list[float], whole: set[float]) -> list[str]:
    """Names of ticks, from the largest down, without those that would run into the one before.

    All have as many lines as that of the `whole` split, so that they stand on one line.
    """
    shown: dict[float, str] = {}
    for tick in reversed(ticks):
        if not shown or min(shown) / tick >= CLOSEST_TICKS:
            second = "\n(all)" if tick in whole else "\n " if whole else ""
            shown[tick] = f"{tick:g}{second}"
    return [shown.get(tick, "") for tick in ticks]

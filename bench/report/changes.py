"""The picture of what changed between two run stores."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.analysis.changes import Change
from bench.errors import InputError
from bench.files import write_bytes
from bench.report.style import INK, MUTED, SERIES, UNSTABLE, house_style, saved

STYLES = {
    "better": (SERIES[0][0], "o"),
    "worse": (SERIES[1][0], "s"),
    "equivalent": (SERIES[2][0], "^"),
    "inconclusive": (MUTED, "D"),
    "identical": (INK, "X"),
    "none": (MUTED, "x"),
}
"""Colour and marker of each verdict."""

WIDTH, ROW, MARGIN = 6.3, 0.19, 0.75


def draw_changes(changes: Sequence[Change], delta: float, path: Path) -> None:
    """Write the differences of all cells that have one, with their intervals, as SVG, PNG or PDF.

    Args:
        changes: of `bench.analysis.changes`; cells without a difference are left out.
        delta: the difference that was declared negligible, drawn as a band; a fraction.
        path: the file; its suffix says which kind.

    Raises:
        InputError: the suffix is another, or no cell has a difference.
        StoreError: it cannot be written.
    """
    if path.suffix.lower().removeprefix(".") not in UNSTABLE:
        raise InputError(f"--figure {path}: should end in {', '.join(f'.{kind}' for kind in UNSTABLE)}")
    shown = [(change, size) for change in changes if (size := change.difference) is not None]
    if not shown:
        raise InputError(f"--figure {path}: no cell has runs in both stores that can be compared")
    with house_style():
        drawing = Figure(figsize=(WIDTH, MARGIN + ROW * len(shown)))
        FigureCanvasAgg(drawing)
        axes = drawing.add_subplot()
        axes.axvspan(-100 * delta, 100 * delta, color=INK, alpha=0.08, linewidth=0)
        axes.axvline(0, color=INK, linewidth=0.8)
        for row, (change, difference) in enumerate(shown):
            colour, marker = STYLES[change.verdict]
            if change.low is not None and change.high is not None:
                axes.plot([100 * change.low, 100 * change.high], [row, row], color=colour)
            axes.plot(100 * difference, row, marker, color=colour)
        for verdict in dict.fromkeys(change.verdict for change, _ in shown):
            colour, marker = STYLES[verdict]
            label = "no verdict" if verdict == "none" else verdict
            axes.plot([], [], marker, color=colour, label=label)
        axes.set_yticks(range(len(shown)), [change.cell for change, _ in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel("Change in top-1, second store minus first (points); the band is ± delta")
        axes.grid(axis="y", visible=False)
        drawing.legend(loc="outside upper right", ncols=len(STYLES), frameon=False)
        drawing.set_layout_engine("constrained")
        write_bytes(path, saved(drawing, path.suffix.lower().removeprefix(".")))

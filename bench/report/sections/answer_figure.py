"""The figure of a report: accuracy against images per class, every network and regime of a data set."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.files import slug
from bench.report.blocks import Figure
from bench.report.cells import Cell
from bench.report.data_sets import DataSet
from bench.report.evidence import Evidence
from bench.report.figures import EndLabel, canvas, label_ends, room_for
from bench.report.sections.columns import cell_size
from bench.report.sections.sizes import size_axis
from bench.report.style import PAPER, Style
from bench.report.text import percent

PLAIN = Style(7)  # grey: for what needs no training
AXES_HEIGHT = 50.0
LABEL_LINES = 3


Styles = dict[tuple[str, str], Style]


def styles_of(evidence: Evidence, every: Sequence[DataSet]) -> Styles:
    """How a contestant of a comparison is drawn: in its colour, and where any data set has several regimes,
    with the marker and line of its regime."""
    labels = list(dict.fromkeys(regime.label for data in every for regime in data.regimes))
    several = any(len(data.regimes) > 1 for data in every)
    return {
        (cell.comparison, cell.contestant): Style(
            evidence.styles[cell.contestant].slot, labels.index(regime.label) if several else None
        )
        for data in every
        for regime in data.regimes
        for cell in regime.cells
    }


def answer_figure(evidence: Evidence, data: DataSet, styles: Styles) -> Figure:
    """One line a network and regime with its 95 % intervals, drawn from one row a cell."""
    rows = _rows(evidence, data)
    lines = [own for _, own in rows.groupby(["comparison", "contestant"], sort=False)]
    drawing, (axes,) = canvas(
        AXES_HEIGHT + 16 + room_for(len(lines) + 1, AXES_HEIGHT, LABEL_LINES), below=12.5
    )
    first = {(cell.comparison, cell.contestant): cell for cell in data.cells}
    labels = []
    for own in lines:
        key = own["comparison"].iloc[0], own["contestant"].iloc[0]
        labels.append(_line(axes, own, _name(data, first[key]), styles[key]))
    size_axis(axes, data.cells)
    labels += _without_training(axes, rows)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], min_n_ticks=3))
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -2), min(high, 102))
    axes.set_ylabel("Top-1 accuracy (%)")
    label_ends(drawing, axes, labels, LABEL_LINES)
    return Figure(
        drawing,
        f"answer-{slug(data.title)}",
        caption=_caption(data),
        alt=_alt(data, lines),
        data=rows,
        runs=[run for cell in data.cells for run in cell.runs],
    )


def _rows(evidence: Evidence, data: DataSet) -> pd.DataFrame:
    """One row a network, regime and size; accuracies are fractions."""
    rows = []
    for regime in data.regimes:
        cells = [cell for size in regime.sizes for cell in regime.at(size)]
        for cell in sorted(cells, key=lambda one: list(evidence.styles).index(one.contestant)):
            score, known = cell.scores["top1"], cell.interval
            rows.append(
                {
                    "dataset": cell.dataset,
                    "split_id": cell.split_id,
                    "comparison": cell.comparison,
                    "regime": regime.label,
                    "contestant": cell.contestant,
                    "title": cell.title,
                    "model": cell.model,
                    "images_per_class": cell.images_per_class,
                    "n": score.n,
                    "top1": score.mean,
                    "sd": score.sd,
                    "low": np.nan if known is None or known.low is None else known.low,
                    "high": np.nan if known is None or known.high is None else known.high,
                    "chance_top1": 1 / evidence.records[cell.runs[0]].data.classes,
                    "nearest_top1": cell.nearest.mean,
                    "diverged": cell.diverged,
                    "not_trained": cell.untrained or "",
                }
            )
    return pd.DataFrame(rows)


def _line(axes: Axes, rows: pd.DataFrame, name: str, style: Style) -> EndLabel:
    """Draw one network and regime; returns the label for its end."""
    sizes, top1 = rows["images_per_class"].to_numpy(), 100 * rows["top1"].to_numpy()
    low, high = 100 * rows["low"].to_numpy(), 100 * rows["high"].to_numpy()
    trained = (rows["not_trained"] == "").to_numpy()
    if len(sizes) > 1:
        axes.fill_between(sizes, low, high, where=trained, color=style.colour, alpha=0.13, lw=0)
    for x, *ends in zip(sizes, low, high, strict=True):
        axes.plot([x, x], ends, color=style.colour, linewidth=0.7)
    axes.plot(sizes, top1, color=style.colour, linestyle=style.dash)
    for which, fill in ((trained, style.colour), (~trained, PAPER)):
        drawn: dict[str, Any] = {"markerfacecolor": fill, "markeredgecolor": style.colour}
        axes.plot(
            sizes[which], top1[which], linestyle="none", marker=style.marker, markeredgewidth=0.7, **drawn
        )
    return EndLabel(name, sizes[-1], top1[-1], style)


def _without_training(axes: Axes, rows: pd.DataFrame) -> list[EndLabel]:
    """Draw chance and, where it was measured, the nearest neighbour in raw pixels."""
    ends, chance = axes.get_xlim(), 100 * rows["chance_top1"].iloc[0]
    drawn: dict[str, Any] = {"color": PLAIN.colour, "linewidth": 0.9, "zorder": 1}
    axes.plot(ends, [chance, chance], linestyle=(0, (1, 2)), **drawn)
    axes.set_xlim(ends)
    axes.set_ylim(bottom=min(axes.get_ylim()[0], chance - 2))
    labels = [EndLabel("chance", ends[1], chance, PLAIN)]
    nearest = 100 * rows.dropna(subset="nearest_top1").groupby("images_per_class")["nearest_top1"].first()
    if len(nearest):
        axes.plot(nearest.index, nearest, linestyle=(0, (3, 2)), marker="+", markersize=4, **drawn)
        labels.append(EndLabel("1-nearest neighbour", nearest.index[-1], nearest.iloc[-1], PLAIN))
    return labels


def _name(data: DataSet, cell: Cell) -> str:
    """A network, with its regime where there are several."""
    return f"{cell.title}, {data.regime_of(cell).label}" if len(data.regimes) > 1 else cell.title


def _caption(data: DataSet) -> str:
    cells = data.cells
    how = "" if len(data.regimes) > 1 else f", {data.regimes[0].label}"
    split = f" ({data.split_id})" if data.split_id else ""
    parts = [
        f"{data.title}{split}{how}: test accuracy against training images per class, mean over replicates "
        "with 95 % intervals."
    ]
    if any(cell.nearest.n for cell in cells):
        parts.append("Grey: chance, and the nearest training image in raw pixels.")
    else:
        parts.append("Grey: chance.")
    if any(cell.untrained for cell in cells):
        parts.append("Hollow: not trained.")
    diverged, runs = sum(cell.diverged for cell in cells), sum(len(cell.runs) for cell in cells)
    if diverged:
        parts.append(f"{diverged} of {runs} runs diverged and count at chance.")
    return " ".join(parts)


def _alt(data: DataSet, lines: list[pd.DataFrame]) -> str:
    whole = {cell.images_per_class: cell_size(cell) for cell in data.cells}
    series = []
    for own in lines:
        values = [
            f"{percent(row['top1'])} % at {whole[row['images_per_class']]}"
            + (" (not trained)" if row["not_trained"] else "")
            for row in own.to_dict("records")
        ]
        series.append(f"{own['title'].iloc[0]}, {own['regime'].iloc[0]}: {', '.join(values)}.")
    what = f"Line chart: mean top-1 accuracy on {data.title} by training images per class."
    return " ".join([what, *series])

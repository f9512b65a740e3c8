"""The figure of a report: accuracy against images per class, every network and regime of a data set."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.files import slug
from bench.report.blocks import Figure
from bench.report.data_sets import DataSet
from bench.report.evidence import Evidence
from bench.report.lines import Line, line_chart
from bench.report.sections.columns import cell_size
from bench.report.style import Style
from bench.report.text import listed, percent

PLAIN = Style(7)  # grey: for what needs no training
UNTRAINED = {
    "nearest_top1": ("1-nearest neighbour", {"marker": "+", "linestyle": (0, (3, 2)), "linewidth": 0.9}),
    "majority_top1": ("majority class", {"marker": "", "linestyle": (0, (3, 1, 1, 1)), "linewidth": 0.9}),
    "chance_top1": ("chance", {"marker": "", "linestyle": (0, (1, 2)), "linewidth": 0.9}),
}
"""What needs no training, by its column: what it is called, and how it is drawn."""

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
    rows = pd.DataFrame(_rows(evidence, data))
    networks = {key: own for key, own in rows.groupby(["comparison", "contestant"], sort=False)}
    several = len(data.regimes) > 1
    lines = []
    for key, own in networks.items():
        name = own["title"].iloc[0] + (f", {own['regime'].iloc[0]}" if several else "")
        top1, low, high = ((100 * own[part]).to_numpy() for part in ("top1", "low", "high"))
        sizes, hollow = own["images_per_class"].to_numpy(), (own["not_trained"] != "").to_numpy()
        lines.append(Line(name, styles[key], sizes, top1, low, high, band=True, hollow=hollow))
    plain = list(_without_training(rows))
    drawing = line_chart(
        [*plain, *lines],
        "Training images per class",
        "Top-1 accuracy (%)",
        whole={cell.images_per_class for cell in data.cells if cell.shots is None},
        label_lines=3,
    )
    return Figure(
        drawing,
        f"answer-{slug(data.title)}",
        caption=_caption(data, [line.title for line in plain]),
        alt=_alt(data, list(networks.values())),
        data=rows,
        runs=[run for cell in data.cells for run in cell.runs],
    )


def _rows(evidence: Evidence, data: DataSet) -> Iterator[dict[str, Any]]:
    """One row a network, regime and size; accuracies are fractions."""
    order = list(evidence.styles)
    for regime in data.regimes:
        cells = [cell for size in regime.sizes for cell in regime.at(size)]
        for cell in sorted(cells, key=lambda one: order.index(one.contestant)):
            score, known = cell.scores["top1"], cell.interval
            yield {
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
                "majority_top1": cell.baseline("majority").mean,
                "nearest_top1": cell.baseline("nearest").mean,
                "diverged": cell.diverged,
                "not_trained": cell.untrained or "",
            }


def _without_training(rows: pd.DataFrame) -> Iterator[Line]:
    """What was measured of the nearest neighbour, of the majority class where it is a point or more
    from chance, and chance."""
    chance = rows["chance_top1"].iloc[0]
    for column, (title, drawn) in UNTRAINED.items():
        known = rows.dropna(subset=column).groupby("images_per_class")[column].first()
        if len(known) and (column != "majority_top1" or (known - chance).abs().max() > 0.01):
            yield Line(title, PLAIN, known.index.to_numpy(), (100 * known).to_numpy(), drawn=drawn)


def _caption(data: DataSet, plain: list[str]) -> str:
    cells = data.cells
    how = "" if len(data.regimes) > 1 else f", {data.regimes[0].label}"
    split = f" ({data.split_id})" if data.split_id else ""
    parts = [
        f"{data.title}{split}{how}: test accuracy against training images per class, mean over replicates "
        f"with 95 % intervals. Grey: {listed(plain).replace('neighbour', 'neighbour in raw pixels')}."
    ]
    if any(cell.untrained for cell in cells):
        parts.append("Hollow: not trained.")
    diverged, runs = sum(cell.diverged for cell in cells), sum(len(cell.runs) for cell in cells)
    if diverged:
        parts.append(f"{diverged} of {runs} runs diverged and count at chance.")
    return " ".join(parts)


def _alt(data: DataSet, networks: list[pd.DataFrame]) -> str:
    whole = {cell.images_per_class: cell_size(cell) for cell in data.cells}
    series = []
    for own in networks:
        values = [
            f"{percent(row['top1'])} % at {whole[row['images_per_class']]}"
            + (" (not trained)" if row["not_trained"] else "")
            for row in own.to_dict("records")
        ]
        series.append(f"{own['title'].iloc[0]}, {own['regime'].iloc[0]}: {', '.join(values)}.")
    return " ".join(
        [f"Line chart: mean top-1 accuracy on {data.title} by training images per class.", *series]
    )

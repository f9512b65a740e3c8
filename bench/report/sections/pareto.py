"""Accuracy against what a model costs, with the models that no other one beats at both."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.analysis.standing import Standing
from bench.report.blocks import Figure
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.figures import EndLabel, canvas, finish, label_ends, room_for
from bench.report.style import MUTED
from bench.report.text import at_size, listed, percent, slug

SIDESTEP = 1.015  # models of the same cost are drawn this factor apart
AXES = {"gmacs": ("GMACs of a forward pass", 1.0), "params": ("parameters (millions)", 1e6)}


def pareto_figures(evidence: Evidence) -> list[Figure]:
    """For the largest subset of each comparison: accuracy against GMACs and against parameters."""
    standing = Standing(evidence.suite, evidence.records, evidence.cost)
    figures = []
    for comparison in evidence.suite["comparisons"]:
        name = comparison["name"]
        here = [cell for cell in evidence.cells if cell.comparison == name and cell.runs]
        here = [cell for cell in here if cell.shots == here[-1].shots]

        def gmacs(cell: Cell, name: str = name) -> float | None:
            flops = standing.flops(name, cell.contestant)
            return flops / 2e9 if flops else None

        def params(cell: Cell) -> float | None:
            return evidence.records[cell.runs[0]]["model"]["params"]

        for axis, cost in (("gmacs", gmacs), ("params", params)):
            figure = _figure(evidence, axis, here, cost)
            figures += [figure] if figure else []
    return figures


def front(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Which entries no other beats: none has at most the cost and at least the score, one of them better."""
    entries = list(zip(costs, scores, strict=True))
    return [
        k
        for k, (cost, score) in enumerate(entries)
        if not any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in entries)
    ]


def _figure(
    evidence: Evidence, axis: str, here: list[Cell], cost: Callable[[Cell], float | None]
) -> Figure | None:
    known = [(cell, found) for cell in here if (found := cost(cell))]
    if len(known) < 2:
        return None
    words, unit = AXES[axis]
    cells = [cell for cell, _ in known]
    costs = [found / unit for _, found in known]
    means = [cell.scores["top1"].mean for cell in cells]
    best = front(costs, means)
    drawing, (axes,) = canvas(60 + room_for(len(cells), 46))
    order = sorted(best, key=lambda k: (costs[k], means[k]))
    axes.plot(
        [costs[k] for k in order], [100 * means[k] for k in order], color=MUTED, linestyle=(0, (3, 2)), lw=0.8
    )
    labels = []
    for number, (cell, cost_of, mean) in enumerate(zip(cells, costs, means, strict=True)):
        x = cost_of * SIDESTEP ** (number - (len(cells) - 1) / 2)
        look = evidence.looks[cell.contestant]
        low, high = _ends(evidence, cell)
        if low is not None:
            axes.plot([x, x], [100 * low, 100 * high], color=look.colour, linewidth=0.9)
        axes.plot([x], [100 * mean], color=look.colour, marker=look.marker, linestyle="none", markersize=5)
        labels.append(EndLabel(cell.title, x, 100 * mean, look))
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 1.6, max(costs) * 1.6)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"{words[0].upper()}{words[1:]} (log scale)")
    axes.set_ylabel("Top-1 accuracy (%)")
    label_ends(drawing, axes, labels)
    first, place = cells[0], at_size(cells[0].shots, cells[0].images_per_class)
    unbeaten = f"Not beaten at both: {listed([cells[k].title for k in order])}."
    points = "; ".join(
        f"{cell.title}: {percent(mean)} % at {x:.3g}"
        for cell, x, mean in zip(cells, costs, means, strict=True)
    )
    return finish(
        drawing,
        f"pareto-{axis}-{slug(first.comparison)}",
        caption=f"{first.comparison}, {place}: mean top-1 accuracy against {words}. "
        "Vertical lines: 95 % intervals, simultaneous over the sizes of a model, drawn slightly aside. "
        f"Dashed: the Pareto front of the means, which claims nothing. {unbeaten}",
        alt=f"Accuracy against {words} in {first.comparison}: {points}. {unbeaten}",
        data=pd.DataFrame(
            {
                "comparison": first.comparison,
                "contestant": [cell.contestant for cell in cells],
                "title": [cell.title for cell in cells],
                "images_per_class": [cell.images_per_class for cell in cells],
                axis if axis == "gmacs" else "params_m": costs,
                "top1": means,
                "on_front": [k in best for k in range(len(cells))],
            }
        ),
        runs=tuple(dict.fromkeys(run for cell in cells for run in cell.runs)),
    )


def _ends(evidence: Evidence, cell: Cell) -> tuple[float | None, float | None]:
    grown = evidence.growths.get((cell.comparison, cell.contestant))
    if grown is None or cell.images_per_class not in grown.curve.sizes:
        return None, None
    at = grown.curve.sizes.index(cell.images_per_class)
    low, high = grown.curve.low[at], grown.curve.high[at]
    return (None, None) if np.isnan(low) else (float(low), float(high))

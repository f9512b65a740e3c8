"""Accuracy against what a model costs, with the models that no other one beats at both."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from bench.files import slug
from bench.report.axes import Axis, measured_axes
from bench.report.blocks import Figure, Gallery, Section
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.figures import EndLabel, canvas, label_ends, room_for
from bench.report.lines import ticks
from bench.report.row_text import three_digits
from bench.report.style import MUTED
from bench.report.text import listed, merge_notes, notes_sentence, percent, size_phrase

SIDESTEP = 1.015  # models of the same cost are drawn this factor apart


def tradeoffs(evidence: Evidence) -> Section:
    """The figures, and what could not be drawn."""
    anchor, title = "tradeoffs", "Accuracy against cost"
    figures, missing = pareto_figures(evidence)
    if not figures:
        return Section.not_measured(anchor, title, "accuracy and cost of two models of one comparison")
    return Section.of(
        anchor,
        title,
        "For the largest amount of training data of each comparison. A model is on the front if no other is "
        "at least as accurate and at least as cheap, and better in one of the two. Throughput, memory and "
        "energy are those of one setting, the same for all models, of one machine.",
        Gallery.of(figures),
        f"Not measured for two models of one comparison: {listed(missing)}." if missing else None,
    )


def pareto_figures(evidence: Evidence) -> tuple[list[Figure], list[str]]:
    """For the largest subset of each comparison: accuracy against every cost that is known of two models.

    Returns:
        The figures, and the names of the costs that could be drawn for no comparison.
    """
    drawn = dict.fromkeys(("operations", "parameters", "throughput", "memory", "energy"), False)
    figures = []
    for comparison in evidence.suite.comparisons:
        cells = [cell for cell in evidence.cells_of(comparison.name) if cell.runs]
        cells = [cell for cell in cells if cell.shots == cells[-1].shots]
        for kind, axis in _axes(evidence, cells, comparison.input_size):
            if figure := _figure(evidence, axis, cells):
                figures.append(figure)
                drawn[kind] = True
    return figures, [name for name, known in drawn.items() if not known]


def front(costs: Sequence[float], scores: Sequence[float], *, more_is_better: bool = False) -> list[int]:
    """Which entries no other beats: none has at most the cost and at least the score, one of them better.

    With `more_is_better` the first is not a cost but a second score.
    """
    sign = -1 if more_is_better else 1
    entries = [(sign * cost, score) for cost, score in zip(costs, scores, strict=True)]
    return [
        k
        for k, (cost, score) in enumerate(entries)
        if not any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in entries)
    ]


def _axes(evidence: Evidence, cells: list[Cell], input_size: int) -> list[tuple[str, Axis]]:
    flops = {cell.contestant: evidence.match.flops(cell.comparison, cell.contestant) for cell in cells}
    params = {cell.contestant: evidence.records[cell.runs[0]].model.params for cell in cells}
    gmacs = {key: value / 2e9 for key, value in flops.items() if value}
    millions = {key: value / 1e6 for key, value in params.items() if value}
    axes = [
        ("operations", Axis("gmacs", "gmacs", "GMACs of a forward pass", gmacs)),
        ("parameters", Axis("params", "params_m", "parameters (millions)", millions)),
    ]
    models = {cell.contestant: cell.model for cell in cells}
    for platform in evidence.platforms:
        axes += measured_axes(platform, models, input_size, evidence.headlines).items()
    return axes


def _figure(evidence: Evidence, axis: Axis, cells: list[Cell]) -> Figure | None:
    cells = [cell for cell in cells if cell.contestant in axis.values]
    if len(cells) < 2:
        return None
    costs = [axis.values[cell.contestant] for cell in cells]
    means = [cell.scores["top1"].mean for cell in cells]
    usable = [k for k, cell in enumerate(cells) if not cell.untrained]
    on_front = front(
        [costs[k] for k in usable], [means[k] for k in usable], more_is_better=axis.more_is_better
    )
    best = [usable[k] for k in on_front]
    drawing, (axes,) = canvas(60 + room_for(len(cells), 46))
    order = sorted(best, key=lambda k: (costs[k], means[k]))
    axes.plot(
        [costs[k] for k in order], [100 * means[k] for k in order], color=MUTED, linestyle=(0, (3, 2)), lw=0.8
    )
    labels = []
    for number, (cell, cost, mean) in enumerate(zip(cells, costs, means, strict=True)):
        x = cost * SIDESTEP ** (number - (len(cells) - 1) / 2)
        style = evidence.styles[cell.contestant]
        low, high = (cell.interval.low, cell.interval.high) if cell.interval else (None, None)
        if low is not None and high is not None:
            axes.plot([x, x], [100 * low, 100 * high], color=style.colour, linewidth=0.9)
        axes.plot([x], [100 * mean], color=style.colour, marker=style.marker, linestyle="none", markersize=5)
        labels.append(EndLabel(cell.title, x, 100 * mean, style))
    _x_axis(axes, costs)
    axes.set_xlabel(f"{axis.label[0].upper()}{axis.label[1:]} (log scale)")
    axes.set_ylabel("Top-1 accuracy (%)")
    label_ends(drawing, axes, labels)
    first, size = cells[0], size_phrase(cells[0].shots, cells[0].images_per_class)
    unbeaten = f"Not beaten at both: {listed([cells[k].title for k in order])}." if order else ""
    if len(usable) < len(cells):
        untrained = listed([cell.title for cell in cells if cell.untrained])
        unbeaten = f"{unbeaten} Not trained, and so not on the front: {untrained}.".strip()
    where = f" on the {axis.where}" if axis.where else ""
    upwards = " More is better on both axes." if axis.more_is_better else ""
    notes = {cell.title: (*cell.notes, *axis.notes.get(cell.contestant, ())) for cell in cells}
    points = "; ".join(
        f"{cell.title}: {percent(mean)} % at {three_digits(x)}"
        for cell, x, mean in zip(cells, costs, means, strict=True)
    )
    return Figure(
        drawing,
        f"pareto-{axis.key}-{slug(first.comparison)}",
        caption=f"{first.comparison}, {size}: mean top-1 accuracy against {axis.label}{where}.{upwards} "
        "Vertical lines: 95 % intervals, shifted a little sideways. "
        f"Dashed: the Pareto front of the means, which claims nothing. {unbeaten}"
        + notes_sentence(merge_notes(notes)),
        alt=f"Accuracy against {axis.label} in {first.comparison}: {points}. {unbeaten}",
        data=pd.DataFrame(
            {
                "comparison": first.comparison,
                "contestant": [cell.contestant for cell in cells],
                "title": [cell.title for cell in cells],
                "images_per_class": [cell.images_per_class for cell in cells],
                axis.column: costs,
                "top1": means,
                "on_front": [k in best for k in range(len(cells))],
            }
        ),
        runs=[*(run for cell in cells for run in cell.runs), *axis.runs],
    )


def _x_axis(axes: Axes, costs: list[float]) -> None:
    """A log axis that spans a factor of six at least, with round numbers that do not run into each other."""
    pad = max(1.6, np.sqrt(6 * min(costs) / max(costs)))
    low, high = min(costs) / pad, max(costs) * pad
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    tens = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    round_numbers = [digit * 10.0**ten for ten in tens for digit in (1, 2, 5)]
    labelled = ticks([x for x in round_numbers if low <= x <= high], apart=0.19 if high >= 1000 else 0.11)
    axes.xaxis.set_major_locator(FixedLocator(labelled))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: three_digits(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())

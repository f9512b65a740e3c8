"""Data efficiency: accuracy against the number of training images per class."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.analysis.flags import Flag
from bench.files import slug
from bench.report.blocks import Figure, Gallery, Section
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.figures import EndLabel, canvas, hollow_markers, label_ends, room_for
from bench.report.sections.columns import cell_size
from bench.report.sections.crossovers import crossover_table
from bench.report.sections.sizes import size_axis
from bench.report.style import Style
from bench.report.text import percent

TITLE = "Data efficiency"
SIDESTEP = 1.03  # single replicates of neighbouring models are drawn this factor apart on the x axis
PLAIN = Style(7)  # grey: for what needs no training
LONE_SIDESTEP = 1.09  # the same for whole models, where there is only one size


def efficiency(evidence: Evidence) -> Section:
    """One figure a comparison, and its crossovers where there is more than one size."""
    figures = []
    for comparison in evidence.suite.comparisons:
        name = comparison.name
        measured = [cell for cell in evidence.cells_of(name) if cell.runs]
        if not measured:
            continue
        figures += [_figure(evidence, name, own, kind) for kind, own in _by_pretraining(measured).items()]
    if not figures:
        return Section.not_measured("efficiency", TITLE)
    return Section.of("efficiency", TITLE, Gallery.of(figures), crossover_table(evidence))


def _by_pretraining(measured: list[Cell]) -> dict[str, list[Cell]]:
    """Models from scratch and pretrained ones, which are never in one figure; "" where there is one kind."""
    kinds: dict[str, list[Cell]] = {"from scratch": [], "pretrained": []}
    for cell in measured:
        kinds["from scratch" if cell.pretraining == "none" else "pretrained"].append(cell)
    kinds = {kind: own for kind, own in kinds.items() if own}
    return kinds if len(kinds) > 1 else {"": measured}


def _figure(evidence: Evidence, name: str, measured: list[Cell], kind: str) -> Figure:
    lines: dict[str, list[Cell]] = {}
    for cell in measured:
        lines.setdefault(cell.contestant, []).append(cell)
    order = [key for key in evidence.styles if key in lines]
    singles = _singles(evidence, measured)
    drawing, (axes,) = canvas(66 + room_for(len(order) + 2, 50), below=12.5)
    lone = len({cell.images_per_class for cell in measured}) == 1
    labels = []
    for number, key in enumerate(order):
        own = singles[singles["contestant"] == key]
        shift = (LONE_SIDESTEP if lone else SIDESTEP) ** (number - (len(order) - 1) / 2)
        labels.append(_line(axes, lines[key], own, evidence.styles[key], shift, lone=lone))
    _axes(axes, measured)
    labels += _baselines(axes, evidence, measured)
    label_ends(drawing, axes, labels)
    split = measured[0].split
    diverged, total = sum(cell.diverged for cell in measured), sum(len(cell.runs) for cell in measured)
    bands = "bars: ± one standard deviation"
    if not lone:
        bands = "bands: 95 % intervals, where there are three replicates"
    caption = (
        f"{', '.join(filter(None, [name, kind]))}: top-1 accuracy on the test split of {split} against "
        f"training images per class. Lines: mean over replicates; {bands}; small markers: single replicates, "
        "shifted a little sideways so that they can be told apart."
    )
    if any(cell.shots is None for cell in measured):
        caption += " (all): the whole training split."
    if any(cell.nearest.n for cell in measured):
        caption += " Grey: the nearest neighbour in raw pixels on the same training images, and chance."
    if diverged:
        caption += f" {diverged} of {total} trials diverged (crosses) and are scored as guessing."
    if untrained := [cell for cell in measured if cell.untrained]:
        each = "; ".join(f"{cell.title} at {cell_size(cell)} ({cell.untrained})" for cell in untrained)
        caption += f" Not trained, so that nothing follows about the architecture there: {each}."
    return Figure(
        drawing,
        f"efficiency-{slug(f'{name} {kind}')}",
        caption=caption,
        alt=_alt(name, split, [lines[key] for key in order]),
        data=singles,
        runs=[run for cell in measured for run in cell.runs],
    )


def _line(
    axes: Axes, points: list[Cell], singles: pd.DataFrame, style: Style, shift: float, *, lone: bool
) -> EndLabel:
    """Draw one contestant, its single replicates a factor of `shift` off; returns the label for its end."""
    points = sorted(points, key=lambda cell: cell.images_per_class)
    sizes = np.array([cell.images_per_class for cell in points]) * (shift if lone else 1)
    mean = 100 * np.array([cell.scores["top1"].mean for cell in points])
    spread = 100 * np.array([cell.scores["top1"].sd for cell in points])
    if len(points) > 1:
        ends = pd.DataFrame([_interval(cell) for cell in points])
        axes.fill_between(sizes, 100 * ends["low"], 100 * ends["high"], color=style.colour, alpha=0.13, lw=0)
    else:
        axes.errorbar(sizes, mean, yerr=spread, fmt="none", ecolor=style.colour, elinewidth=0.8)
    x, y = singles["images_per_class"] * shift * (SIDESTEP if lone else 1), 100 * singles["top1"]
    diverged = singles["outcome"] == "diverged"
    hollow_markers(axes, x[~diverged], y[~diverged], style)
    axes.scatter(x[diverged], y[diverged], s=9, marker="x", color=style.colour, linewidths=0.5, alpha=0.75)
    axes.plot(
        sizes,
        mean,
        color=style.colour,
        linestyle=style.dash,
        marker=style.marker,
        markeredgecolor="#ffffff",
        markeredgewidth=0.5,
    )
    return EndLabel(points[-1].title, sizes[-1], mean[-1], style)


def _baselines(axes: Axes, evidence: Evidence, measured: list[Cell]) -> list[EndLabel]:
    """Draw what needs no training, where it was measured; returns the labels for the ends of its lines."""
    nearest: dict[float, float] = {}
    for cell in measured:
        if cell.nearest.n:
            nearest.setdefault(cell.images_per_class, 100 * cell.nearest.mean)
    if not nearest:
        return []
    sizes = sorted(nearest)
    values = [nearest[size] for size in sizes]
    chance = 100 / evidence.records[measured[0].runs[0]].data.classes
    ends = axes.get_xlim()
    plain: dict[str, Any] = {"color": PLAIN.colour, "linewidth": 0.9, "zorder": 1}
    axes.plot(sizes, values, linestyle=(0, (3, 2)), marker="+", markersize=4, **plain)
    axes.plot(ends, [chance, chance], linestyle=(0, (1, 2)), **plain)
    axes.set_xlim(ends)
    axes.set_ylim(bottom=min(axes.get_ylim()[0], chance - 2))
    return [
        EndLabel("nearest neighbour", sizes[-1], values[-1], PLAIN),
        EndLabel("chance", ends[1], chance, PLAIN),
    ]


def _axes(axes: Axes, measured: list[Cell]) -> None:
    size_axis(axes, measured)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], min_n_ticks=3))
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -2), min(high, 102))
    axes.set_ylabel("Top-1 accuracy (%)")


def _singles(evidence: Evidence, measured: list[Cell]) -> pd.DataFrame:
    """One row a trial: what the figure shows, fractions in 0..1."""
    top1 = evidence.done.drop_duplicates("run").set_index("run")
    rows = [
        {
            "comparison": cell.comparison,
            "contestant": cell.contestant,
            "title": cell.title,
            "model": cell.model,
            "images_per_class": cell.images_per_class,
            "run": run,
            "outcome": top1.at[run, "outcome"],
            "top1": top1.at[run, "top1"],
            "mean": cell.scores["top1"].mean,
            "sd": cell.scores["top1"].sd,
            "n": cell.scores["top1"].n,
            "nearest_top1": cell.nearest.mean,
            "not_trained": str(Flag.NOT_TRAINED(reason=cell.untrained)) if cell.untrained else "",
            **_interval(cell),
        }
        for cell in measured
        for run in cell.runs
    ]
    return pd.DataFrame(rows)


def _interval(cell: Cell) -> dict[str, float]:
    """The ends of a cell's 95 % interval; NaN where there is none."""
    ends = (cell.interval.low, cell.interval.high) if cell.interval else (None, None)
    return {name: np.nan if end is None else end for name, end in zip(("low", "high"), ends, strict=True)}


def _alt(name: str, split: str, lines: list[list[Cell]]) -> str:
    series = []
    for points in lines:
        values = [
            f"{percent(cell.scores['top1'].mean)} % at {cell_size(cell)}"
            + (" (not trained)" if cell.untrained else "")
            for cell in points
        ]
        series.append(f"{points[0].title}: {', '.join(values)}.")
    what = f"Line chart of {name}: mean top-1 accuracy on {split} by training images per class."
    return " ".join([what, *series])

"""Data efficiency: accuracy against the number of training images per class."""

from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.analysis.contrasts import Finding
from bench.analysis.crossovers import Crossover, crossover_of
from bench.analysis.flags import Flag
from bench.files import slug
from bench.report.blocks import Block, Column, Field, Figure, Gallery, Heading, Section, Table, not_measured
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.figures import EndLabel, canvas, finish, label_ends, room_for
from bench.report.sections.gap import gap_table
from bench.report.sections.sizes import size_axis
from bench.report.style import Look
from bench.report.text import listed, noted, percent, subset
from bench.report.verdicts import pair_name, short_notes

SIDESTEP = 1.03  # single replicates of neighbouring models are drawn this factor apart on the x axis
NOT_ENOUGH = "needs two sizes with three replicates"
CROSSOVERS = (Column("Contrast"), Column("Crossover", wide=True), Column("Notes", under="Contrast"))
PLAIN = Look(7)  # grey: for what needs no training
LONE_SIDESTEP = 1.09  # the same for whole models, where there is only one size


def efficiency(evidence: Evidence) -> Section:
    """One figure a comparison, and its crossovers where there is more than one size; then the generalisation
    gap."""
    title = "Data efficiency"
    figures, tables, gaps, gap_tables = [], [], [], []
    for name, group in groupby(evidence.cells, key=lambda cell: cell.comparison):
        measured = [cell for cell in group if cell.runs]
        if not measured:
            continue
        figures += [_figure(evidence, name, own, kind) for kind, own in _apart(measured).items()]
        if len({cell.images_per_class for cell in measured}) > 1:
            tables += crossover_table(evidence, name)
        table, figure = gap_table(evidence, name, measured)
        gap_tables.append(table)
        gaps += [figure] if figure else []
    if not figures:
        return not_measured("efficiency", title, "no trial of this suite has an outcome yet")
    blocks: list[Block] = [Gallery(tuple(figures)), *tables, Heading("Generalisation gap")]
    blocks += [Gallery(tuple(gaps))] if gaps else []
    return Section("efficiency", title, (*blocks, *gap_tables))


def crossover_table(evidence: Evidence, name: str) -> list[Table]:
    """Where the better model changes, of each primary pair of one comparison; empty where it has none."""
    primary = [f for f in evidence.findings if f.pair.comparison == name and f.pair.primary]
    rows = []
    for _, group in groupby(primary, key=lambda f: (f.pair.a, f.pair.b)):
        findings = list(group)
        notes = {subset(f.pair.shots, f.images_per_class): short_notes(f) for f in findings}
        found = Field(_crossover(findings))
        rows.append((Field(pair_name(findings[0])), found, Field(notes=noted(notes, "at "))))
    caption = (
        f"What changes with the amount of data in {name}. A crossover is claimed only of primary contrasts, "
        "where one model is better at one size and the other at a larger one; sizes at which not both were "
        "trained (see the notes) are left out."
    )
    return [Table(f"crossover-{slug(name)}", caption, CROSSOVERS, tuple(rows))] if rows else []


def _crossover(findings: list[Finding]) -> str:
    change = crossover_of(findings)
    lost = [finding for finding in findings if finding.untrained]
    if change is None and lost:
        return "not both were trained at two sizes"
    if change is None or sum(f.has_interval and not f.untrained for f in findings) < 2:
        return NOT_ENOUGH
    words = crossover_in_words(change, findings[0].titles)
    if not lost:
        return words
    sizes = listed([subset(finding.pair.shots, finding.images_per_class) for finding in lost])
    return f"{words}, where both were trained (not at {sizes})"


def crossover_in_words(found: Crossover, titles: tuple[str, str]) -> str:
    """Where the better model changes, if it does."""
    if not found.crossings:
        return found.status
    first = found.crossings[0]
    leader, other = titles if first.leader == "a" else titles[::-1]
    about = f"{first.point:.2g}" if first.point < 100 else f"{first.point:.0f}"
    words = f"{leader} is better at {first.low:g}, {other} at {first.high:g}; about {about} by interpolation"
    return words + (f"; {len(found.crossings)} changes in all" if len(found.crossings) > 1 else "")


def _apart(measured: list[Cell]) -> dict[str, list[Cell]]:
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
    order = [key for key in evidence.looks if key in lines]
    singles = _singles(evidence, measured)
    drawing, (axes,) = canvas(66 + room_for(len(order) + 2, 50), below=12.5)
    lone = len({cell.images_per_class for cell in measured}) == 1
    labels = []
    for number, key in enumerate(order):
        own = singles[singles["contestant"] == key]
        aside = (LONE_SIDESTEP if lone else SIDESTEP) ** (number - (len(order) - 1) / 2)
        labels.append(_line(axes, lines[key], own, evidence.looks[key], aside, lone=lone))
    _axes(axes, measured)
    labels += _baselines(axes, evidence, measured)
    label_ends(drawing, axes, labels)
    where = measured[0].split
    diverged, total = sum(cell.diverged for cell in measured), sum(len(cell.runs) for cell in measured)
    bands = "bars: ± one standard deviation"
    if not lone:
        bands = "bands: 95 % intervals, where there are three replicates"
    caption = (
        f"{', '.join(filter(None, [name, kind]))}: top-1 accuracy on the test split of {where} against "
        f"training images per class. Lines: mean over replicates; {bands}; small markers: single replicates, "
        "shifted a little sideways so that they can be told apart."
    )
    if any(cell.shots is None for cell in measured):
        caption += " (all): the whole training split."
    if any(cell.nearest.n for cell in measured):
        caption += " Grey: the nearest neighbour in raw pixels on the same training images, and chance."
    if diverged:
        caption += f" {diverged} of {total} trials diverged (crosses) and are scored as guessing."
    if lost := [cell for cell in measured if cell.untrained]:
        each = "; ".join(f"{c.title} at {subset(c.shots, c.images_per_class)} ({c.untrained})" for c in lost)
        caption += f" Not trained, so that nothing follows about the architecture there: {each}."
    return finish(
        drawing,
        f"efficiency-{slug(f'{name} {kind}')}",
        caption=caption,
        alt=_in_words(name, where, [lines[key] for key in order]),
        data=singles,
        runs=tuple(dict.fromkeys(run for cell in measured for run in cell.runs)),
    )


def _line(
    axes: Axes, points: list[Cell], singles: pd.DataFrame, look: Look, aside: float, *, lone: bool
) -> EndLabel:
    """Draw one contestant, its single replicates a factor of `aside` off; returns the label for its end."""
    points = sorted(points, key=lambda cell: cell.images_per_class)
    sizes = np.array([cell.images_per_class for cell in points]) * (aside if lone else 1)
    mean = 100 * np.array([cell.scores["top1"].mean for cell in points])
    spread = 100 * np.array([cell.scores["top1"].sd for cell in points])
    if len(points) > 1:
        ends = pd.DataFrame([_interval(cell) for cell in points])
        axes.fill_between(sizes, 100 * ends["low"], 100 * ends["high"], color=look.colour, alpha=0.13, lw=0)
    else:
        axes.errorbar(sizes, mean, yerr=spread, fmt="none", ecolor=look.colour, elinewidth=0.8)
    for outcome, marker, size in (("finished", look.marker, 6), ("diverged", "x", 9)):
        some = singles[singles["outcome"] == outcome]
        drawn: dict[str, Any] = {"color": look.colour}
        if marker != "x":
            drawn = {"facecolors": "none", "edgecolors": look.colour}
        axes.scatter(
            some["images_per_class"] * aside * (SIDESTEP if lone else 1),
            100 * some["top1"],
            s=size,
            marker=marker,
            linewidths=0.5,
            alpha=0.75,
            **drawn,
        )
    axes.plot(
        sizes,
        mean,
        color=look.colour,
        linestyle=look.dash,
        marker=look.marker,
        markeredgecolor="#ffffff",
        markeredgewidth=0.5,
    )
    return EndLabel(points[-1].title, sizes[-1], mean[-1], look)


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


def _in_words(name: str, where: str, lines: list[list[Cell]]) -> str:
    series = []
    for points in lines:
        values = [
            f"{percent(cell.scores['top1'].mean)} % at {subset(cell.shots, cell.images_per_class)}"
            + (" (not trained)" if cell.untrained else "")
            for cell in points
        ]
        series.append(f"{points[0].title}: {', '.join(values)}.")
    what = f"Line chart of {name}: mean top-1 accuracy on {where} by training images per class."
    return " ".join([what, *series])

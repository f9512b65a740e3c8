"""Learning curves: training loss and val accuracy against the images seen."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.files import slug
from bench.report.blocks import Details, Figure, Gallery, Section
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.figures import EndLabel, canvas, label_ends, room_for
from bench.report.style import Style
from bench.report.text import NOT_MEASURED, percent, size_phrase

POINTS = 100
DATA = ["contestant", "title", "run", "step", "epoch", "images_seen", "loss", "lr", "val_top1", "val_nll"]
TITLE = "Learning curves"


def curves(evidence: Evidence) -> Section:
    """For each comparison its largest subset; the others are folded away."""
    logged = _logged(evidence)
    largest, smaller = [], []
    for comparison in evidence.suite.comparisons:
        by_size: dict[int | None, list[Cell]] = {}
        for cell in evidence.cells_of(comparison.name):
            if any(run in logged for run in cell.runs):
                by_size.setdefault(cell.shots, []).append(cell)
        figures = [_figure(evidence, logged, members) for members in by_size.values()]
        largest += figures[-1:]
        smaller += figures[:-1]
    return Section.measured(
        "curves",
        TITLE,
        "Thick lines are means over the replicates that finished, thin ones single replicates. The loss is "
        "the one that was minimised, label smoothing and mixing included, so its level can be compared only "
        "between models that share a recipe.",
        Gallery.of(largest),
        Details.of("Learning curves of the smaller subsets", Gallery.of(smaller)),
    )


def _logged(evidence: Evidence) -> dict[str, pd.DataFrame]:
    """The history of each run that finished and has one, with the images seen at each step."""
    done = evidence.done.drop_duplicates("run")
    totals = done.loc[done["outcome"] == "finished", ["run", "images_seen", "steps"]]
    logged = evidence.histories.merge(totals, on="run", validate="many_to_one")
    seen = (logged["step"] / logged["steps"] * logged["images_seen"]).astype("float64")
    by_run = logged.assign(images_seen=seen).groupby("run", sort=True)
    return {run: history for run, history in by_run}


def _figure(evidence: Evidence, logged: dict[str, pd.DataFrame], members: list[Cell]) -> Figure:
    first = members[0]
    drawing, (above, below) = canvas(82 + 2 * room_for(len(members), 34), panels=2)
    labels: dict[str, list[EndLabel]] = {"loss": [], "val_top1": []}
    parts = []
    for cell in members:
        own = [logged[run] for run in cell.runs if run in logged]
        parts.append(pd.concat(own).assign(contestant=cell.contestant, title=cell.title))
        style = evidence.styles[cell.contestant]
        for axes, column, scale in ((above, "loss", 1), (below, "val_top1", 100)):
            end = _line(axes, own, column, scale, style)
            if end:
                labels[column].append(EndLabel(cell.title, *end, style))
    _axes(above, below)
    if labels["val_top1"]:
        label_ends(drawing, below, labels["val_top1"])
    else:
        label_ends(drawing, above, labels["loss"])
    data, size = pd.concat(parts), size_phrase(first.shots)
    return Figure(
        drawing,
        f"curves-{slug(first.comparison)}-{first.shots or 'all'}",
        caption=f"{first.comparison}, {size}: training loss and top-1 accuracy on the val split while "
        "training.",
        alt=_alt(first, members),
        data=data[DATA],
        runs=data["run"],
    )


def _line(
    axes: Axes, own: list[pd.DataFrame], column: str, scale: float, style: Style
) -> tuple[float, float] | None:
    """Draw single replicates and their mean; returns the end of the mean, if there is one."""
    singles = [history[["images_seen", column]].to_numpy() for history in own]
    singles = [single[np.isfinite(single[:, 1])] * (1, scale) for single in singles]
    points = np.concatenate(singles)
    if not len(points):
        return None
    axes.add_collection(LineCollection(singles, colors=style.colour, linewidths=0.4, alpha=0.35))
    bins = np.ceil(points[:, 0] / points[:, 0].max() * POINTS).astype(int)
    counts = np.bincount(bins)
    sums = np.stack([np.bincount(bins, weights=values) for values in points.T], axis=1)
    mean = sums[counts > 0] / counts[counts > 0, None]
    dots: dict[str, Any] = {"marker": style.marker, "markersize": 2.4} if column == "val_top1" else {}
    axes.plot(*mean.T, color=style.colour, linestyle=style.dash, **dots)
    return float(mean[-1, 0]), float(mean[-1, 1])


def _axes(above: Axes, below: Axes) -> None:
    above.set_ylabel("Training loss")
    above.set_ylim(bottom=0)
    below.set_ylabel("Val top-1 (%)")
    below.set_xlabel("Training images seen")
    below.set_xlim(left=0)
    below.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    below.xaxis.set_major_formatter(FuncFormatter(_thousands))
    for axes in (above, below):
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))
    if not below.lines:
        below.text(0.5, 0.5, NOT_MEASURED, transform=below.transAxes, ha="center", va="center")


def _thousands(value: float, _: int) -> str:
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def _alt(first: Cell, members: list[Cell]) -> str:
    ends = "; ".join(f"{cell.title} reaches {percent(cell.scores['top1'].mean)} %" for cell in members)
    return (
        f"Learning curves of {first.comparison} on {size_phrase(first.shots)}: training loss above, "
        f"val accuracy below, against training images seen. On test, {ends}."
    )

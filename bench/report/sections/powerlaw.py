"""The power law of the error, where there are sizes enough to judge it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.analysis.efficiency import MAX_EXTRAPOLATION, MIN_POWER_LAW_SIZES, PowerLaw, power_law
from bench.analysis.learning_curves import Growth
from bench.files import slug
from bench.report.blocks import Block, Column, Field, Figure, Gallery, Prose, Table
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.figures import EndLabel, canvas, finish, label_ends, room_for
from bench.report.sections.sizes import size_axis
from bench.report.style import Look
from bench.report.text import percent

LEAST = 0.05  # percent; a logarithmic axis has no room for an error of 0
SIDESTEP = 1.06  # bars of neighbouring models are drawn this factor apart on the x axis

COLUMNS = (
    Column("Model"),
    Column("a", numeric=True),
    Column("b", numeric=True),
    Column("c", numeric=True),
    Column("Fitted from, to (images per class)", numeric=True),
    Column("Held out", numeric=True),
    Column("Predicted there (%)", numeric=True),
    Column("Measured (%)", numeric=True),
    Column("95 % interval", numeric=True),
    Column("Predicts it"),
)
VERDICTS = {True: "yes", False: "no", None: "no interval to judge by"}


def power_laws(evidence: Evidence, name: str, measured: list[Cell]) -> list[Block]:
    """A figure and a table of the fits of one comparison; a sentence where there are too few sizes at which
    a model was trained."""
    members = [evidence.growths[name, key] for key in evidence.looks if (name, key) in evidence.growths]
    members = [member for member in members if member.trained]
    fitted = [(member, fit) for member in members if (fit := power_law(member.trained))]
    if not fitted:
        return [
            Prose(
                f"No power law in {name}: one is fitted only to {MIN_POWER_LAW_SIZES} sizes or more at "
                "which a model was trained, the largest of them held out to judge it."
            )
        ]
    rows = tuple(_row(evidence, member, fit) for member, fit in fitted)
    caption = (
        f"Power law in {name}: error = a n^-b + c, n images per class, fitted by least squares without the "
        "largest size. Predicts it: whether the prediction lies in the measured interval there."
    )
    return [
        Gallery((_figure(evidence, name, fitted, measured),)),
        Table(f"powerlaw-{slug(name)}", caption, COLUMNS, rows),
    ]


def _row(evidence: Evidence, member: Growth, fit: PowerLaw) -> tuple[Field, ...]:
    last = member.trained.points[-1]
    ends = "none" if last.low is None else f"{percent(last.low)} to {percent(last.high)}"
    title = evidence.suite["contestants"][member.contestant]["title"]
    return (
        Field(title, look=evidence.looks[member.contestant]),
        *(Field(f"{value:.3g}") for value in (fit.a, fit.b, fit.c)),
        Field(f"{fit.smallest:g} to {member.trained.sizes[-2]:g}"),
        Field(f"{fit.held_out:g}"),
        Field(percent(fit.predicted)),
        Field(percent(fit.observed)),
        Field(ends),
        Field(VERDICTS[fit.holds]),
    )


def _figure(
    evidence: Evidence, name: str, fitted: list[tuple[Growth, PowerLaw]], measured: list[Cell]
) -> Figure:
    drawing, (axes,) = canvas(66 + room_for(len(fitted), 50), below=12.5)
    labels, parts = [], []
    for place, (member, fit) in enumerate(fitted):
        look = evidence.looks[member.contestant]
        sizes, error = np.array(member.trained.sizes), 100 * (1 - member.trained.estimate)
        _held_out(axes, member, fit.held_out * SIDESTEP ** (place - (len(fitted) - 1) / 2), look)
        face = [look.colour] * (len(sizes) - 1) + ["#ffffff"]
        axes.scatter(
            sizes, error, s=12, marker=look.marker, c=face, edgecolors=look.colour, linewidths=0.8, zorder=3
        )
        for low, high, dash in ((fit.smallest, sizes[-2], "-"), (sizes[-2], fit.limit, (0, (3, 2)))):
            x = np.geomspace(low, high, 60)
            axes.plot(x, 100 * fit.error(x), color=look.colour, linestyle=dash, linewidth=1.0)
        title = evidence.suite["contestants"][member.contestant]["title"]
        labels.append(EndLabel(title, fit.limit, max(float(100 * fit.error([fit.limit])[0]), LEAST), look))
        parts.append(_data(member, fit, title))
    size_axis(axes, measured, beyond=MAX_EXTRAPOLATION)
    axes.set_yscale("log")
    drawn = np.concatenate([np.concatenate([part["error"], part["fitted"]]) for part in parts])
    lowest = min(drawn.min(), *(float(fit.error([fit.limit])[0]) for _, fit in fitted))
    axes.set_ylim(max(70 * lowest, LEAST), max(min(130 * drawn.max(), 110), 2 * LEAST))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("Top-1 error (%, log scale)")
    label_ends(drawing, axes, labels)
    words = "; ".join(
        f"{label.text} at {fit.held_out:g}: predicted {percent(fit.predicted)} %, measured "
        f"{percent(fit.observed)} %"
        for label, (_, fit) in zip(labels, fitted, strict=True)
    )
    return finish(
        drawing,
        f"powerlaw-{slug(name)}",
        caption=f"{name}: test error against training images per class with its power law. Solid: fitted to "
        "the filled points. Dashed: extrapolated, over the open point that was held out and to twice its "
        "size. Bars: its 95 % intervals, shifted a little sideways.",
        alt=f"Power laws of the test error in {name}. {words}.",
        data=pd.concat(parts),
        runs=tuple(dict.fromkeys(run for cell in measured for run in cell.runs)),
    )


def _held_out(axes: Axes, member: Growth, at: float, look: Look) -> None:
    """The interval at the largest size, by which the fit is judged, a little aside."""
    last = member.trained.points[-1]
    if last.low is not None and last.high is not None:
        ends = 100 * (1 - last.high), 100 * (1 - last.low)
        axes.plot([at, at], np.maximum(ends, LEAST), color=look.colour, linewidth=0.7)


def _data(member: Growth, fit: PowerLaw, title: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "contestant": member.contestant,
            "title": title,
            "images_per_class": member.trained.sizes,
            "error": 1 - member.trained.estimate,
            "low": 1 - member.trained.high,
            "high": 1 - member.trained.low,
            "fitted": fit.error(member.trained.sizes),
            "a": fit.a,
            "b": fit.b,
            "c": fit.c,
        }
    )

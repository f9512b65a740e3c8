"""The generalisation gap: how much better a network does on its training images than on val."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.files import slug
from bench.report.blocks import Column, Field, Figure, Table
from bench.report.cells import Cell, Score
from bench.report.evidence import Evidence
from bench.report.figures import EndLabel, canvas, finish, label_ends, room_for
from bench.report.sections.sizes import size_axis
from bench.report.style import MUTED
from bench.report.text import NOT_MEASURED, decimal, percent, plus_minus, points, subset

COLUMNS = (
    Column("Images per class", numeric=True),
    Column("Model"),
    Column("Train top-1 (%)", numeric=True),
    Column("Val top-1 (%)", numeric=True),
    Column("Gap in top-1 (points)", numeric=True),
    Column("Gap in NLL (nats)", numeric=True),
    Column("n", numeric=True),
    Column("Notes", under="Model"),
)
KINDS = ("top1", "nll")


def gap_table(evidence: Evidence, name: str, measured: list[Cell]) -> tuple[Table, Figure | None]:
    """The gaps of one comparison; a figure where there is more than one size with a gap."""
    rows = [(cell, _gaps(evidence, cell)) for cell in measured]
    starts = [
        index for index, (cell, _) in enumerate(rows) if not index or cell.shots != rows[index - 1][0].shots
    ]
    table = Table(
        f"gap-{slug(name)}",
        f"Generalisation gap in {name}: train minus val; mean ± standard deviation over n finished runs.",
        COLUMNS,
        tuple(_row(evidence, cell, gaps) for cell, gaps in rows),
        frozenset(starts),
        tuple(dict.fromkeys(run for cell in measured for run in cell.runs)),
    )
    told = [(cell, gaps) for cell, gaps in rows if len(gaps)]
    sizes = {cell.images_per_class for cell, _ in told}
    return table, _figure(evidence, name, told) if len(sizes) > 1 else None


def _gaps(evidence: Evidence, cell: Cell) -> pd.DataFrame:
    """Train, val and their difference of each finished replicate of a cell that has a val split."""
    done = evidence.done.drop_duplicates("run").set_index("run").loc[list(cell.runs)]
    needed = [f"{part}_{kind}" for part in ("train", "val") for kind in KINDS]
    own = done[done["outcome"] == "finished"][needed].dropna().reset_index()
    for kind in KINDS:
        own[f"gap_{kind}"] = own[f"train_{kind}"] - own[f"val_{kind}"]
    return own


def _row(evidence: Evidence, cell: Cell, gaps: pd.DataFrame) -> tuple[Field, ...]:
    head = (
        Field(subset(cell.shots, cell.images_per_class)),
        Field(cell.title, look=evidence.looks[cell.contestant]),
    )
    if gaps.empty:
        missing = (Field(NOT_MEASURED) for _ in range(4))
        return (*head, *missing, Field("0"), Field(notes=cell.notes))
    top1, nll = (Score.of(gaps[f"gap_{kind}"]) for kind in KINDS)
    return (
        *head,
        *(Field(percent(gaps[f"{part}_top1"].mean())) for part in ("train", "val")),
        Field(points(top1.mean), spread=plus_minus(percent(top1.sd) if top1.n > 1 else "")),
        Field(_signed(nll.mean), spread=plus_minus(decimal(nll.sd) if nll.n > 1 else "")),
        Field(str(top1.n)),
        Field(notes=cell.notes),
    )


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\u2212")


def _figure(evidence: Evidence, name: str, told: list[tuple[Cell, pd.DataFrame]]) -> Figure:
    lines: dict[str, list[tuple[Cell, pd.DataFrame]]] = {}
    for cell, gaps in told:
        lines.setdefault(cell.contestant, []).append((cell, gaps))
    order = [key for key in evidence.looks if key in lines]
    drawing, (above, below) = canvas(80 + 2 * room_for(len(order), 34), panels=2, below=12.5)
    labels = []
    for key in order:
        look = evidence.looks[key]
        for axes, kind, scale in ((above, "top1", 100), (below, "nll", 1)):
            singles = [
                (cell.images_per_class, scale * gap) for cell, own in lines[key] for gap in own[f"gap_{kind}"]
            ]
            x, y = zip(*singles, strict=True)
            axes.scatter(
                x,
                y,
                s=6,
                marker=look.marker,
                facecolors="none",
                edgecolors=look.colour,
                linewidths=0.5,
                alpha=0.75,
            )
            ends = sorted(
                (cell.images_per_class, scale * own[f"gap_{kind}"].mean()) for cell, own in lines[key]
            )
            axes.plot(*zip(*ends, strict=True), color=look.colour, linestyle=look.dash, marker=look.marker)
        labels.append(EndLabel(lines[key][0][0].title, *ends[-1], look))
    _axes(above, below, [cell for cell, _ in told])
    label_ends(drawing, below, labels)
    data = pd.concat(
        own.assign(contestant=cell.contestant, title=cell.title, images_per_class=cell.images_per_class)
        for cell, own in told
    )
    return finish(
        drawing,
        f"gap-{slug(name)}",
        caption=f"{name}: generalisation gap, train minus val, in top-1 accuracy (above) and NLL (below). "
        "Lines: mean over replicates; small markers: single replicates. At 0 a model does as well on images "
        "that it has not seen.",
        alt=_in_words(name, lines),
        data=data,
        runs=tuple(data["run"]),
    )


def _axes(above: Axes, below: Axes, measured: list[Cell]) -> None:
    size_axis(below, measured)
    above.set_ylabel("Gap in top-1 (points)")
    below.set_ylabel("Gap in NLL (nats)")
    for axes in (above, below):
        axes.axhline(0, color=MUTED, linewidth=0.7)
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))
        axes.set_ylim(axes.get_ylim())  # settled, as labels are placed by it


def _in_words(name: str, lines: dict[str, list[tuple[Cell, pd.DataFrame]]]) -> str:
    parts = [
        f"{own[0][0].title}: "
        + ", ".join(
            f"{points(float(gaps['gap_top1'].mean()))} points at {subset(cell.shots, cell.images_per_class)}"
            for cell, gaps in own
        )
        for own in lines.values()
    ]
    return f"Generalisation gap in {name}, train minus val top-1. {'. '.join(parts)}."

"""The generalisation gap: how much better a network does on its training images than on val."""

from operator import itemgetter

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.files import slug
from bench.report.blocks import Figure, Table, number
from bench.report.cells import Cell, Score
from bench.report.evidence import Evidence
from bench.report.figures import EndLabel, canvas, hollow_markers, label_ends, room_for
from bench.report.sections.columns import CELL_NOTES, CELL_SIZE, cell_model, cell_size
from bench.report.sections.sizes import size_axis
from bench.report.style import MUTED
from bench.report.text import MINUS, NOT_MEASURED, decimal, percent, points

KINDS = ("top1", "nll")

Gaps = tuple[Cell, pd.DataFrame]
"""A cell, and of each of its finished replicates with a val split the scores on train, on val, and their
difference."""


def gap_table(evidence: Evidence, name: str, cells: list[Cell]) -> tuple[Table, Figure | None]:
    """The gaps of one comparison; a figure where there is more than one size with a gap."""
    members = [(cell, _gaps(evidence, cell)) for cell in cells]
    cell_of = itemgetter(0)
    columns = (
        CELL_SIZE.on(cell_of),
        cell_model(evidence).on(cell_of),
        number("Train top-1 (%)", lambda gaps: percent(gaps[1]["train_top1"].mean())),
        number("Val top-1 (%)", lambda gaps: percent(gaps[1]["val_top1"].mean())),
        number("Gap in top-1 (points)", _gap_in_top1),
        number("Gap in NLL (nats)", _gap_in_nll),
        number("n", lambda gaps: str(len(gaps[1]))),
        CELL_NOTES.on(cell_of),
    )
    table = Table.of(
        f"gap-{slug(name)}",
        f"Generalisation gap in {name}: train minus val; mean ± standard deviation over n finished runs.",
        columns,
        members,
        group_by=lambda gaps: gaps[0].shots,
        runs=lambda gaps: gaps[0].runs,
    )
    drawn = [(cell, gaps) for cell, gaps in members if len(gaps)]
    sizes = {cell.images_per_class for cell, _ in drawn}
    return table, _figure(evidence, name, drawn) if len(sizes) > 1 else None


def _gaps(evidence: Evidence, cell: Cell) -> pd.DataFrame:
    done = evidence.done.drop_duplicates("run").set_index("run").loc[list(cell.runs)]
    needed = [f"{part}_{kind}" for part in ("train", "val") for kind in KINDS]
    own = done[done["outcome"] == "finished"][needed].dropna().reset_index()
    for kind in KINDS:
        own[f"gap_{kind}"] = own[f"train_{kind}"] - own[f"val_{kind}"]
    return own


def _gap_in_top1(gaps: Gaps) -> tuple[str, str]:
    score = Score.of(gaps[1]["gap_top1"])
    return points(score.mean), score.as_percent()[1]


def _gap_in_nll(gaps: Gaps) -> tuple[str, str]:
    score = Score.of(gaps[1]["gap_nll"])
    mean = f"{score.mean:+.2f}".replace("-", MINUS) if score.n else NOT_MEASURED
    return mean, decimal(score.sd) if score.n > 1 else ""


def _figure(evidence: Evidence, name: str, members: list[Gaps]) -> Figure:
    lines: dict[str, list[Gaps]] = {}
    for cell, gaps in members:
        lines.setdefault(cell.contestant, []).append((cell, gaps))
    order = [key for key in evidence.styles if key in lines]
    drawing, (above, below) = canvas(80 + 2 * room_for(len(order), 34), panels=2, below=12.5)
    labels = []
    for key in order:
        style = evidence.styles[key]
        for axes, kind, scale in ((above, "top1", 100), (below, "nll", 1)):
            singles = [
                (cell.images_per_class, scale * gap) for cell, own in lines[key] for gap in own[f"gap_{kind}"]
            ]
            x, y = zip(*singles, strict=True)
            hollow_markers(axes, x, y, style)
            ends = sorted(
                (cell.images_per_class, scale * own[f"gap_{kind}"].mean()) for cell, own in lines[key]
            )
            axes.plot(*zip(*ends, strict=True), color=style.colour, linestyle=style.dash, marker=style.marker)
        labels.append(EndLabel(lines[key][0][0].title, *ends[-1], style))
    _axes(above, below, [cell for cell, _ in members])
    label_ends(drawing, below, labels)
    data = pd.concat(
        own.assign(contestant=cell.contestant, title=cell.title, images_per_class=cell.images_per_class)
        for cell, own in members
    )
    return Figure(
        drawing,
        f"gap-{slug(name)}",
        caption=f"{name}: generalisation gap, train minus val, in top-1 accuracy (above) and NLL (below). "
        "Lines: mean over replicates; small markers: single replicates. At 0 a model does as well on images "
        "that it has not seen.",
        alt=_alt(name, lines),
        data=data,
        runs=data["run"],
    )


def _axes(above: Axes, below: Axes, cells: list[Cell]) -> None:
    size_axis(below, cells)
    above.set_ylabel("Gap in top-1 (points)")
    below.set_ylabel("Gap in NLL (nats)")
    for axes in (above, below):
        axes.axhline(0, color=MUTED, linewidth=0.7)
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))
        axes.set_ylim(axes.get_ylim())  # settled, as labels are placed by it


def _alt(name: str, lines: dict[str, list[Gaps]]) -> str:
    parts = [
        f"{own[0][0].title}: "
        + ", ".join(f"{points(float(gaps['gap_top1'].mean()))} points at {cell_size(c)}" for c, gaps in own)
        for own in lines.values()
    ]
    return f"Generalisation gap in {name}, train minus val top-1. {'. '.join(parts)}."

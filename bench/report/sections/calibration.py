"""Calibration: whether the confidence of the networks can be believed."""

import numpy as np
import pandas as pd

from bench.files import slug
from bench.metrics.calibration import BINS, Reliability, reliability
from bench.report.blocks import Block, Column, Field, Figure, Gallery, Prose, Section, Table, not_measured
from bench.report.cells import Cell, Score
from bench.report.evidence import Evidence
from bench.report.figures import EndLabel, canvas, finish, label_ends, room_for
from bench.report.style import MUTED
from bench.report.text import at_size, noted, plus_minus, points, remark, subset

TITLE = "Calibration"
COLUMNS = (
    Column("Images per class", numeric=True),
    Column("Model"),
    Column(f"ECE (%, {BINS} bins)", numeric=True),
    Column("NLL", numeric=True),
    Column("Confidence minus accuracy (points)", numeric=True),
    Column("n", numeric=True),
    Column("Notes", under="Model"),
)


def calibration(evidence: Evidence) -> Section:
    """A reliability diagram of the largest subset of each comparison, and a table of all."""
    figures: list[Figure] = []
    tables: list[Block] = []
    for comparison in evidence.suite.comparisons:
        here = [
            (cell, found)
            for cell in evidence.cells
            if cell.comparison == comparison.name and (found := _confidence(evidence, cell)) is not None
        ]
        if here:
            largest = here[-1][0].shots
            figures.append(_figure(evidence, [(c, found) for c, found in here if c.shots == largest]))
            tables.append(_table(evidence, comparison.name, here))
    if not figures:
        return not_measured("calibration", TITLE, "no trial of this suite has stored predictions")
    text = (
        f"ECE is the expected calibration error over {BINS} bins of equal width, NLL the mean negative "
        "log-likelihood in nats: mean ± standard deviation over n finished replicates, which describe the "
        "networks that were trained. Confidence minus accuracy is above 0 where a model is "
        "overconfident. In the diagrams the images of all replicates are pooled, and bins with less than "
        "0.5 % of them are left out."
    )
    return Section("calibration", TITLE, (Prose(text), Gallery(tuple(figures)), *tables))


def _confidence(evidence: Evidence, cell: Cell) -> tuple[np.ndarray, np.ndarray] | None:
    """Confidence of each prediction and whether it was right, of all finished replicates (R x N,)."""
    read = [evidence.predictions.outputs(evidence.records[run]) for run in cell.runs]
    outputs = [found for found in read if found is not None]
    if not outputs:
        return None
    confidence = np.concatenate([found.confidence for found in outputs]).astype(float)
    return confidence, np.concatenate([found.correct for found in outputs])


def _nll(evidence: Evidence, cell: Cell) -> Score:
    """The NLL of the finished replicates, as ECE is; in the accuracy table diverged ones count at chance."""
    records = [evidence.records[run] for run in cell.runs]
    return Score.of([r.metrics.nll for r in records if r.outcome == "finished"])


def _table(evidence: Evidence, name: str, here: list[tuple[Cell, tuple[np.ndarray, np.ndarray]]]) -> Table:
    rows: list[tuple[Field, ...]] = []
    first_of_size: dict[int | None, int] = {}
    for index, (cell, (confidence, correct)) in enumerate(here):
        first_of_size.setdefault(cell.shots, index)
        (ece, ece_sd), (nll, nll_sd) = cell.scores["ece"].as_percent(), _nll(evidence, cell).as_decimal()
        rows.append(
            (
                Field(subset(cell.shots, cell.images_per_class)),
                Field(cell.title, look=evidence.looks[cell.contestant]),
                Field(ece, spread=plus_minus(ece_sd)),
                Field(nll, spread=plus_minus(nll_sd)),
                Field(points(float(confidence.mean() - correct.mean()))),
                Field(str(cell.scores["ece"].n)),
                Field(notes=cell.notes),
            )
        )
    return Table(
        f"calibration-{slug(name)}",
        f"Calibration on the test split in {name}.",
        COLUMNS,
        tuple(rows),
        frozenset(first_of_size.values()),
        tuple(dict.fromkeys(run for cell, _ in here for run in cell.runs)),
    )


def _figure(evidence: Evidence, members: list[tuple[Cell, tuple[np.ndarray, np.ndarray]]]) -> Figure:
    first = members[0][0]
    drawing, (axes,) = canvas(64 + room_for(len(members), 50))
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=0.7)
    labels, parts = [], []
    for cell, pooled in members:
        look = evidence.looks[cell.contestant]
        found = reliability(*pooled)
        shown = found.count >= max(1, 0.005 * found.count.sum())
        x, y = 100 * found.confidence[shown], 100 * found.accuracy[shown]
        axes.plot(x, y, color=look.colour, linestyle=look.dash, marker=look.marker)
        labels.append(EndLabel(cell.title, x[-1], y[-1], look))
        parts.append(_bins(cell, found))
    axes.set_xlim(0, 102)
    axes.set_ylim(0, 102)
    axes.set_xlabel("Confidence (%)")
    axes.set_ylabel("Accuracy (%)")
    label_ends(drawing, axes, labels)
    place = at_size(first.shots, first.images_per_class)
    eces = "; ".join(f"{cell.title}: {cell.scores['ece'].as_percent()[0]} %" for cell, _ in members)
    return finish(
        drawing,
        f"reliability-{slug(first.comparison)}",
        caption=f"{first.comparison}, {place}: accuracy of predictions by their confidence. On the straight "
        "line confidence equals accuracy; below it the model is overconfident."
        + remark(noted({cell.title: cell.notes for cell, _ in members})),
        alt=f"Reliability diagram of {first.comparison} with {place}. Expected calibration error: {eces}.",
        data=pd.concat(parts),
        runs=tuple(dict.fromkeys(run for cell, _ in members for run in cell.runs)),
    )


def _bins(cell: Cell, found: Reliability) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "comparison": cell.comparison,
            "contestant": cell.contestant,
            "title": cell.title,
            "images_per_class": cell.images_per_class,
            "low": found.edges[:-1],
            "high": found.edges[1:],
            "predictions": found.count,
            "confidence": found.confidence,
            "accuracy": found.accuracy,
        }
    )

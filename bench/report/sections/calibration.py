"""Calibration: whether the confidence of the networks can be believed."""

from operator import itemgetter

import numpy as np
import pandas as pd

from bench.files import slug
from bench.metrics.calibration import BINS, Reliability, reliability
from bench.report.blocks import Figure, Gallery, Section, Table, number
from bench.report.cells import Cell, Score
from bench.report.evidence import Evidence
from bench.report.figures import EndLabel, canvas, label_ends, room_for
from bench.report.sections.columns import CELL_NOTES, CELL_SIZE, cell_model, percent_of
from bench.report.style import MUTED
from bench.report.text import merge_notes, notes_sentence, points, size_phrase

TITLE = "Calibration"

Pooled = tuple[Cell, np.ndarray, np.ndarray]
"""A cell with the confidence of each prediction and whether it was right, of all finished replicates
(R x N,)."""


def calibration(evidence: Evidence) -> Section:
    """A reliability diagram of the largest subset of each comparison, and a table of all."""
    figures, tables = [], []
    for comparison in evidence.suite.comparisons:
        members = [pooled for cell in evidence.cells_of(comparison.name) if (pooled := _pool(evidence, cell))]
        if members:
            largest = members[-1][0].shots
            figures.append(_figure(evidence, [pooled for pooled in members if pooled[0].shots == largest]))
            tables.append(_table(evidence, comparison.name, members))
    if not figures:
        return Section.not_measured("calibration", TITLE, "no trial of this suite has stored predictions")
    return Section.of(
        "calibration",
        TITLE,
        f"ECE is the expected calibration error over {BINS} bins of equal width, NLL the mean negative "
        "log-likelihood in nats: mean ± standard deviation over n finished replicates, which describe the "
        "networks that were trained. Confidence minus accuracy is above 0 where a model is overconfident. In "
        "the diagrams the images of all replicates are pooled, and bins with less than 0.5 % of them are "
        "left out.",
        Gallery.of(figures),
        tables,
    )


def _pool(evidence: Evidence, cell: Cell) -> Pooled | None:
    outputs = evidence.outputs_of(cell)
    if not outputs:
        return None
    confidence = np.concatenate([one.confidence for one in outputs]).astype(float)
    return cell, confidence, np.concatenate([one.correct for one in outputs])


def _nll(evidence: Evidence, cell: Cell) -> Score:
    """The NLL of the finished replicates, as ECE is; in the accuracy table diverged ones count at chance."""
    records = [evidence.records[run] for run in cell.runs]
    return Score.of([r.metrics.nll for r in records if r.outcome == "finished"])


def _table(evidence: Evidence, name: str, members: list[Pooled]) -> Table:
    cell_of = itemgetter(0)
    columns = (
        CELL_SIZE.on(cell_of),
        cell_model(evidence).on(cell_of),
        percent_of("ece", f"ECE (%, {BINS} bins)").on(cell_of),
        number("NLL", lambda pooled: _nll(evidence, pooled[0]).as_decimal()),
        number("Confidence minus accuracy (points)", lambda p: points(float(p[1].mean() - p[2].mean()))),
        number("n", lambda pooled: str(pooled[0].scores["ece"].n)),
        CELL_NOTES.on(cell_of),
    )
    return Table.of(
        f"calibration-{slug(name)}",
        f"Calibration on the test split in {name}.",
        columns,
        members,
        group_by=lambda pooled: pooled[0].shots,
        runs=lambda pooled: pooled[0].runs,
    )


def _figure(evidence: Evidence, members: list[Pooled]) -> Figure:
    first = members[0][0]
    drawing, (axes,) = canvas(64 + room_for(len(members), 50))
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=0.7)
    labels, parts = [], []
    for cell, confidence, correct in members:
        style = evidence.styles[cell.contestant]
        bins = reliability(confidence, correct)
        shown = bins.count >= max(1, 0.005 * bins.count.sum())
        x, y = 100 * bins.confidence[shown], 100 * bins.accuracy[shown]
        axes.plot(x, y, color=style.colour, linestyle=style.dash, marker=style.marker)
        labels.append(EndLabel(cell.title, x[-1], y[-1], style))
        parts.append(_bins(cell, bins))
    axes.set_xlim(0, 102)
    axes.set_ylim(0, 102)
    axes.set_xlabel("Confidence (%)")
    axes.set_ylabel("Accuracy (%)")
    label_ends(drawing, axes, labels)
    size = size_phrase(first.shots, first.images_per_class)
    eces = "; ".join(f"{cell.title}: {cell.scores['ece'].as_percent()[0]} %" for cell, *_ in members)
    return Figure(
        drawing,
        f"reliability-{slug(first.comparison)}",
        caption=f"{first.comparison}, {size}: accuracy of predictions by their confidence. On the straight "
        "line confidence equals accuracy; below it the model is overconfident."
        + notes_sentence(merge_notes({cell.title: cell.notes for cell, *_ in members})),
        alt=f"Reliability diagram of {first.comparison} with {size}. Expected calibration error: {eces}.",
        data=pd.concat(parts),
        runs=[run for cell, *_ in members for run in cell.runs],
    )


def _bins(cell: Cell, bins: Reliability) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "comparison": cell.comparison,
            "contestant": cell.contestant,
            "title": cell.title,
            "images_per_class": cell.images_per_class,
            "low": bins.edges[:-1],
            "high": bins.edges[1:],
            "predictions": bins.count,
            "confidence": bins.confidence,
            "accuracy": bins.accuracy,
        }
    )

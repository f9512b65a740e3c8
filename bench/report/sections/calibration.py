"""Calibration: whether the confidence of the networks can be believed."""

import numpy as np
import pandas as pd

from bench.files import slug
from bench.metrics.calibration import BINS, Reliability, reliability
from bench.report.blocks import Figure, Gallery, Section
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.figures import EndLabel, canvas, label_ends, room_for
from bench.report.style import MUTED
from bench.report.text import merge_notes, notes_sentence, size_phrase

TITLE = "Calibration"
FROZEN = ("linear-probe", "knn")
"""Recipes that read frozen features."""

Pooled = tuple[Cell, np.ndarray, np.ndarray]
"""A cell with the confidence of each prediction and whether it was right, of all finished replicates
(R x N,)."""


def calibration(evidence: Evidence) -> Section:
    """A reliability diagram of the largest subset of each comparison that trains all weights."""
    figures = []
    for comparison in evidence.suite.comparisons:
        if comparison.recipe.startswith(FROZEN):
            continue
        members = [pooled for cell in evidence.cells_of(comparison.name) if (pooled := _pool(evidence, cell))]
        if members:
            largest = members[-1][0].shots
            figures.append(_figure(evidence, [pooled for pooled in members if pooled[0].shots == largest]))
    if not figures:
        return Section.not_measured("calibration", TITLE)
    return Section.of(
        "calibration",
        TITLE,
        f"Accuracy of predictions by their confidence, in {BINS} bins of equal width. The images of all "
        "replicates are pooled, and bins with less than 0.5 % of them are left out. Probes of frozen "
        "features are not shown: how strongly they are regularised decides their confidence.",
        Gallery.of(figures),
    )


def _pool(evidence: Evidence, cell: Cell) -> Pooled | None:
    outputs = evidence.outputs_of(cell)
    if not outputs:
        return None
    confidence = np.concatenate([one.confidence for one in outputs]).astype(float)
    return cell, confidence, np.concatenate([one.correct for one in outputs])


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

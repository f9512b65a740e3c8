"""Calibration: whether the confidence of the networks can be believed."""

import numpy as np
import pandas as pd

from bench.files import slug
from bench.metrics.calibration import BINS, Reliability, reliability
from bench.report.blocks import Figure, Gallery, Section
from bench.report.cells import Cell, notes_sentence
from bench.report.evidence import Evidence
from bench.report.lines import Line, line_chart
from bench.report.sections.answer_figure import PLAIN
from bench.report.text import size_phrase

TITLE = "Calibration"
FROZEN = ("linear-probe", "knn")
"""Recipes that read frozen features."""
DIAGONAL = Line("", PLAIN, [0, 100], [0, 100], drawn={"marker": "", "linestyle": "-", "linewidth": 0.7})


def calibration(evidence: Evidence) -> Section:
    """A reliability diagram of the largest subset of each comparison that trains all weights."""
    figures = []
    for comparison in evidence.suite.comparisons:
        cells = [] if comparison.recipe.startswith(FROZEN) else evidence.cells_of(comparison.name)
        known = [(cell, bins) for cell in cells if (bins := _bins(evidence, cell))]
        if known:
            figures.append(_figure(evidence, [one for one in known if one[0].shots == known[-1][0].shots]))
    return Section.measured(
        "calibration",
        TITLE,
        f"Accuracy of predictions by their confidence, in {BINS} bins of equal width. The images of all "
        "replicates are pooled, and bins with less than 0.5 % of them are left out. Probes of frozen "
        "features are not shown: how strongly they are regularised decides their confidence.",
        Gallery.of(figures),
    )


def _bins(evidence: Evidence, cell: Cell) -> Reliability | None:
    """Of the predictions of all finished replicates; None where none are stored."""
    outputs = evidence.outputs_of(cell)
    if not outputs:
        return None
    confidence = np.concatenate([one.confidence for one in outputs]).astype(float)
    return reliability(confidence, np.concatenate([one.correct for one in outputs]))


def _figure(evidence: Evidence, members: list[tuple[Cell, Reliability]]) -> Figure:
    first, lines = members[0][0], [DIAGONAL]
    for cell, bins in members:
        shown = bins.count >= max(1, 0.005 * bins.count.sum())
        style = evidence.styles[cell.contestant]
        lines.append(Line(cell.title, style, 100 * bins.confidence[shown], 100 * bins.accuracy[shown]))
    size = size_phrase(first.shots, first.images_per_class)
    eces = "; ".join(f"{cell.title}: {cell.scores['ece'].as_percent()[0]} %" for cell, _ in members)
    return Figure(
        line_chart(lines, "Confidence (%)", "Accuracy (%)", log_x=False),
        f"reliability-{slug(first.comparison)}",
        caption=f"{first.comparison}, {size}: accuracy of predictions by their confidence. On the straight "
        "line confidence equals accuracy; below it the model is overconfident."
        + notes_sentence(cell for cell, _ in members),
        alt=f"Reliability diagram of {first.comparison} with {size}. Expected calibration error: {eces}.",
        data=pd.concat(
            pd.DataFrame(
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
            for cell, bins in members
        ),
        runs=[run for cell, _ in members for run in cell.runs],
    )

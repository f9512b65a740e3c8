"""Against other people's numbers: ours, theirs, the difference, and why they may differ."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.report.blocks import Column, Details, Field, Flow, Section, Table, number
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.literature import NAME, SCRATCH, literature_file, read_literature
from bench.report.text import NOT_MEASURED, count, decimal, listed, points

ANCHOR, TITLE = "literature", "Against other people's numbers"
COMPARABLE = 2.0
"""Numbers of training images further apart than this factor are not set beside each other."""

METRICS = {"top1": "top-1", "top5": "top-5", "mean_per_class": "per class"}


@dataclass(frozen=True)
class Beside:
    """A published accuracy, a row of the literature, beside one of our cells; alone where none compares."""

    theirs: dict[str, Any]
    cell: Cell | None = None


def literature(evidence: Evidence) -> Section:
    """One row a published accuracy on the suite's datasets, and one for each of our cells beside it."""
    datasets = list(dict.fromkeys(comparison.dataset for comparison in evidence.suite.comparisons))
    path = literature_file(evidence.store.root)
    if path is None:
        text = f"This store has no {NAME}, neither in its folder nor beside it; nothing to compare with."
        return Section.of(ANCHOR, TITLE, text)
    published = read_literature(path)
    published = published[published["dataset"].isin(datasets)]
    if published.empty:
        return Section.of(ANCHOR, TITLE, f"{NAME} has no accuracy on {listed(datasets)}.")
    compared, others = [], []
    for dataset in datasets:
        for theirs in published[published["dataset"] == dataset].to_dict("records"):
            ours = [Beside(theirs, cell) for cell in evidence.cells if comparable(evidence, cell, theirs)]
            compared += ours
            others += [] if ours else [Beside(theirs)]
    ours_beside: Flow = f"Not measured here: any of the {len(others)} published accuracies below."
    if compared:
        caption = "Our accuracy (mean ± standard deviation over n replicates) beside published ones."
        ours_beside = _table(evidence, "literature", caption, compared)
    caption = "Published accuracies of models that were not trained here on comparable data."
    folded = Details.of(
        f"Published, not measured here ({len(others)})",
        _table(evidence, "literature-others", caption, others),
    )
    return Section.of(
        ANCHOR,
        TITLE,
        "Nothing here is matched: others split, tune, crop and choose epochs in their own ways; what is "
        "known to differ stands in each row. A difference is no verdict. Ours stands beside theirs only for "
        "the same architecture and dataset, both from scratch or both pretrained, and with numbers of "
        f"training images within a factor of {COMPARABLE:g}; otherwise it was not measured here.",
        ours_beside,
        folded if others else None,
    )


def comparable(evidence: Evidence, cell: Cell, theirs: dict[str, Any]) -> bool:
    """Whether one of our cells may stand beside a published number."""
    if not cell.runs:
        return False
    record = evidence.records[cell.runs[0]]
    if record.model.title != theirs["model"] or record.data.dataset != theirs["dataset"]:
        return False
    if (cell.pretraining == SCRATCH) != (theirs["pretraining"] == SCRATCH):
        return False
    if pd.isna(theirs["train_images"]):
        return cell.shots is None
    ratio = record.data.train_images / theirs["train_images"]
    return 1 / COMPARABLE <= ratio <= COMPARABLE


def _table(evidence: Evidence, name: str, caption: str, rows: list[Beside]) -> Table:
    reasons = "Why they may differ"
    columns = (
        Column("Model", lambda one: evidence.cell_title(one.cell) if one.cell else one.theirs["model"]),
        Column("Dataset", lambda one: one.cell.split if one.cell else one.theirs["dataset"]),
        Column("Metric", lambda one: METRICS[one.theirs["metric"]]),
        number("Ours (%)", _ours),
        number("n", lambda one: count(one.cell.scores[one.theirs["metric"]].n) if one.cell else "0"),
        number("Theirs (%)", lambda one: decimal(one.theirs["value"], 1)),
        number("Difference (points)", _difference),
        Column(reasons, lambda one: _reasons(evidence, one), wide=True),
        Column("Their protocol", lambda one: one.theirs["protocol"], under=reasons, label="their protocol: "),
        Column("Source", lambda one: one.theirs["source"], under=reasons, label="source: "),
    )
    return Table.of(name, caption, columns, rows, runs=lambda one: one.cell.runs if one.cell else ())


def _ours(one: Beside) -> Field:
    if one.cell is None:
        return Field(f"{NOT_MEASURED} here")
    mean, spread = one.cell.scores[one.theirs["metric"]].as_percent()
    return Field(mean, spread=f"± {spread}" if spread else "", notes=one.cell.notes)


def _difference(one: Beside) -> str:
    score = one.cell.scores[one.theirs["metric"]] if one.cell else None
    return points(score.mean - one.theirs["value"] / 100) if score and score.n else "none"


def _reasons(evidence: Evidence, one: Beside) -> str:
    """What is known to differ, and that the recipe does; without a cell of ours, what is known of theirs."""
    theirs, cell = one.theirs, one.cell
    images = "not stated" if pd.isna(theirs["train_images"]) else count(theirs["train_images"])
    if cell is None:
        trained = "from scratch" if theirs["pretraining"] == SCRATCH else theirs["pretraining"]
        return f"theirs: {trained}, {int(theirs['input_px'])} px, training images: {images}"
    record = evidence.records[cell.runs[0]]
    facts = (
        ("input", f"{record.identity.input_size} px", f"{int(theirs['input_px'])} px"),
        ("pretraining", cell.pretraining, theirs["pretraining"]),
        ("training images", count(record.data.train_images), images),
    )
    reasons = [f"{name}: ours {ours}, theirs {other}" for name, ours, other in facts if ours != other]
    return "; ".join([*reasons, f"our recipe: {cell.recipe} ({cell.protocol})"])

"""Against other people's numbers: ours, theirs, the difference, and why they may differ."""

from typing import Any

import pandas as pd

from bench.report.blocks import Block, Column, Details, Field, Prose, Section, Table
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.literature import NAME, SCRATCH, literature_file, read_literature
from bench.report.text import NOT_MEASURED, count, decimal, listed, plus_minus, points

ANCHOR, TITLE = "literature", "Against other people's numbers"
COMPARABLE = 2.0
"""Numbers of training images further apart than this factor are not set beside each other."""

METRICS = {"top1": "top-1", "top5": "top-5", "mean_per_class": "per class"}
COLUMNS = (
    Column("Model"),
    Column("Dataset"),
    Column("Metric"),
    Column("Ours (%)", numeric=True),
    Column("n", numeric=True),
    Column("Theirs (%)", numeric=True),
    Column("Difference (points)", numeric=True),
    Column("Why they may differ", wide=True),
    Column("Their protocol", under="Why they may differ", label="their protocol: "),
    Column("Source", under="Why they may differ", label="source: "),
)


def literature(evidence: Evidence) -> Section:
    """One row a published accuracy on the suite's datasets, and one for each of our cells beside it."""
    datasets = list(dict.fromkeys(comparison.dataset for comparison in evidence.suite.comparisons))
    path = literature_file(evidence.store.root)
    if path is None:
        return Section(
            ANCHOR,
            TITLE,
            (
                Prose(
                    f"This store has no {NAME}, neither in its folder nor beside it; nothing to compare with."
                ),
            ),
        )
    table = read_literature(path)
    table = table[table["dataset"].isin(datasets)]
    if table.empty:
        return Section(ANCHOR, TITLE, (Prose(f"{NAME} has no accuracy on {listed(datasets)}."),))
    rows, others, runs = [], [], []
    for dataset in datasets:
        for theirs in table[table["dataset"] == dataset].to_dict("records"):
            ours = [cell for cell in evidence.cells if comparable(evidence, cell, theirs)]
            rows += [_row(evidence, theirs, cell) for cell in ours]
            others += [] if ours else [_row(evidence, theirs, None)]
            runs += [run for cell in ours for run in cell.runs]
    blocks: list[Block] = [
        Prose(
            "Nothing here is matched: others split, tune, crop and choose epochs in their own ways; what is "
            "known to differ stands in each row. A difference is no verdict. Ours stands beside theirs only "
            "for the same architecture and dataset, both from scratch or both pretrained, and with numbers "
            f"of training images within a factor of {COMPARABLE:g}; otherwise it was not measured here."
        )
    ]
    if rows:
        caption = "Our accuracy (mean ± standard deviation over n replicates) beside published ones."
        blocks.append(Table("literature", caption, COLUMNS, tuple(rows), runs=tuple(dict.fromkeys(runs))))
    else:
        blocks.append(Prose(f"Not measured here: any of the {len(others)} published accuracies below."))
    if others:
        caption = "Published accuracies of models that were not trained here on comparable data."
        folded = Table("literature-others", caption, COLUMNS, tuple(others))
        blocks.append(Details(f"Published, not measured here ({len(others)})", (folded,)))
    return Section(ANCHOR, TITLE, tuple(blocks))


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


def _row(evidence: Evidence, theirs: dict[str, Any], cell: Cell | None) -> tuple[Field, ...]:
    metric = theirs["metric"]
    tail = (Field(theirs["protocol"]), Field(theirs["source"]))
    trained = "from scratch" if theirs["pretraining"] == SCRATCH else theirs["pretraining"]
    images = "not stated" if pd.isna(theirs["train_images"]) else count(theirs["train_images"])
    how = f"theirs: {trained}, {int(theirs['input_px'])} px, training images: {images}"
    if cell is None:
        head = (Field(theirs["model"]), Field(theirs["dataset"]), Field(METRICS[metric]))
        ours = (Field(NOT_MEASURED + " here"), Field("0"), Field(decimal(theirs["value"], 1)))
        return (*head, *ours, Field("none"), Field(how), *tail)
    score = cell.scores[metric]
    mean, spread = score.as_percent()
    difference = points(score.mean - theirs["value"] / 100) if score.n else "none"
    return (
        Field(cell.title, look=evidence.looks[cell.contestant]),
        Field(cell.split),
        Field(METRICS[metric]),
        Field(mean, spread=plus_minus(spread), notes=cell.notes),
        Field(count(score.n)),
        Field(decimal(theirs["value"], 1)),
        Field(difference),
        Field("; ".join(_reasons(evidence, cell, theirs))),
        *tail,
    )


def _reasons(evidence: Evidence, cell: Cell, theirs: dict[str, Any]) -> list[str]:
    """What is known to differ, and that the recipe does."""
    record = evidence.records[cell.runs[0]]
    facts = [
        ("input", f"{record.identity.input_size} px", f"{int(theirs['input_px'])} px"),
        ("pretraining", cell.pretraining, theirs["pretraining"]),
        (
            "training images",
            count(record.data.train_images),
            "not stated" if pd.isna(theirs["train_images"]) else count(theirs["train_images"]),
        ),
    ]
    reasons = [f"{name}: ours {ours}, theirs {other}" for name, ours, other in facts if ours != other]
    return [*reasons, f"our recipe: {cell.recipe} ({cell.protocol})"]

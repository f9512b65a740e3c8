"""Models brought from outside: their scores, and how they stand beside the suite's networks."""

from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.external import correct, paired_interval, sentence
from bench.report.blocks import Block, Column, Field, Heading, Prose, Table
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.text import NOT_MEASURED, decimal, interval, percent, points, split, subset

if TYPE_CHECKING:
    from bench.store.records import ExternalRecord

NOTE = "brought from outside"
SCORES = (
    Column("Model"),
    Column("Top-1 (%)", numeric=True),
    Column("95 % interval", numeric=True),
    Column("Per class (%)", numeric=True),
    Column("NLL", numeric=True),
    Column("ECE (%)", numeric=True),
    Column("Dataset (split)"),
)
DIFFERENCES = (
    Column("Model"),
    Column("Against"),
    Column("Images per class", numeric=True),
    Column("Difference (points)", numeric=True),
    Column("95 % interval", numeric=True),
    Column("n", numeric=True),
    Column("Recipe", under="Against"),
    Column("Comparison", under="Against"),
)


def brought(evidence: Evidence) -> list[Block]:
    """What was brought to the suite's test splits; nothing where nothing was."""
    tested = {record.data.key for record in evidence.records.values()}
    found = [record for record in evidence.store.externals() if record.data.key in tested]
    if not found:
        return []
    blocks: list[Block] = [
        Heading("Brought from outside"),
        Prose(
            "Predictions that others made of the same test images, scored here (vcbench score). How these "
            "networks were trained and chosen is not known, so nothing here is matched and nothing is a "
            "verdict."
        ),
        *(Prose(sentence(record, evidence.names)) for record in found),
        Table(
            "brought",
            "Models brought from outside: one trained network each, with Wilson's interval over test images.",
            SCORES,
            tuple(_scores(record, evidence.names) for record in found),
        ),
    ]
    rows = [(cell, _difference(evidence, record, cell)) for record in found for cell in evidence.cells]
    measured = [(cell, row) for cell, row in rows if row]
    if measured:
        caption = (
            "Each model brought from outside minus the networks of the suite, the mean of n replicates, "
            "image by image. The intervals are over test images, for these trained networks alone, and "
            "unadjusted."
        )
        runs = tuple(dict.fromkeys(run for cell, _ in measured for run in cell.runs))
        table = Table("brought-against", caption, DIFFERENCES, tuple(row for _, row in measured), runs=runs)
        blocks.append(table)
    return blocks


def _scores(record: "ExternalRecord", names: dict[tuple[str, str], str]) -> tuple[Field, ...]:
    metrics, data = record.metrics, record.data
    low, high = record.top1_wilson
    notes = (NOTE, "copy not verified") if data.data_copy == "copy not verified" else (NOTE,)
    return (
        Field(record.id, notes=notes),
        Field(percent(metrics.top1)),
        Field(f"{percent(low)} to {percent(high)}"),
        Field(percent(metrics.mean_per_class)),
        Field(decimal(metrics.nll) if metrics.nll is not None else NOT_MEASURED),
        Field(percent(metrics.ece)),
        Field(split(names[data.dataset, data.fingerprint], data.split_id)),
    )


def _difference(evidence: Evidence, record: "ExternalRecord", cell: Cell) -> tuple[Field, ...] | None:
    """One cell of the suite; none where it has no predictions on the same images."""
    records = [evidence.records[run] for run in cell.runs]
    records = [own for own in records if own.data.key == record.data.key]
    scores = [found for own in records if (found := evidence.predictions.scores(own)) is not None]
    if not scores:
        return None
    estimate, low, high = paired_interval(correct(evidence.store, record), np.mean(scores, axis=0))
    return (
        Field(record.id, notes=(NOTE,)),
        Field(cell.title, look=evidence.looks[cell.contestant], notes=cell.notes),
        Field(subset(cell.shots, cell.images_per_class)),
        Field(points(estimate)),
        Field(interval(low, high)),
        Field(str(len(scores))),
        Field(cell.recipe),
        Field(cell.comparison),
    )

"""Other people's predictions: their scores, and how they stand beside the suite's networks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.analysis.external import correct, paired_interval, sentence
from bench.report.blocks import Column, Field, Flow, Heading, Table, number
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.sections.columns import CELL_SIZE
from bench.report.text import NOT_MEASURED, decimal, interval, percent, points, split_label
from bench.store.records.external import ExternalRecord

NOTE = "brought from outside"


@dataclass(frozen=True)
class _Difference:
    """An external model minus the mean of a cell's replicates, with its interval over test images."""

    record: ExternalRecord
    cell: Cell
    replicates: int
    estimate: float
    low: float
    high: float


def external(evidence: Evidence) -> Iterator[Flow]:
    """The external models scored on the suite's test splits; nothing where there are none."""
    tested = {record.data.key for record in evidence.records.values()}
    records = [record for record in evidence.store.externals() if record.data.key in tested]
    if not records:
        return
    yield Heading("Brought from outside")
    yield (
        "Predictions that others made of the same test images, scored here (vcbench score). How these "
        "networks were trained and chosen is not known, so nothing here is matched and nothing is a verdict."
    )
    yield (sentence(record, evidence.names) for record in records)
    yield _scores(evidence, records)
    pairs = [(record, cell) for record in records for cell in evidence.cells]
    if differences := [row for pair in pairs if (row := _difference(evidence, *pair))]:
        yield _differences(evidence, differences)


def _scores(evidence: Evidence, records: list[ExternalRecord]) -> Table:
    columns = (
        Column("Model", _name),
        number("Top-1 (%)", lambda one: percent(one.metrics.top1)),
        number("95 % interval", lambda one: " to ".join(map(percent, one.top1_wilson))),
        number("Per class (%)", lambda one: percent(one.metrics.mean_per_class)),
        number("NLL", lambda one: NOT_MEASURED if one.metrics.nll is None else decimal(one.metrics.nll)),
        number("ECE (%)", lambda one: percent(one.metrics.ece)),
        Column(
            "Dataset (split)",
            lambda one: split_label(
                evidence.names[one.data.dataset, one.data.fingerprint], one.data.split_id
            ),
        ),
    )
    caption = (
        "Models brought from outside: one trained network each, with Wilson's interval over test images."
    )
    return Table.of("brought", caption, columns, records)


def _name(record: ExternalRecord) -> Field:
    copy = ("copy not verified",) if record.data.data_copy == "copy not verified" else ()
    return Field(record.id, notes=(NOTE, *copy))


def _differences(evidence: Evidence, differences: list[_Difference]) -> Table:
    columns = (
        Column("Model", lambda row: Field(row.record.id, notes=(NOTE,))),
        Column(
            "Against",
            lambda row: Field(
                row.cell.title, style=evidence.styles[row.cell.contestant], notes=row.cell.notes
            ),
        ),
        CELL_SIZE.on(lambda row: row.cell),
        number("Difference (points)", lambda row: points(row.estimate)),
        number("95 % interval", lambda row: interval(row.low, row.high)),
        number("n", lambda row: str(row.replicates)),
        Column("Recipe", lambda row: row.cell.recipe, under="Against"),
        Column("Comparison", lambda row: row.cell.comparison, under="Against"),
    )
    caption = (
        "Each model brought from outside minus the networks of the suite, the mean of n replicates, image by "
        "image. The intervals are over test images, for these trained networks alone, and unadjusted."
    )
    return Table.of("brought-against", caption, columns, differences, runs=lambda row: row.cell.runs)


def _difference(evidence: Evidence, record: ExternalRecord, cell: Cell) -> _Difference | None:
    """None where the cell has no predictions on the same images."""
    own = [evidence.records[run] for run in cell.runs]
    scores = [evidence.predictions.scores(one) for one in own if one.data.key == record.data.key]
    known = [score for score in scores if score is not None]
    if not known:
        return None
    difference = paired_interval(correct(evidence.store, record), np.mean(known, axis=0))
    return _Difference(record, cell, len(known), *difference)

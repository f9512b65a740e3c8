"""Columns that tables of cells and of contrasts share."""

from collections.abc import Iterable

from bench.analysis.contrasts import Finding
from bench.report.blocks import Column, Field, Table, number
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.text import size_label
from bench.report.verdicts import pair_name, short_notes


def cell_size(cell: Cell) -> str:
    """How many images per class a cell's models were trained on."""
    return size_label(cell.shots, cell.images_per_class)


def finding_size(finding: Finding) -> str:
    """How many images per class the two models of a contrast were trained on."""
    return size_label(finding.pair.shots, finding.images_per_class)


CELL_SIZE = number("Images per class", cell_size)
CELL_NOTES = Column("Notes", lambda cell: Field(notes=cell.notes), under="Model")
FINDING_SIZE = number("Images per class", finding_size)


def finding_notes(under: str) -> Column:
    """What must be known to read a contrast, below the column that names it."""
    return Column("Notes", lambda finding: Field(notes=short_notes(finding)), under=under)


def percent_of(score: str, title: str) -> Column:
    """A score of cells in percent, with its standard deviation."""
    return number(title, lambda cell: cell.scores[score].as_percent())


def cell_table(name: str, caption: str, columns: Iterable[Column], cells: Iterable[Cell]) -> Table:
    """One row a cell, grouped by images per class so that models stand side by side."""
    return Table.of(
        name, caption, columns, cells, group_by=lambda cell: cell.shots, runs=lambda cell: cell.runs
    )


def finding_table(name: str, caption: str, columns: Iterable[Column], findings: Iterable[Finding]) -> Table:
    """One row a contrast, grouped by the models that are compared."""
    return Table.of(
        name,
        caption,
        columns,
        findings,
        group_by=pair_name,
        runs=lambda finding: finding.runs_a + finding.runs_b,
    )


def cell_model(evidence: Evidence) -> Column:
    """The model of a cell, as it is drawn."""
    return Column("Model", evidence.cell_title)

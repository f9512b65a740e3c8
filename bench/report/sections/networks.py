"""Descriptions of single trained networks, of the first replicate: never a verdict."""

from dataclasses import dataclass
from functools import cached_property

from bench.analysis.contrasts import Finding
from bench.analysis.predictions import Outputs
from bench.analysis.statistics import bootstrap_per_class, mcnemar, wilson
from bench.files import slug
from bench.report.blocks import Column, Details, Field, Table, number
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.sections.columns import CELL_SIZE, FINDING_SIZE, cell_model
from bench.report.text import count, percent
from bench.report.verdicts import pair_name

SMALLEST_P = 0.001


@dataclass(frozen=True)
class _Network:
    """The first run of a cell with stored predictions, and these."""

    cell: Cell
    run: str
    outputs: Outputs

    @cached_property
    def per_class(self) -> tuple[float, float, float]:
        """Mean accuracy over classes, and the ends of its bootstrap interval; fractions."""
        return bootstrap_per_class(self.outputs.correct, self.outputs.labels)

    @property
    def top1_interval(self) -> tuple[float, float]:
        """Wilson's interval of the top-1 accuracy; fractions."""
        return wilson(int(self.outputs.correct.sum()), len(self.outputs.correct))


def networks(evidence: Evidence, name: str, cells: list[Cell]) -> Details | None:
    """Intervals over the test images of one network of each cell; nothing where no predictions are stored."""
    rows = [network for cell in cells if (network := _first(evidence, cell))]
    if not rows:
        return None
    columns = (
        CELL_SIZE.on(lambda one: one.cell),
        cell_model(evidence).on(lambda one: one.cell),
        Column("Run", lambda one: Field(one.run, code=True)),
        number("Top-1 (%)", lambda one: percent(one.outputs.correct.mean())),
        number("Wilson, 95 %", lambda one: _range(*one.top1_interval)),
        number("Per class (%)", lambda one: percent(one.per_class[0])),
        number("Bootstrap, 95 %", lambda one: _range(*one.per_class[1:])),
        number("Test images", lambda one: count(len(one.outputs.correct))),
    )
    text = (
        "Each row is one trained network, the first replicate that finished. Wilson's interval and the "
        "bootstrap (2,000 draws of images within each class) are about other test images and this very "
        "network; they say nothing about training it again, and are no verdict."
    )
    table = Table.of(
        f"networks-{slug(name)}",
        f"One trained network of each cell in {name}.",
        columns,
        rows,
        group_by=lambda one: one.cell.shots,
        runs=lambda one: (one.run,),
    )
    return Details.of(f"Single networks in {name}", text, table)


def two_networks(evidence: Evidence, name: str, findings: list[Finding]) -> Details | None:
    """McNemar's exact test of the first replicate that finished in both models of each contrast."""
    rows = [
        (finding, both, mcnemar(*(evidence.predictions.known(evidence.records[run]).correct for run in both)))
        for finding in findings
        if (both := _first_of_both(evidence, finding))
    ]
    if not rows:
        return None
    columns = (
        FINDING_SIZE.on(lambda row: row[0]),
        Column("Two networks", lambda row: pair_name(row[0])),
        number("Only the first is right (images)", lambda row: count(row[2].only_a)),
        number("Only the second", lambda row: count(row[2].only_b)),
        number("p, exact", lambda row: p_value(row[2].p)),
        Column("Runs", lambda row: Field(" ".join(row[1]), code=True)),
    )
    text = (
        "Each row compares two trained networks, of the first replicate that finished in both models, on the "
        "test images that only one of them got right. The p-value is unadjusted and about these two networks "
        "alone: two runs of one and the same model can differ with as small a p-value. It is no verdict."
    )
    table = Table.of(
        f"mcnemar-{slug(name)}",
        f"Exact McNemar test of two trained networks of each contrast in {name}.",
        columns,
        rows,
        group_by=lambda row: pair_name(row[0]),
        runs=lambda row: row[1],
    )
    return Details.of(f"Pairs of single networks in {name}", text, table)


def p_value(p: float) -> str:
    """A p-value with three decimals, or that it is below them."""
    return f"< {SMALLEST_P:g}" if p < SMALLEST_P else f"{p:.3f}"


def _range(low: float, high: float) -> str:
    return f"{percent(low)} to {percent(high)}"


def _first(evidence: Evidence, cell: Cell) -> _Network | None:
    for run in cell.runs:
        if (outputs := evidence.predictions.outputs(evidence.records[run])) is not None:
            return _Network(cell, run, outputs)
    return None


def _first_of_both(evidence: Evidence, finding: Finding) -> tuple[str, str] | None:
    for both in zip(finding.runs_a, finding.runs_b, strict=True):
        if all(evidence.predictions.outputs(evidence.records[run]) is not None for run in both):
            return both
    return None

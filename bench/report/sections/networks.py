"""Descriptions of single trained networks, of the first replicate: never a verdict."""

from bench.analysis.contrasts import Finding
from bench.analysis.predictions import Outputs
from bench.analysis.statistics import bootstrap_per_class, mcnemar, wilson
from bench.files import slug
from bench.report.blocks import Column, Details, Field, Prose, Table
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.text import count, percent, subset
from bench.report.verdicts import pair_name

NETWORKS = (
    Column("Images per class", numeric=True),
    Column("Model"),
    Column("Run"),
    Column("Top-1 (%)", numeric=True),
    Column("Wilson, 95 %", numeric=True),
    Column("Per class (%)", numeric=True),
    Column("Bootstrap, 95 %", numeric=True),
    Column("Test images", numeric=True),
)
MCNEMAR = (
    Column("Images per class", numeric=True),
    Column("Two networks"),
    Column("Only the first is right (images)", numeric=True),
    Column("Only the second", numeric=True),
    Column("p, exact", numeric=True),
    Column("Runs"),
)
SMALLEST_P = 0.001


def networks(evidence: Evidence, name: str, cells: list[Cell]) -> tuple[Details, ...]:
    """Intervals over the test images of one network of each cell; nothing where no predictions are stored."""
    rows: list[tuple[Field, ...]] = []
    starts: list[int] = []
    runs: list[str] = []
    sizes: list[int | None] = []
    for cell in cells:
        found = _first(evidence, cell)
        if found is None:
            continue
        run, outputs = found
        if cell.shots not in sizes:
            sizes.append(cell.shots)
            starts.append(len(rows))
        correct, labels = outputs.correct, outputs.labels
        ends = wilson(int(correct.sum()), len(correct))
        mean, low, high = bootstrap_per_class(correct, labels)
        rows.append(
            (
                Field(subset(cell.shots, cell.images_per_class)),
                Field(cell.title, look=evidence.looks[cell.contestant]),
                Field(run, code=True),
                Field(percent(correct.mean())),
                Field(f"{percent(ends[0])} to {percent(ends[1])}"),
                Field(percent(mean)),
                Field(f"{percent(low)} to {percent(high)}"),
                Field(count(len(correct))),
            )
        )
        runs.append(run)
    if not rows:
        return ()
    words = Prose(
        "Each row is one trained network, the first replicate that finished. Wilson's interval and the "
        "bootstrap (2,000 draws of images within each class) are about other test images and this very "
        "network; they say nothing about training it again, and are no verdict."
    )
    caption = f"One trained network of each cell in {name}."
    table = Table(f"networks-{slug(name)}", caption, NETWORKS, tuple(rows), frozenset(starts), tuple(runs))
    return (Details(f"Single networks in {name}", (words, table)),)


def two_networks(evidence: Evidence, name: str, findings: list[Finding]) -> tuple[Details, ...]:
    """McNemar's exact test of the first replicate that finished in both models of each contrast."""
    rows: list[tuple[Field, ...]] = []
    starts: list[int] = []
    runs: list[str] = []
    pairs: list[str] = []
    for finding in findings:
        both = _first_of_both(evidence, finding)
        if both is None:
            continue
        if pair_name(finding) not in pairs:
            pairs.append(pair_name(finding))
            starts.append(len(rows))
        outputs = [evidence.predictions.known(evidence.records[run]) for run in both]
        found = mcnemar(*(one.correct for one in outputs))
        rows.append(
            (
                Field(subset(finding.pair.shots, finding.images_per_class)),
                Field(pair_name(finding)),
                Field(count(found.only_a)),
                Field(count(found.only_b)),
                Field(p_value(found.p)),
                Field(" ".join(both), code=True),
            )
        )
        runs += both
    if not rows:
        return ()
    words = Prose(
        "Each row compares two trained networks, of the first replicate that finished in both models, on the "
        "test images that only one of them got right. The p-value is unadjusted and about these two networks "
        "alone: two runs of one and the same model can differ with as small a p-value. It is no verdict."
    )
    caption = f"Exact McNemar test of two trained networks of each contrast in {name}."
    table = Table(
        f"mcnemar-{slug(name)}", caption, MCNEMAR, tuple(rows), frozenset(starts), tuple(dict.fromkeys(runs))
    )
    return (Details(f"Pairs of single networks in {name}", (words, table)),)


def p_value(p: float) -> str:
    """A p-value with three decimals, or that it is below them."""
    return f"< {SMALLEST_P:g}" if p < SMALLEST_P else f"{p:.3f}"


def _first(evidence: Evidence, cell: Cell) -> tuple[str, Outputs] | None:
    """The first run of a cell with stored predictions, and these."""
    for run in cell.runs:
        outputs = evidence.predictions.outputs(evidence.records[run])
        if outputs is not None:
            return run, outputs
    return None


def _first_of_both(evidence: Evidence, finding: Finding) -> tuple[str, str] | None:
    for both in zip(finding.runs_a, finding.runs_b, strict=True):
        if all(evidence.predictions.outputs(evidence.records[run]) is not None for run in both):
            return both
    return None

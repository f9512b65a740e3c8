"""Sensitivity to the learning rate, where a suite has a grid of them."""

from bench.analysis.rates import MIN_RATES, RateGrid, rate_grids
from bench.report.blocks import Block, Column, Field, Prose, Table
from bench.report.evidence import Evidence
from bench.report.text import percent, points

COLUMNS = (
    Column("Model"),
    Column("Dataset"),
    Column("Images per class"),
    Column("Learning rates (val top-1, %)", wide=True),
    Column("Best", numeric=True),
    Column("Decades within delta", numeric=True),
    Column("From, to", numeric=True),
    Column("n", numeric=True),
    Column("Notes", under="Model"),
)


def learning_rates(evidence: Evidence) -> list[Block]:
    """A table of the grids; a sentence where there is none."""
    grids = rate_grids(evidence.suite, evidence.records)
    if not grids:
        return [
            Prose(
                f"Sensitivity to the learning rate: not measured. No model of this suite was trained with "
                f"{MIN_RATES} learning rates or more on the same images."
            )
        ]
    delta = points(evidence.suite["delta"], sign=False)
    caption = (
        f"Sensitivity to the learning rate: how many decades around the best rate lose less than {delta} "
        "points of val accuracy, interpolated over its logarithm. n counts replicates of each rate."
    )
    rows = tuple(_row(evidence, grid) for grid in grids)
    runs = tuple(dict.fromkeys(run for grid in grids for run in grid.runs))
    return [Table("learning-rates", caption, COLUMNS, rows, runs=runs)]


def _row(evidence: Evidence, grid: RateGrid) -> tuple[Field, ...]:
    found = grid.sensitivity
    notes = [f"{grid.diverged} of {len(grid.runs)} diverged, at chance"] if grid.diverged else []
    if grid.replicates < 3:
        notes.append("fewer than 3 replicates")
    return (
        Field(evidence.suite["contestants"][grid.contestant]["title"], look=evidence.looks[grid.contestant]),
        Field(grid.dataset),
        Field("all" if grid.shots is None else str(grid.shots)),
        Field("; ".join(f"{rate:g}: {percent(val)}" for rate, val in grid.val.items())),
        Field(f"{found.best_rate:g}"),
        Field(f"{'' if found.bounded else 'at least '}{found.decades:.1f}"),
        Field(f"{found.low:.2g} to {found.high:.2g}"),
        Field(str(grid.replicates)),
        Field(notes=tuple(notes)),
    )

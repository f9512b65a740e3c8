"""What a forward pass costs: parameters and operations, and what it buys."""

from bench.report.blocks import Column, Field, Gallery, Prose, Section, Table, not_measured
from bench.report.evidence import Evidence
from bench.report.sections.pareto import pareto_figures
from bench.report.text import count, decimal, listed

COLUMNS = (
    Column("Model"),
    Column("Card"),
    Column("Classes", numeric=True),
    Column("Input (px)", numeric=True),
    Column("Parameters", numeric=True),
    Column("GMACs", numeric=True),
    Column("FLOPs", numeric=True),
    Column("Activations (M)", numeric=True),
)


def cost(evidence: Evidence) -> Section:
    """Accuracy against cost, and one row a model, head and input size."""
    title = "Cost"
    if evidence.cost.empty:
        return not_measured("cost", title, "this suite has no cost profile yet")
    rows = tuple(
        (
            Field(row.title),
            Field(row.model, code=True),
            Field(count(row.classes)),
            Field(str(row.input_size)),
            Field(count(row.params)),
            Field(decimal(row.gmacs, 3)),
            Field(count(row.flops)),
            Field(decimal(row.activations_m, 1)),
        )
        for row in evidence.cost.itertuples()
    )
    counters = listed(sorted(set(evidence.cost["counter"].dropna())))
    note = (
        "For one image. FLOPs are 2 × multiply-adds of matrix products and convolutions, attention included; "
        "a GMAC is a thousand million multiply-adds. Parameters depend on the number of classes. "
        f"Counted with {counters}."
    )
    table = Table("cost", "Cost of one forward pass.", COLUMNS, rows, runs=tuple(evidence.cost["profile"]))
    figures = pareto_figures(evidence)
    gallery = (Gallery(tuple(figures)),) if figures else ()
    return Section("cost", title, (Prose(note), *gallery, table))

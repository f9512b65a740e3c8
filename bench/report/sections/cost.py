"""What a forward pass costs: parameters and operations, beside what others print of them."""

from typing import Any

from bench.report.blocks import Block, Column, Field, Prose, Section, Table, not_measured
from bench.report.evidence import Evidence
from bench.report.published import published_cost
from bench.report.sections.parts import parts_blocks
from bench.report.text import MINUS, NOT_MEASURED, count, decimal, listed

NOT_PUBLISHED = "no published figure"
HEAD = 1000

COLUMNS = (
    Column("Model"),
    Column("Card"),
    Column("Source", under="Model", label="published: "),
    Column("Classes", numeric=True),
    Column("Input (px)", numeric=True),
    Column("Parameters", numeric=True),
    Column("Published parameters (M)", numeric=True),
    Column("GMACs", numeric=True),
    Column("Published GMACs", numeric=True),
    Column("Difference in GMACs (%)", numeric=True),
    Column("GMACs with norms, softmax, pooling", numeric=True),
    Column("FLOPs", numeric=True),
    Column("Activations (M)", numeric=True),
)


def cost(evidence: Evidence) -> Section:
    """One row a model, head and input size, and where its operations are."""
    title = "Cost"
    if evidence.cost.empty:
        return not_measured("cost", title, "this suite has no cost profile yet")
    rows = tuple(_row(evidence, row) for row in evidence.cost.to_dict("records"))
    counters = listed(sorted(set(evidence.cost["counter"].dropna())))
    note = (
        "For one image. FLOPs are 2 × multiply-adds of matrix products and convolutions, attention included; "
        "a GMAC is a thousand million multiply-adds. Parameters depend on the number of classes. "
        f"Counted with {counters}. Published figures stand beside ours as their sources print them, for "
        f"{count(HEAD)} classes; the difference is ours over theirs, in GMACs. timm prints fewer digits and "
        "counts norms too: its figures are to be read beside the column that has them."
    )
    table = Table("cost", "Cost of one forward pass.", COLUMNS, rows, runs=tuple(evidence.cost["profile"]))
    blocks: list[Block] = [Prose(note), table, *parts_blocks(evidence)]
    return Section("cost", title, tuple(blocks))


def _row(evidence: Evidence, row: dict[str, Any]) -> tuple[Field, ...]:
    found = _published(row)
    return (
        Field(row["title"], look=evidence.model_looks.get(row["model"])),
        Field(row["model"], code=True),
        Field(found["source"] if found else ""),
        Field(count(row["classes"])),
        Field(str(row["input_size"])),
        Field(count(row["params"])),
        Field(f"{found['params_m']:.10g}" if found else NOT_PUBLISHED),
        Field(decimal(row["gmacs"], 3)),
        Field(f"{found['gmacs']:.10g}" if found else "none"),
        Field(_difference(row["gmacs"], found["gmacs"]) if found else "none"),
        Field(decimal(row["gmacs_all"], 3)),
        Field(count(row["flops"])),
        Field(decimal(row["activations_m"], 1)),
    )


def _published(row: dict[str, Any]) -> dict[str, Any] | None:
    """The published figures of a model with this input and 1000 classes, if there are any."""
    table = published_cost()
    found = table[(table["model"] == row["model"]) & (table["input_px"] == row["input_size"])]
    return found.iloc[0].to_dict() if len(found) and row["classes"] == HEAD else None


def _difference(ours: float, theirs: float) -> str:
    if ours != ours:
        return NOT_MEASURED
    text = f"{100 * (ours / theirs - 1):+.2f}"
    return ("0.00" if text in ("+0.00", "-0.00") else text).replace("-", MINUS)

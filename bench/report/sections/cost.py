"""What a forward pass costs: parameters and operations, beside what others print of them."""

import json
from typing import Any

import pandas as pd

from bench.report.blocks import Column, Field, Section, Table, number
from bench.report.evidence import Evidence
from bench.report.published import published_cost
from bench.report.text import count, decimal, percent, points

NOT_PUBLISHED = "no published figure"
HEAD = 1000
PARTS = {
    "patch_embedding_or_stem": "Patch embedding or stem (%)",
    "attention_projections": "Attention: projections (%)",
    "attention_matrices": "Attention: matrices (%)",
    "linear_and_1x1": "Linear layers, 1 × 1 convolutions (%)",
    "convolutions": "Larger convolutions (%)",
    "head": "Head (%)",
    "other": "Other (%)",
}
"""The titles of the parts that `bench.profiling.cost` tells apart."""


def cost(evidence: Evidence) -> Section:
    """One row a model, head and input size, and where its operations are."""
    return Section.measured(
        "cost",
        "Cost",
        "For one image. FLOPs are 2 × multiply-adds of matrix products and convolutions, attention included; "
        "a GMAC is 10⁹ multiply-adds. Parameters depend on the number of classes. "
        f"{counted(evidence.cost['counter'])} Published figures stand beside ours as their sources print "
        f"them, for {count(HEAD)} classes; the difference is ours over theirs, in GMACs. timm prints fewer "
        "digits and counts norms too: its figures are to be read beside the column that has them.",
        _table(evidence),
        _parts(evidence),
    )


def counted(counters: pd.Series) -> str:
    """With what the operations were counted, and by what that was checked."""
    every = [text.partition("; checked against ")[::2] for text in sorted(set(counters.dropna()))]
    ways = []
    for by, check in every:
        if (check, by) not in every:
            ways.append(f"with {by}" + (f", checked against {check}" if check else ""))
        elif by < check:
            ways.append(f"with one of {by} and {check}, checked against the other")
    return f"Counted {'; or '.join(ways)}." if ways else ""


def _table(evidence: Evidence) -> Table:
    columns = (
        Column("Model", lambda row: Field(row["title"], style=evidence.model_styles.get(row["model"]))),
        Column("Card", lambda row: Field(row["model"], code=True)),
        Column("Source", lambda row: row["source"], under="Model", label="published: "),
        number("Classes", lambda row: count(row["classes"])),
        number("Input (px)", lambda row: str(row["input_size"])),
        number("Parameters", lambda row: count(row["params"])),
        number("Published parameters (M)", lambda row: _as_printed(row["params_m"], NOT_PUBLISHED)),
        number("GMACs", lambda row: decimal(row["gmacs"], 3)),
        number("Published GMACs", lambda row: _as_printed(row["gmacs_published"], "none")),
        number("Difference in GMACs (%)", _difference),
        number("GMACs with norms, softmax, pooling", lambda row: decimal(row["gmacs_all"], 3)),
        number("FLOPs", lambda row: count(row["flops"])),
        number("Activations (M)", lambda row: decimal(row["activations_m"], 1)),
    )
    published = published_cost().rename(columns={"input_px": "input_size"}).assign(classes=HEAD)
    same = ["model", "input_size", "classes"]
    rows = evidence.cost.merge(published, "left", same, suffixes=("", "_published"), validate="one_to_one")
    rows = rows.fillna({"source": ""})
    return Table.of(
        "cost", "Cost of one forward pass.", columns, rows.to_dict("records"), runs=rows["profile"]
    )


def _parts(evidence: Evidence) -> Table:
    """In which parts of a network its operations are, for one head and input size a model."""
    counted = evidence.cost[evidence.cost["flops"] > 0].sort_values(["classes", "input_size"], kind="stable")
    largest = counted.drop_duplicates("model", keep="last").set_index("model")
    parts = {model: json.loads(text) for model, text in largest["by_part"].items() if text}
    shown = [name for name in PARTS if any(own.get(name) for own in parts.values())]
    models = [model for model in evidence.in_order(parts) if parts[model].keys() <= PARTS.keys()]

    def share(name: str) -> Column:
        return number(
            PARTS[name], lambda model: percent(parts[model].get(name, 0) / largest.at[model, "flops"])
        )

    caption = (
        "Where the multiply-adds of a forward pass are. Attention matrices are the products of queries with "
        "keys, and of the weights with values. Linear layers and 1 × 1 convolutions do the same product at "
        "every position; larger convolutions see neighbours, or channels one by one."
    )
    columns = [Column("Model", evidence.model_title), *map(share, shown)]
    runs = largest.loc[models, "profile"]
    return Table.of("parts", caption, columns, models, runs=runs)


def _as_printed(theirs: float, otherwise: str) -> str:
    return otherwise if pd.isna(theirs) else f"{theirs:.10g}"


def _difference(row: dict[str, Any]) -> str:
    """Ours over theirs in percent: as `points`, with two decimals."""
    if pd.isna(row["gmacs_published"]):
        return "none"
    return points(row["gmacs"] / row["gmacs_published"] - 1, digits=2)

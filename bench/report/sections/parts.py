"""In which parts of a network its operations are."""

import json
from typing import Any

import pandas as pd

from bench.report.bars import stacked_bars
from bench.report.blocks import Block, Column, Details, Field, Figure, Gallery, Table
from bench.report.evidence import Evidence
from bench.report.measured import ordered
from bench.report.text import NOT_MEASURED, count, decimal

PARTS = {
    "patch_embedding_or_stem": "patch embedding or stem",
    "attention_projections": "attention: projections",
    "attention_matrices": "attention: matrices",
    "linear_and_1x1": "linear layers and 1 × 1 convolutions",
    "convolutions": "larger convolutions",
    "head": "head",
    "other": "other products",
}


def parts_blocks(evidence: Evidence) -> list[Block]:
    """The shares as a figure and the numbers as a table, for one head and input size a model."""
    found = evidence.cost.assign(parts=[_read(text) for text in evidence.cost["by_part"]])
    found = found[[set(parts) <= set(PARTS) and sum(parts.values()) > 0 for parts in found["parts"]]]
    if found.empty:
        return []
    by_model = {model: rows for model, rows in found.groupby("model")}
    rows = [
        max(by_model[model].to_dict("records"), key=lambda row: (row["classes"], row["input_size"]))
        for model in ordered(by_model, list(evidence.model_looks))
    ]
    return [
        Gallery((_figure(evidence, rows),)),
        Details("Operations by part, in numbers", (_table(evidence, rows),)),
    ]


def _figure(evidence: Evidence, rows: list[dict[str, Any]]) -> Figure:
    totals = [sum(row["parts"].values()) for row in rows]
    shares = {
        words: [100 * row["parts"].get(part, 0) / total for row, total in zip(rows, totals, strict=True)]
        for part, words in PARTS.items()
    }
    titles = [evidence.titles[row["model"]] for row in rows]
    data = pd.DataFrame(
        {
            "model": [row["model"] for row in rows],
            "classes": [row["classes"] for row in rows],
            "input_size": [row["input_size"] for row in rows],
            **{f"{part}_flops": [row["parts"].get(part, 0) for row in rows] for part in PARTS},
        }
    )
    said = "; ".join(
        f"{title}: "
        + ", ".join(f"{words} {values[k]:.0f} %" for words, values in shares.items() if values[k])
        for k, title in enumerate(titles)
    )
    return stacked_bars(
        "parts",
        titles,
        shares,
        x_label="Share of multiply-adds (%)",
        caption="Where the multiply-adds of a forward pass are; at the end of each bar, how many there are. "
        "Attention matrices are the products of queries with keys, and of the weights with values. Linear "
        "layers and 1 × 1 convolutions do the same product at every position; larger convolutions see "
        "neighbours, or channels one by one.",
        alt=f"Shares of the multiply-adds of a forward pass. {said}.",
        data=data,
        runs=[row["profile"] for row in rows],
        at_ends=[f"{total / 2e9:.3g} GMACs" for total in totals],
    )


def _table(evidence: Evidence, rows: list[dict[str, Any]]) -> Table:
    columns = (
        Column("Model"),
        Column("Classes", numeric=True),
        Column("Input (px)", numeric=True),
        *(Column(f"{words[0].upper()}{words[1:]} (GMACs)", numeric=True) for words in PARTS.values()),
        Column("Norms, softmax, pooling (million operations)", numeric=True),
        Column("GMACs with these", numeric=True),
    )
    lines = []
    for row in rows:
        element_wise = _read(row.get("elementwise"))
        lines.append(
            (
                Field(evidence.titles[row["model"]], look=evidence.model_looks[row["model"]]),
                Field(count(row["classes"])),
                Field(str(row["input_size"])),
                *(Field(decimal(row["parts"].get(part, 0) / 2e9, 3)) for part in PARTS),
                Field(decimal(sum(element_wise.values()) / 1e6, 1) if element_wise else NOT_MEASURED),
                Field(decimal(row["gmacs_all"], 3)),
            )
        )
    caption = "Operations of one forward pass by part of the network."
    return Table("cost-parts", caption, columns, tuple(lines), runs=tuple(row["profile"] for row in rows))


def _read(text: Any) -> dict[str, int]:
    """Counts by name, as the cost table keeps them: in canonical JSON."""
    return json.loads(text) if isinstance(text, str) and text else {}

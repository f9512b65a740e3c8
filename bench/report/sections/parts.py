"""In which parts of a network its operations are."""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from bench.report.bars import shares_sentence, stacked_bars
from bench.report.blocks import Block, Figure, Gallery
from bench.report.evidence import Evidence

PARTS = {
    "patch_embedding_or_stem": "patch embedding or stem",
    "attention_projections": "attention: projections",
    "attention_matrices": "attention: matrices",
    "linear_and_1x1": "linear layers and 1 × 1 convolutions",
    "convolutions": "larger convolutions",
    "head": "head",
    "other": "other products",
}


def parts(evidence: Evidence) -> Iterator[Block]:
    """The shares as a figure, for one head and input size a model."""
    counted = evidence.cost.assign(parts=[_read(text) for text in evidence.cost["by_part"]])
    counted = counted[[set(own) <= set(PARTS) and sum(own.values()) > 0 for own in counted["parts"]]]
    if counted.empty:
        return
    by_model = {model: rows for model, rows in counted.groupby("model")}
    rows = [
        max(by_model[model].to_dict("records"), key=lambda row: (row["classes"], row["input_size"]))
        for model in evidence.in_order(by_model)
    ]
    yield Gallery((_figure(evidence, rows),))


def _figure(evidence: Evidence, rows: list[dict[str, Any]]) -> Figure:
    totals = [sum(row["parts"].values()) for row in rows]
    shares = {
        name: [100 * row["parts"].get(part, 0) / total for row, total in zip(rows, totals, strict=True)]
        for part, name in PARTS.items()
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
    return stacked_bars(
        "parts",
        titles,
        shares,
        x_label="Share of multiply-adds (%)",
        caption="Where the multiply-adds of a forward pass are; at the end of each bar, how many there are. "
        "Attention matrices are the products of queries with keys, and of the weights with values. Linear "
        "layers and 1 × 1 convolutions do the same product at every position; larger convolutions see "
        "neighbours, or channels one by one.",
        alt=f"Shares of the multiply-adds of a forward pass. {shares_sentence(titles, shares)}.",
        data=data,
        runs=[row["profile"] for row in rows],
        at_ends=[f"{total / 2e9:.3g} GMACs" for total in totals],
    )


def _read(text: Any) -> dict[str, int]:
    """Counts by name, as the cost table keeps them: in canonical JSON."""
    return json.loads(text) if isinstance(text, str) and text else {}

"""What was compared: the comparisons of the suite, and its models."""

from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis.flags import Flag
from bench.report.blocks import Column, Field, Section, Table
from bench.report.evidence import Evidence
from bench.report.text import NOT_MEASURED, count, listed, percent, split, subset

if TYPE_CHECKING:
    from bench.store.records import Listing


def compared(evidence: Evidence) -> Section:
    """The comparisons with their primary contrasts, and the models with how they are drawn."""
    return Section("compared", "What was compared", (_comparisons(evidence), _models(evidence)))


def _comparisons(evidence: Evidence) -> Table:
    columns = (
        Column("Comparison"),
        Column("Dataset (split)"),
        Column("Input"),
        Column("Images per class", wide=True),
        Column("Replicates", numeric=True),
        Column("Primary contrasts", wide=True),
        Column("Unmatched", wide=True),
    )
    rows = tuple(
        (
            Field(comparison.name),
            Field(split(comparison.dataset, comparison.split_id)),
            Field(f"{comparison.input_size} px"),
            Field(", ".join(_sizes(evidence, comparison.name))),
            Field(_replicates(evidence.trials, comparison.name)),
            Field("; ".join(_contrast(evidence.suite, pair) for pair in comparison.contrasts) or "none"),
            Field(comparison.unmatched or "nothing stated"),
        )
        for comparison in evidence.suite.comparisons
    )
    caption = "Comparisons. Within one, every model sees the same images at the same input size."
    return Table("comparisons", caption, columns, rows)


def _models(evidence: Evidence) -> Table:
    columns = (
        Column("Model"),
        Column("Card"),
        Column("Family"),
        Column("Pretraining"),
        Column("Upstream top-1 (%)", numeric=True),
        Column("Recipe"),
        Column("Parameters", numeric=True),
    )
    rows = tuple(_model(evidence, key) for key in evidence.looks)
    caption = (
        "Models, as they are drawn in the figures. Upstream top-1 is what the pretrained weights reach on "
        "the data they were trained on, as published; parameters are those of the network as it was trained."
    )
    return Table("models", caption, columns, rows)


def _model(evidence: Evidence, key: str) -> tuple[Field, ...]:
    contestant = evidence.suite.contestants[key]
    rows = evidence.trials[evidence.trials["contestant"] == key]
    done = rows[rows["outcome"].notna()]
    no_upstream = "none" if len(done) else NOT_MEASURED
    notes = () if done["carded"].all() else (str(Flag.NO_CARD()),)
    return (
        Field(contestant.title, look=evidence.looks[key], notes=notes),
        Field(contestant.model, code=True),
        Field(_values(done, "family")),
        Field(_values(rows, "pretraining")),
        Field(listed([percent(value) for value in _numbers(done, "upstream_top1")]) or no_upstream),
        Field(listed(list(dict.fromkeys(rows["recipe"].dropna())))),
        Field(listed([count(value) for value in _numbers(done, "params")]) or NOT_MEASURED),
    )


def _values(rows: pd.DataFrame, column: str) -> str:
    return listed(list(dict.fromkeys(rows[column].dropna()))) or NOT_MEASURED


def _numbers(rows: pd.DataFrame, column: str) -> list[float]:
    return sorted(rows[column].dropna().unique())


def _sizes(evidence: Evidence, comparison: str) -> list[str]:
    here = [cell for cell in evidence.cells if cell.comparison == comparison]
    return list(dict.fromkeys(subset(cell.shots, cell.images_per_class) for cell in here))


def _replicates(trials: pd.DataFrame, comparison: str) -> str:
    sizes = trials[trials["comparison"] == comparison].groupby(["contestant", "shots"], dropna=False).size()
    return "0" if sizes.empty else "-".join(dict.fromkeys(str(n) for n in (sizes.min(), sizes.max())))


def _contrast(suite: "Listing", pair: list[str]) -> str:
    first, second = (suite.contestants[key].title for key in pair)
    return f"{first} against {second}"

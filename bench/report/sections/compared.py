"""What was compared: the comparisons of the suite, and its models."""

import pandas as pd

from bench.analysis.flags import Flag
from bench.report.blocks import Column, Field, Section, Table, number
from bench.report.evidence import Evidence
from bench.report.sections.columns import cell_size
from bench.report.text import NOT_MEASURED, count, listed, percent, split_label
from bench.store.records.listing import ComparisonEntry


def compared(evidence: Evidence) -> Section:
    """The comparisons with their primary contrasts, and the models with how they are drawn."""
    return Section.of("compared", "What was compared", _comparisons(evidence), _models(evidence))


def _comparisons(evidence: Evidence) -> Table:
    def sizes(one: ComparisonEntry) -> str:
        return ", ".join(dict.fromkeys(map(cell_size, evidence.cells_of(one.name))))

    def contrasts(one: ComparisonEntry) -> str:
        titles = [[evidence.suite.contestants[key].title for key in pair] for pair in one.contrasts]
        return "; ".join(map(" against ".join, titles)) or "none"

    columns = (
        Column("Comparison", lambda one: one.name),
        Column("Dataset (split)", lambda one: split_label(one.dataset, one.split_id)),
        Column("Input", lambda one: f"{one.input_size} px"),
        Column("Images per class", sizes, wide=True),
        number("Replicates", lambda one: _replicates(evidence.trials, one.name)),
        Column("Primary contrasts", contrasts, wide=True),
        Column("Unmatched", lambda one: one.unmatched or "nothing stated", wide=True),
    )
    caption = "Comparisons. Within one, every model sees the same images at the same input size."
    return Table.of("comparisons", caption, columns, evidence.suite.comparisons)


def _replicates(trials: pd.DataFrame, comparison: str) -> str:
    sizes = trials[trials["comparison"] == comparison].groupby(["contestant", "shots"], dropna=False).size()
    return "0" if sizes.empty else "-".join(dict.fromkeys(str(n) for n in (sizes.min(), sizes.max())))


def _models(evidence: Evidence) -> Table:
    contestants, every = evidence.suite.contestants, evidence.trials
    planned = {key: every[every["contestant"] == key] for key in evidence.styles}
    done = {key: rows[rows["outcome"].notna()] for key, rows in planned.items()}

    def title(key: str) -> Field:
        notes = () if done[key]["carded"].all() else (str(Flag.NO_CARD()),)
        return Field(contestants[key].title, style=evidence.styles[key], notes=notes)

    def upstream(key: str) -> str:
        values = listed([percent(value) for value in _numbers(done[key], "upstream_top1")])
        return values or ("none" if len(done[key]) else NOT_MEASURED)

    def params(key: str) -> str:
        return listed([count(value) for value in _numbers(done[key], "params")]) or NOT_MEASURED

    columns = (
        Column("Model", title),
        Column("Card", lambda key: Field(contestants[key].model, code=True)),
        Column("Family", lambda key: _values(done[key], "family") or NOT_MEASURED),
        Column("Pretraining", lambda key: _values(planned[key], "pretraining") or NOT_MEASURED),
        number("Upstream top-1 (%)", upstream),
        Column("Recipe", lambda key: _values(planned[key], "recipe")),
        number("Parameters", params),
    )
    caption = (
        "Models, as they are drawn in the figures. Upstream top-1 is what the pretrained weights reach on "
        "the data they were trained on, as published; parameters are those of the network as it was trained."
    )
    return Table.of("models", caption, columns, evidence.styles)


def _values(rows: pd.DataFrame, column: str) -> str:
    return listed(list(dict.fromkeys(rows[column].dropna())))


def _numbers(rows: pd.DataFrame, column: str) -> list[float]:
    return sorted(rows[column].dropna().unique())

"""How cost, speed and memory grow with the input size, and where attention outgrows the rest."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from bench.report.blocks import Column, Figure, Gallery, Section, Table, number
from bench.report.evidence import Evidence
from bench.report.lines import Line, line_figure
from bench.report.measured import Headline, Platform, memory_column, rows_over_sizes, trusted
from bench.report.row_text import disturbed_sentence, three_digits, withheld_sentence
from bench.report.sections.measured_table import lines_over
from bench.report.sections.unmeasured import unmeasured
from bench.report.text import NOT_MEASURED, count, decimal, percent

PX = "Input size (px)"
COUNTED = ["model", "classes", "input_size", "tokens"]


def scaling(evidence: Evidence) -> Section:
    """GMACs and attention's share against pixels, then what was timed at several sizes."""
    anchor, title = "scaling", "Cost against input size"
    table = evidence.measured["scaling"]
    if table.empty:
        return Section.not_measured(
            anchor, title, "no cost was counted over input sizes for the models of this suite"
        )
    counted = table.drop_duplicates(["model", "classes", "input_size"]).sort_values(
        ["model", "classes", "input_size"], kind="stable"
    )
    # One head a model: the largest, since the head does not grow with the input.
    counted = counted[counted["classes"] == counted.groupby("model")["classes"].transform("max")]
    attending = counted[counted["attention_matrices_flops"] > 0]
    timed = Gallery.of(
        _timed(evidence, platform, what, headline)
        for platform in evidence.platforms
        for headline in evidence.headlines[:1]
        for what in ("speed", "memory")
    )
    return Section.of(
        anchor,
        title,
        "Of one forward pass of one image. The products of activations with activations in attention grow "
        "with the square of the number of tokens, everything else in proportion to it.",
        Gallery.of([_gmacs(evidence, counted), None if attending.empty else _share(evidence, attending)]),
        _table(evidence, counted),
        unmeasured(evidence, counted["model"], "at several input sizes"),
        timed or "Speed and memory against input size: not measured at more than one size.",
    )


def _gmacs(evidence: Evidence, counted: pd.DataFrame) -> Figure:
    lines = lines_over(evidence, counted, "input_size", "gmacs")
    return line_figure(
        "scaling-gmacs",
        lines,
        x_label=PX,
        y_label="GMACs",
        caption="Multiply-adds of a forward pass against the size of a square input.",
        alt="GMACs against input size. " + _ends(lines, " GMACs"),
        data=counted[[*COUNTED, "flops", "gmacs", "counter"]],
        runs=counted["profile"],
    )


def _share(evidence: Evidence, attending: pd.DataFrame) -> Figure:
    shares = attending.assign(share=100 * attending["attention_share"])
    lines = lines_over(evidence, shares, "input_size", "share")
    return line_figure(
        "scaling-attention",
        lines,
        x_label=PX,
        y_label="Attention matrices (% of multiply-adds)",
        caption="The quadratic term: the share of attention's matrices in a forward pass. At 50 % they "
        "outgrow all else; the table names the size.",
        alt="Share of attention's matrices against input size. " + _ends(lines, " %"),
        data=attending[[*COUNTED, "flops", "attention_matrices_flops", "attention_share"]],
        runs=attending["profile"],
        percent=True,
    )


def _ends(lines: list[Line], unit: str) -> str:
    parts = (
        f"{line.title}: {three_digits(line.y[0])}{unit} at {line.x[0]:g} px, "
        f"{three_digits(line.y[-1])}{unit} at {line.x[-1]:g} px"
        for line in lines
    )
    return "; ".join(parts) + "."


def _table(evidence: Evidence, counted: pd.DataFrame) -> Table:
    by_model = {model: rows.to_dict("records") for model, rows in counted.groupby("model")}
    ends = [(by_model[model][0], by_model[model][-1]) for model in evidence.in_order(by_model)]
    columns = (
        Column("Model", lambda row: evidence.model_title(row[0]["model"])),
        number("Smallest (px)", lambda row: count(row[0]["input_size"])),
        number("GMACs there", lambda row: decimal(row[0]["gmacs"], 3)),
        number("Largest (px)", lambda row: count(row[1]["input_size"])),
        number("GMACs at the largest", lambda row: decimal(row[1]["gmacs"], 3)),
        number(
            "Tokens there", lambda row: "no tokens" if pd.isna(row[1]["tokens"]) else count(row[1]["tokens"])
        ),
        number("Attention matrices there (%)", lambda row: _attention(row[1], "attention_share", percent)),
        number(
            "They outgrow the rest from (px)",
            lambda row: _attention(row[1], "attention_outgrows_rest_px", count),
        ),
    )
    caption = (
        "Cost over input sizes. The size at which attention's matrices outgrow the rest follows from the "
        "counts, which are exactly quadratic and linear in the tokens, and may lie beyond the sizes counted."
    )
    return Table.of("scaling", caption, columns, ends, runs=sorted(set(counted["profile"])))


def _attention(row: dict[str, Any], column: str, form: Callable[[float], str]) -> str:
    """A number of a network with attention."""
    if not row["attention_matrices_flops"] > 0:
        return "no attention"
    return NOT_MEASURED if pd.isna(row[column]) else form(row[column])


def _timed(evidence: Evidence, platform: Platform, what: str, headline: Headline) -> Figure | None:
    """Images/s or peak memory against the input size, where it was measured at several."""
    comparable = rows_over_sizes(platform, what, headline)
    if comparable is None:
        return None
    rows = trusted(comparable.rows)
    rows = rows[rows.groupby("model")["input_size"].transform("nunique") > 1]
    if rows.empty:
        return None
    column, unit, label, setting = "images_per_s", "images/s", "Throughput", comparable.setting
    if what == "memory":
        column, name = memory_column(platform)
        unit, label, setting = "MiB", "Peak memory", f"{setting}; {name}"
    rows = rows.sort_values(["model", "input_size"], kind="stable")
    lines = lines_over(evidence, rows, "input_size", column)
    return line_figure(
        f"scaling-{what}-{platform.key}",
        lines,
        x_label=PX,
        y_label=f"{label} ({unit})",
        caption=f"{label} against the size of the input on the {platform.name}: {setting}."
        + disturbed_sentence(rows)
        + withheld_sentence(comparable.rows, evidence.titles),
        alt=f"{label} ({unit}) against input size on the {platform.name}. " + _ends(lines, f" {unit}"),
        data=rows[["model", "device", "machine", "input_size", "batch_size", "precision", column]],
        runs=rows["profile"],
    )

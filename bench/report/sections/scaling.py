"""How cost, speed and memory grow with the input size, and where attention outgrows the rest."""

import pandas as pd

from bench.report.blocks import Block, Column, Field, Figure, Gallery, Prose, Section, Table, not_measured
from bench.report.evidence import Evidence
from bench.report.lines import Line, line_figure
from bench.report.measured import (
    Headline,
    Place,
    brief,
    marked,
    memory_column,
    missing_of,
    ordered,
    rows_over_sizes,
    trusted,
)
from bench.report.sections.unmeasured import unmeasured
from bench.report.text import NOT_MEASURED, count, decimal, percent

PX = "Input size (px)"


def scaling(evidence: Evidence) -> Section:
    """GMACs and attention's share against pixels, then what was timed at several sizes."""
    anchor, title = "scaling", "Cost against input size"
    table = evidence.measured["scaling"]
    if table.empty:
        return not_measured(
            anchor, title, "no cost was counted over input sizes for the models of this suite"
        )
    counted = table.drop_duplicates(["model", "classes", "input_size"]).sort_values(
        ["model", "classes", "input_size"], kind="stable"
    )
    # One head a model: the largest, since the head does not grow with the input.
    counted = counted[counted["classes"] == counted.groupby("model")["classes"].transform("max")]
    figures = [_gmacs(evidence, counted)]
    attending = counted[counted["attention_matrices_flops"] > 0]
    if not attending.empty:
        figures.append(_share(evidence, attending))
    blocks: list[Block] = [
        Prose(
            "Of one forward pass of one image. The products of activations with activations in attention "
            "grow with the square of the number of tokens, everything else in proportion to it."
        ),
        Gallery(tuple(figures)),
        _table(evidence, counted),
        *unmeasured(evidence, counted["model"], "at several input sizes"),
    ]
    timed = tuple(
        figure
        for place in evidence.places
        for headline in evidence.headlines[:1]
        for what in ("speed", "memory")
        if (figure := _timed(evidence, place, what, headline))
    )
    blocks.append(
        Gallery(timed)
        if timed
        else Prose("Speed and memory against input size: not measured at more than one size.")
    )
    return Section(anchor, title, tuple(blocks))


def _lines(evidence: Evidence, rows: pd.DataFrame, column: str) -> list[Line]:
    by_model = {model: group for model, group in rows.groupby("model")}
    return [
        Line(
            evidence.titles[model],
            evidence.model_looks[model],
            [float(size) for size in by_model[model]["input_size"]],
            [float(value) for value in by_model[model][column]],
        )
        for model in ordered(by_model, list(evidence.model_looks))
    ]


def _gmacs(evidence: Evidence, counted: pd.DataFrame) -> Figure:
    lines = _lines(evidence, counted, "gmacs")
    return line_figure(
        "scaling-gmacs",
        lines,
        x_label=PX,
        y_label="GMACs",
        caption="Multiply-adds of a forward pass against the size of a square input.",
        alt="GMACs against input size. " + _ends(lines, " GMACs"),
        data=counted[["model", "classes", "input_size", "tokens", "flops", "gmacs", "counter"]],
        runs=counted["profile"],
    )


def _share(evidence: Evidence, attending: pd.DataFrame) -> Figure:
    shown = attending.assign(share=100 * attending["attention_share"])
    lines = _lines(evidence, shown, "share")
    return line_figure(
        "scaling-attention",
        lines,
        x_label=PX,
        y_label="Attention matrices (% of multiply-adds)",
        caption="The quadratic term: the share of attention's matrices in a forward pass. At 50 % they "
        "outgrow all else; the table names the size.",
        alt="Share of attention's matrices against input size. " + _ends(lines, " %"),
        data=attending[
            [
                "model",
                "classes",
                "input_size",
                "tokens",
                "flops",
                "attention_matrices_flops",
                "attention_share",
            ]
        ],
        runs=attending["profile"],
        percent=True,
    )


def _ends(lines: list[Line], unit: str) -> str:
    parts = (
        f"{line.title}: {brief(line.y[0])}{unit} at {line.x[0]:g} px, "
        f"{brief(line.y[-1])}{unit} at {line.x[-1]:g} px"
        for line in lines
    )
    return "; ".join(parts) + "."


def _table(evidence: Evidence, counted: pd.DataFrame) -> Table:
    columns = (
        Column("Model"),
        Column("Smallest (px)", numeric=True),
        Column("GMACs there", numeric=True),
        Column("Largest (px)", numeric=True),
        Column("GMACs at the largest", numeric=True),
        Column("Tokens there", numeric=True),
        Column("Attention matrices there (%)", numeric=True),
        Column("They outgrow the rest from (px)", numeric=True),
    )
    by_model = {model: rows.to_dict("records") for model, rows in counted.groupby("model")}
    rows = []
    for model in ordered(by_model, list(evidence.model_looks)):
        first, last = by_model[model][0], by_model[model][-1]
        attends, outgrows = last["attention_matrices_flops"] > 0, last["attention_outgrows_rest_px"]
        rows.append(
            (
                Field(evidence.titles[model], look=evidence.model_looks[model]),
                Field(count(first["input_size"])),
                Field(decimal(first["gmacs"], 3)),
                Field(count(last["input_size"])),
                Field(decimal(last["gmacs"], 3)),
                Field("no tokens" if pd.isna(last["tokens"]) else count(last["tokens"])),
                Field(percent(last["attention_share"]) if attends else "no attention"),
                Field(
                    "no attention" if not attends else NOT_MEASURED if pd.isna(outgrows) else count(outgrows)
                ),
            )
        )
    caption = (
        "Cost over input sizes. The size at which attention's matrices outgrow the rest follows from the "
        "counts, which are exactly quadratic and linear in the tokens, and may lie beyond the sizes counted."
    )
    return Table("scaling", caption, columns, tuple(rows), runs=tuple(sorted(set(counted["profile"]))))


def _timed(evidence: Evidence, place: Place, what: str, headline: Headline) -> Figure | None:
    """Images/s or peak memory against the input size, where it was measured at several."""
    column, words = ("images_per_s", "images/s") if what == "speed" else memory_column(place)
    found = rows_over_sizes(place, what, headline)
    if found is None:
        return None
    rows = trusted(found.rows)
    rows = rows[rows.groupby("model")["input_size"].transform("nunique") > 1]
    if rows.empty:
        return None
    lines = _lines(evidence, rows.sort_values(["model", "input_size"], kind="stable"), column)
    unit = "images/s" if what == "speed" else "MiB"
    label = "Throughput (images/s)" if what == "speed" else "Peak memory (MiB)"
    return line_figure(
        f"scaling-{what}-{place.key}",
        lines,
        x_label=PX,
        y_label=label,
        caption=f"{label.split(' (')[0]} against the size of the input on the {place.name}: {found.words}"
        + (f"; {words}." if what == "memory" else ".")
        + marked(rows)
        + missing_of(found.rows, evidence.titles),
        alt=f"{label} against input size on the {place.name}. " + _ends(lines, f" {unit}"),
        data=rows[["model", "device", "machine", "input_size", "batch_size", "precision", column]],
        runs=rows["profile"],
    )

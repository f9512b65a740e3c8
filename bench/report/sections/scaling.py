"""How cost, speed and memory grow with the input size, and where attention outgrows the rest."""

import pandas as pd

from bench.report.blocks import Figure, Gallery, Section
from bench.report.evidence import Evidence
from bench.report.lines import Line, line_figure
from bench.report.measured import Headline, Platform, memory_column, rows_over_sizes, trusted
from bench.report.row_text import disturbed_sentence, three_digits, withheld_sentence
from bench.report.sections.measurements import lines_over
from bench.report.text import count

PX = "Input size (px)"
COUNTED = ["model", "classes", "input_size", "tokens"]


def scaling(evidence: Evidence) -> Section:
    """GMACs and attention's share against pixels, then what was timed at several sizes."""
    anchor, title = "scaling", "Cost against input size"
    table = evidence.measured["scaling"]
    if table.empty:
        return Section.not_measured(anchor, title)
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
        timed,
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
        caption="The share of attention's matrices in the multiply-adds of a forward pass. They reach half "
        f"of them at {_half(attending)}.",
        alt="Share of attention's matrices against input size. " + _ends(lines, " %"),
        data=attending[[*COUNTED, "flops", "attention_matrices_flops", "attention_share"]],
        runs=attending["profile"],
        percent=True,
    )


def _half(attending: pd.DataFrame) -> str:
    """The input size from which attention's matrices are more than half; it follows from the counts, which
    are exactly quadratic and linear in the tokens, and may lie beyond the sizes counted."""
    sizes = attending["attention_outgrows_rest_px"].dropna().unique()
    return f"{' to '.join(dict.fromkeys(count(size) for size in (min(sizes), max(sizes))))} px"


def _ends(lines: list[Line], unit: str) -> str:
    parts = (
        f"{line.title}: {three_digits(line.y[0])}{unit} at {line.x[0]:g} px, "
        f"{three_digits(line.y[-1])}{unit} at {line.x[-1]:g} px"
        for line in lines
    )
    return "; ".join(parts) + "."


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

"""How cost, speed and memory grow with batch and input size, and where attention outgrows the rest."""

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from bench.report.blocks import Figure, Gallery, Section
from bench.report.evidence import Evidence
from bench.report.lines import Line, line_chart
from bench.report.measured import ComparableRows, Platform, headline_rows, quantities, trusted
from bench.report.row_text import disturbed_sentence, three_digits, withheld_sentence
from bench.report.text import count, span
from bench.store.records.listing import HeadlineEntry

FIGURES = {
    "speed": ("throughput", "Throughput (images/s)", ["outcome", "unstable", "busy"]),
    "memory": ("memory", "Peak memory (MiB)", ["outcome", "largest_batch"]),
}
"""By table: the name of its figure over batch sizes, the label of y, and what else its data has."""
SIZES = {"input_size": ("Input size", "px"), "batch_size": ("Batch size", "images")}
SETTING = ["model", "mode", "device", "machine", "precision", "memory_format", "allocator", "compiled"]
SETTING += ["batch_size", "input_size"]
COUNTED = ["model", "classes", "input_size", "tokens"]


def scaling(evidence: Evidence) -> Section:
    """GMACs and attention's share against pixels, then what was timed at several sizes."""
    anchor, title = "scaling", "Cost against input size"
    table = evidence.measured["scaling"]
    if table.empty:
        return Section.of(anchor, title)
    counted = table.drop_duplicates(["model", "classes", "input_size"]).sort_values(
        ["model", "classes", "input_size"], kind="stable"
    )
    # One head a model: the largest, since the head does not grow with the input.
    counted = counted[counted["classes"] == counted.groupby("model")["classes"].transform("max")]
    return Section.of(
        anchor,
        title,
        "Of one forward pass of one image. The products of activations with activations in attention grow "
        "with the square of the number of tokens, everything else in proportion to the number of tokens, or "
        "of pixels in a CNN.",
        Gallery.of(_counted(evidence, counted)),
        Gallery.of(figure for platform in evidence.platforms for figure in _over_sizes(evidence, platform)),
    )


def _counted(evidence: Evidence, counted: pd.DataFrame) -> Iterator[Figure]:
    """GMACs, and the share of attention's matrices in them, of models that have any."""
    yield _figure(
        "scaling-gmacs",
        "input_size",
        "GMACs",
        lines_over(evidence, counted, "input_size", "gmacs"),
        "Multiply-adds of a forward pass against the size of a square input.",
        counted[[*COUNTED, "flops", "gmacs", "counter", "profile"]],
    )
    attending = counted[counted["attention_matrices_flops"] > 0]
    if attending.empty:
        return
    # From which size they are more than half: it follows from the counts, which are exactly quadratic and
    # linear in the tokens, and may lie beyond the sizes counted.
    sizes = span(attending["attention_outgrows_rest_px"], count)
    shares = attending.assign(share=100 * attending["attention_share"])
    yield _figure(
        "scaling-attention",
        "input_size",
        "Share of multiply-adds (%)",
        lines_over(evidence, shares, "input_size", "share"),
        "The share of attention's matrices in the multiply-adds of a forward pass. They reach half of them "
        f"at {sizes} px.",
        attending[[*COUNTED, "flops", "attention_matrices_flops", "attention_share", "profile"]],
        log_y=False,
    )


def _over_sizes(evidence: Evidence, platform: Platform) -> Iterator[Figure]:
    """Images/s and peak memory against the input size, of the models that were measured at several."""
    for table in FIGURES:
        headline = evidence.headlines[0]
        batch = headline.scaling_batch_size or min(headline.batch_sizes)
        comparable = headline_rows(platform, table, headline, batch_sizes=[batch], any_input=True)
        if comparable is None:
            continue
        done = trusted(comparable.rows, busy=True)
        alone = done.groupby("model")["input_size"].transform("nunique") < 2
        rows = comparable.rows[~comparable.rows["profile"].isin(done.loc[alone, "profile"])]
        if len(trusted(rows, busy=True)):
            name, several = f"scaling-{table}-{platform.key}", replace(comparable, rows=rows)
            yield _timed(evidence, platform, table, "input_size", name, several)


def over_batches(
    evidence: Evidence, platform: Platform, table: str, headline: HeadlineEntry, comparable: ComparableRows
) -> Figure | None:
    """What models are compared by, against the batch size; None where it was measured at one batch only."""
    if trusted(comparable.rows, busy=True)["batch_size"].nunique() < 2:
        return None
    several = len({one.input_size for one in evidence.headlines}) > 1
    name = f"{FIGURES[table][0]}-{headline.mode}-{platform.key}"
    name += f"-{headline.input_size}px" if several else ""
    return _timed(evidence, platform, table, "batch_size", name, comparable)


def _timed(
    evidence: Evidence, platform: Platform, table: str, x: str, name: str, comparable: ComparableRows
) -> Figure:
    """What models are compared by, against the input or batch size."""
    rows, done = comparable.rows, trusted(comparable.rows, busy=True)
    quantity = quantities(platform)[table]
    column = quantity.column
    _, label, more = FIGURES[table]
    lines = lines_over(evidence, done, x, column, rows[rows["outcome"] == "out_of_memory"])
    what, against = label.partition(" (")[0], SIZES[x][0].lower()
    setting = "; ".join(filter(None, [comparable.setting, quantity.which]))
    caption = f"{what} against {against} on the {platform.name}: {setting}."
    if any(line.low for line in lines):
        caption += " Vertical lines: 95 % intervals over processes."
    if any(line.failed for line in lines):
        caption += f" A cross marks the first {against} that ran out of memory."
    without_number = (rows["outcome"] == "measured") & ~rows["profile"].isin(done["profile"])
    ends = [f"{column}_{end}" for end in ("low", "high") if f"{column}_{end}" in rows]
    return _figure(
        name,
        x,
        label,
        lines,
        caption + disturbed_sentence(done) + withheld_sentence(rows, evidence.titles),
        rows.loc[~without_number, [*SETTING, column, *ends, *more, "profile"]],
    )


def _figure(
    name: str, x: str, label: str, lines: list[Line], caption: str, data: pd.DataFrame, log_y: bool = True
) -> Figure:
    """A quantity over a size; the column `profile` of the data says what is behind it."""
    words, unit = SIZES[x]
    ends = "; ".join(f"{line.title}: {_ends(line, unit)}" for line in lines)
    return Figure(
        line_chart(lines, f"{words} ({unit})", label, log_y=log_y, from_0=not log_y),
        name,
        caption=caption,
        alt=f"{label} against {words.lower()}. {ends}.",
        data=data.drop(columns="profile"),
        runs=sorted(data["profile"]),
    )


def _ends(line: Line, unit: str) -> str:
    """The first and the last point of a line in words, or its one point."""
    first = f"{three_digits(line.y[0])} at {line.x[0]:g} {unit.removesuffix('s') if line.x[0] == 1 else unit}"
    return first + (f", {three_digits(line.y[-1])} at {line.x[-1]:g}" if len(line.x) > 1 else "")


def lines_over(
    evidence: Evidence, rows: pd.DataFrame, x: str, y: str, failed: pd.DataFrame | None = None
) -> list[Line]:
    """One line a model, of one column over another, with the ends of intervals where there are columns of
    them.

    Args:
        failed: rows that ran out of memory, of which the first beyond the line's end is marked.
    """
    lines = []
    for model in evidence.in_order(rows["model"]):
        own = rows[rows["model"] == model]
        low, high = (list(own.get(f"{y}_{end}", ())) for end in ("low", "high"))
        lost = [] if failed is None else failed.loc[failed["model"] == model, x].astype(float).to_list()
        beyond = sorted(value for value in lost if value > own[x].max())[:1]
        xs, ys = (own[name].astype(float).to_list() for name in (x, y))
        lines.append(
            Line(evidence.titles[model], evidence.model_styles[model], xs, ys, low, high, failed=beyond)
        )
    return lines

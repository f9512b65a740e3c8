"""What was timed and weighed, machine by machine: every row of the tables speed, memory and end_to_end.

Each of the three is a `Kind`: its columns, and the figure of one of them against the batch size.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.report.bars import bar_title, shares_sentence, stacked_bars
from bench.report.blocks import Column, Content, Field, Figure, Flow, Gallery, Heading, Section, Table, number
from bench.report.evidence import Evidence
from bench.report.lines import Line, line_figure
from bench.report.measured import (
    ComparableRows,
    Headline,
    Platform,
    headline_rows,
    memory_column,
    other_rows,
    trusted,
)
from bench.report.row_text import (
    MODES,
    WITHHELD,
    describe_execution,
    disturbed_sentence,
    rate,
    row_notes,
    three_digits,
    withheld,
    withheld_sentence,
)
from bench.report.text import NOT_MEASURED, count, decimal, listed, percent

Row = dict[str, Any]
STAGES = {"decode": "decoding", "transform": "transform", "model": "model"}
PATHS = {"jpeg": "JPEG files, decoded each time", "cache": "the decoded cache"}
ORDER = ["input_size", "precision", "memory_format", "batch_size", "profile"]
SHOWN = ["model", "mode", "device", "machine", "precision", "memory_format", "allocator", "compiled"]
"""What the data of a figure says of each row besides the numbers."""
SAME = (
    "model",
    "precision",
    "memory_format",
    "compiled",
    "allocator",
    "cudnn_benchmark",
    "batch_size",
    "input_size",
    "classes",
)
"""What rows of the tables speed and end_to_end have in common if they are of the same setting."""


@dataclass(frozen=True)
class Kind:
    """One of the tables, as a section shows it.

    Attributes:
        columns: those of its numbers, on a platform.
        figures: those of a platform, for rows in a setting in which models are compared.
        before, after: more of a platform, before its figures and after its table.
    """

    table: str
    anchor: str
    title: str
    text: str
    columns: Callable[[Platform], list[Column]]
    figures: Callable[[Evidence, Platform, Headline, ComparableRows], Figure | None]
    before: Callable[[Platform], Flow] = lambda platform: None
    after: Callable[[Platform], Flow] = lambda platform: None


def speed(evidence: Evidence) -> Section:
    """Throughput and latency."""
    return _section(evidence, SPEED)


def memory(evidence: Evidence) -> Section:
    """Peak memory."""
    return _section(evidence, MEMORY)


def end_to_end(evidence: Evidence) -> Section:
    """The shares of decoding, transform and model from a JPEG to a label, and the rate of loading alone."""
    return _section(evidence, END_TO_END)


def _section(evidence: Evidence, kind: Kind) -> Section:
    parts = [
        _on_platform(evidence, platform, kind)
        for platform in evidence.platforms
        if len(platform.tables[kind.table]) or (kind is END_TO_END and len(platform.tables["loading"]))
    ]
    if not parts:
        return Section.not_measured(kind.anchor, kind.title)
    return Section.of(kind.anchor, kind.title, kind.text, parts)


def _on_platform(evidence: Evidence, platform: Platform, kind: Kind) -> Iterator[Flow]:
    pairs = [(one, headline_rows(platform, kind.table, one)) for one in evidence.headlines]
    compared = [(headline, rows) for headline, rows in pairs if rows]
    yield Heading(platform.name)
    yield kind.before(platform)
    yield Gallery.of(kind.figures(evidence, platform, *one) for one in compared)
    yield _table(evidence, platform, kind, compared)
    yield kind.after(platform)


def _table(
    evidence: Evidence, platform: Platform, kind: Kind, compared: list[tuple[Headline, ComparableRows]]
) -> Table | None:
    """All rows of a platform: those in which models are compared, as trained, then all others."""
    others = other_rows(platform, kind.table, evidence.headlines)
    parts = [rows.rows.assign(row="as trained") for _, rows in compared]
    if len(others):
        best = others.get("best", pd.Series(False, others.index)).fillna(value=False).astype(bool)
        parts.append(others.assign(row=best.map({True: "best", False: "other"})))
    if not parts:
        return None
    rows = pd.concat(parts, ignore_index=True)
    order = {model: k for k, model in enumerate(evidence.in_order(rows["model"]))}
    rows = rows.assign(first=rows["row"] != "as trained", drawn=rows["model"].map(order))
    by = ["first", *(["mode"] if "mode" in rows else []), "drawn", *ORDER]
    settings = "; ".join(one.setting for _, one in compared) or "not measured as trained"
    return Table.of(
        f"{kind.anchor}-{platform.key}",
        f"{kind.title} on the {platform.name}. As trained: {settings}. A best row is the fastest setting of "
        "a model, measured again after it was chosen; models are compared as trained alone.",
        [
            Column("Model", lambda row: evidence.model_title(row["model"])),
            *([Column("Mode", lambda row: MODES[row["mode"]])] if "mode" in rows else []),
            Column("Row", lambda row: row["row"]),
            Column("Setting", _setting, under="Model"),
            Column("Notes", lambda row: Field(notes=_notes(platform, kind, row)), under="Model"),
            number("Batch", lambda row: count(row["batch_size"])),
            *kind.columns(platform),
        ],
        rows.sort_values(by, kind="stable").to_dict("records"),
        group_by=lambda row: (row["row"], row.get("mode"), row["model"]),
        runs=lambda row: (row["profile"],),
    )


def _setting(row: Row) -> str:
    """In what setting a row was measured, besides its mode and batch."""
    return f"{describe_execution(row)}, {int(row['input_size'])} px, {count(row['classes'])} classes"


def _notes(platform: Platform, kind: Kind, row: Row) -> tuple[str, ...]:
    return (*row_notes(row), *(contradicted(platform, row) if kind is END_TO_END else ()))


def contradicted(platform: Platform, row: Row) -> tuple[str, ...]:
    """A note where the speed table has the very same setting, without images being made, at a lower rate than
    from JPEG to label: one of the two measurements was disturbed."""
    timed = platform.speed
    same = (timed["mode"] == "infer") & (timed["outcome"] == "measured")
    for name in SAME:
        same &= timed[name].isna() if pd.isna(row[name]) else timed[name] == row[name]
    rows = timed[same.fillna(value=False).astype(bool)].sort_values(["finished", "profile"], kind="stable")
    if rows.empty or pd.isna(row["images_per_s"]) or rows["images_per_s"].iloc[-1] >= row["images_per_s"]:
        return ()
    return (
        "its row in the speed table is slower than the way from JPEG to label: one of them was disturbed",
    )


def _shown(title: str, content: Callable[[Row], Content], otherwise: str = "none") -> Column:
    """A column of numbers that are not shown where a row is withheld."""
    return number(title, lambda row: otherwise if withheld(row) else content(row))


def _span(row: Row, name: str, form: Callable[[float], str]) -> str:
    low, high = name.format("low", "q1"), name.format("high", "q3")
    return "none" if pd.isna(row[low]) or pd.isna(row[high]) else f"{form(row[low])} to {form(row[high])}"


def _ms(value: float) -> str:
    if pd.isna(value):
        return NOT_MEASURED
    return decimal(value, 2 if value < 10 else 1) if value < 100 else count(round(value))


def _mib(value: float | None) -> str:
    return NOT_MEASURED if value is None or pd.isna(value) else count(round(value))


def _speed_columns(platform: Platform) -> list[Column]:
    columns = [
        _shown("Images/s", lambda row: rate(row["images_per_s"]), WITHHELD),
        _shown("95 % interval (images/s)", lambda row: _span(row, "images_per_s_{0}", rate)),
        _shown("Median latency of a step (ms)", lambda row: _ms(row["latency_ms_median"])),
        _shown("Interquartile range (ms)", lambda row: _span(row, "latency_ms_{1}", _ms)),
        _shown("Matmul peak reached (%)", lambda row: percent(row["fraction_of_matmul_peak"])),
    ]
    if platform.speed.get("energy_j_per_image", pd.Series(dtype=float)).notna().any():
        columns.append(_shown("Energy (J/image)", _energy))
    return columns


def _energy(row: Row) -> Field:
    gross, net, windows = (
        row.get(name) for name in ("energy_j_per_image", "energy_net_j_per_image", "energy_windows")
    )
    if gross is None or pd.isna(gross):
        return Field(NOT_MEASURED)
    notes = [] if net is None or pd.isna(net) else [f"net {net:.3g}"]
    if windows is not None and not pd.isna(windows):
        notes.append(f"over {count(windows)} windows")
    return Field(f"{gross:.3g}", notes=tuple(notes))


def _limits(platform: Platform) -> str:
    """The measured peaks of the machine, and what its energy is that of."""
    rows = platform.speed
    peaks = rows.dropna(subset=["matmul_peak_flops_per_s"]).groupby("precision")["matmul_peak_flops_per_s"]
    parts = [f"{_ends(own / 1e9)} GFLOP/s in {precision}" for precision, own in peaks]
    bandwidth = rows.get("memory_bandwidth_bytes_per_s", pd.Series(dtype=float)).dropna() / 1e9
    text = f"Matrix products alone reach {listed(parts) or NOT_MEASURED}; memory bandwidth: "
    text += f"{_ends(bandwidth)} GB/s." if len(bandwidth) else f"{NOT_MEASURED}."
    scopes = rows.get("energy_scope", pd.Series(dtype=str)).dropna()
    return f"{text} Energy is that of the {listed(sorted(set(scopes)))}, gross." if len(scopes) else text


def _ends(values: pd.Series) -> str:
    return " to ".join(dict.fromkeys(map(three_digits, (values.min(), values.max()))))


def _throughput(evidence: Evidence, platform: Platform, one: Headline, rows: ComparableRows) -> Figure | None:
    data = ["images_per_s", "images_per_s_low", "images_per_s_high", "outcome", "unstable", "busy"]
    return _over_batches(evidence, platform, one, rows, "throughput", "Throughput (images/s)", data)


def _memory_columns(platform: Platform) -> list[Column]:
    peaks = {"peak_rss_mib": "resident"}
    if platform.kind == "GPU":
        peaks = {"peak_allocated_mib": "allocated", "peak_reserved_mib": "reserved"}
    return [
        *(_peak(f"Peak {name} (MiB)", column) for column, name in peaks.items()),
        number("Largest batch that fits", lambda row: _mib(row["largest_batch"])),
    ]


def _peak(title: str, column: str) -> Column:
    return number(title, lambda row: _mib(row[column]))


def _peaks(evidence: Evidence, platform: Platform, one: Headline, rows: ComparableRows) -> Figure | None:
    column, name = memory_column(platform)
    label = f"{name[0].upper()}{name[1:]} (MiB)"
    return _over_batches(
        evidence,
        platform,
        one,
        rows,
        "memory",
        label,
        [column, "outcome", "largest_batch"],
        "Peak memory (MiB)",
    )


def _over_batches(
    evidence: Evidence,
    platform: Platform,
    headline: Headline,
    comparable: ComparableRows,
    name: str,
    label: str,
    data: Sequence[str],
    y_label: str = "",
) -> Figure | None:
    """The first column of the data against the batch size; None where it was measured at one batch only."""
    rows, done = comparable.rows, trusted(comparable.rows)
    if done["batch_size"].nunique() < 2:
        return None
    failed = rows[rows["outcome"] == "out_of_memory"]
    lines = lines_over(evidence, done, "batch_size", data[0], failed=failed, intervals=True)
    quantity, unit = label.removesuffix(")").split(" (")
    ends = "; ".join(
        f"{line.title}: {three_digits(line.y[0])} {unit} at batch {line.x[0]:g}, "
        f"{three_digits(line.y[-1])} at {line.x[-1]:g}"
        for line in lines
    )
    caption = f"{quantity} against batch size on the {platform.name}: {comparable.setting}."
    if any(line.low for line in lines):
        caption += " Vertical lines: 95 % intervals over processes."
    if any(line.failed for line in lines):
        caption += " A cross marks the first batch that ran out of memory."
    several = len({one.input_size for one in evidence.headlines}) > 1
    without_number = (rows["outcome"] == "measured") & ~rows["profile"].isin(done["profile"])
    return line_figure(
        f"{name}-{headline.mode}-{platform.key}" + (f"-{headline.input_size}px" if several else ""),
        lines,
        x_label="Batch size (images)",
        y_label=y_label or label,
        caption=caption + disturbed_sentence(done) + withheld_sentence(rows, evidence.titles),
        alt=f"{quantity} ({MODES[headline.mode]}) against batch size on the {platform.name}. {ends}.",
        data=rows[~without_number][[*SHOWN, "batch_size", "input_size", *data]],
        runs=rows["profile"],
    )


def lines_over(
    evidence: Evidence,
    rows: pd.DataFrame,
    x: str,
    y: str,
    *,
    failed: pd.DataFrame | None = None,
    intervals: bool = False,
) -> list[Line]:
    """One line a model, of one column over another.

    Args:
        failed: rows that ran out of memory, of which the first beyond the line's end is marked.
        intervals: whether to draw the ends of intervals, where there are columns of them.
    """
    lines = []
    for model in evidence.in_order(rows["model"]):
        own = rows[rows["model"] == model]
        low, high = (
            list(own[f"{y}_{end}"]) if intervals and f"{y}_{end}" in own else [] for end in ("low", "high")
        )
        beyond = []
        if failed is not None:
            beyond = list(failed.loc[(failed["model"] == model) & (failed[x] > own[x].max()), x])
        xs, ys = ([float(value) for value in own[name]] for name in (x, y))
        first_failed = [float(min(beyond))] if beyond else []
        style = evidence.model_styles[model]
        lines.append(Line(evidence.titles[model], style, xs, ys, low, high, first_failed))
    return lines


def _stage_columns(platform: Platform) -> list[Column]:
    return [
        _shown("JPEG to label (images/s)", lambda row: rate(row["images_per_s"]), WITHHELD),
        _shown("Model alone (images/s)", lambda row: rate(row["model_images_per_s"])),
        _shown("Median latency of a step (ms)", lambda row: _ms(row["latency_ms_median"])),
        *(_stage(stage, name) for stage, name in STAGES.items()),
    ]


def _stage(stage: str, name: str) -> Column:
    return _shown(
        f"{name.capitalize()} (ms)",
        lambda row: (decimal(row[f"{stage}_ms"], 2), f"{percent(row[f'{stage}_share'])} %"),
    )


def _stages(
    evidence: Evidence, platform: Platform, headline: Headline, comparable: ComparableRows
) -> Figure | None:
    done = trusted(comparable.rows)
    if done.empty:
        return None
    order = {model: k for k, model in enumerate(evidence.in_order(done["model"]))}
    ordered = done.assign(drawn=done["model"].map(order)).sort_values(["drawn", "batch_size"], kind="stable")
    rows = ordered.to_dict("records")
    several = done["batch_size"].nunique() > 1
    models = [evidence.titles[row["model"]] for row in rows]
    batches = [f", batch {count(row['batch_size'])}" if several else "" for row in rows]
    titles = [model + batch for model, batch in zip(models, batches, strict=True)]
    shares = {name: [100 * row[f"{stage}_share"] for row in rows] for stage, name in STAGES.items()}
    kept = ["model", "device", "machine", "precision", "batch_size", "input_size", "images_per_s"]
    kept += [f"{stage}_{unit}" for stage in STAGES for unit in ("ms", "share")]
    sizes = sorted(set(done.get("jpeg_px", pd.Series(dtype=str)).dropna().astype(str)))
    several_sizes = len({one.input_size for one in evidence.headlines}) > 1
    return stacked_bars(
        f"stages-{platform.key}" + (f"-{headline.input_size}px" if several_sizes else ""),
        [bar_title(model, batch) for model, batch in zip(models, batches, strict=True)],
        shares,
        x_label="Share of the time from JPEG to label (%)",
        caption=f"Where the time goes from JPEG to label on the {platform.name}: {comparable.setting}; at "
        "the end of each bar, the throughput."
        + (f" JPEGs of {', '.join(sizes).replace('x', ' × ')} px." if sizes else "")
        + disturbed_sentence(done)
        + withheld_sentence(comparable.rows, evidence.titles),
        alt=f"Shares of the time from JPEG to label on the {platform.name}. "
        f"{shares_sentence(titles, shares)}.",
        data=pd.DataFrame(rows)[kept],
        runs=[row["profile"] for row in rows],
        at_ends=[f"{rate(row['images_per_s'])} images/s" for row in rows],
    )


def _loading(platform: Platform) -> Table | None:
    loading = platform.tables["loading"]
    if loading.empty:
        return None
    columns = (
        Column("Data path", lambda row: PATHS.get(row["path"], row["path"])),
        Column("Notes", lambda row: Field(notes=row_notes(row)), under="Data path"),
        number("Input (px)", lambda row: count(row["input_size"])),
        number("Batch", lambda row: count(row["batch_size"])),
        number("Images/s", lambda row: rate(row["images_per_s"])),
    )
    rows = loading.sort_values(["path", "input_size", "batch_size"], kind="stable").to_dict("records")
    caption = f"The data path alone on the {platform.name}, without a model."
    return Table.of(f"loading-{platform.key}", caption, columns, rows, runs=loading.get("profile", ()))


SPEED = Kind(
    "speed",
    "speed",
    "Speed",
    "Models are compared as they are trained here: each in its own memory layout (CNNs in channels last, "
    "transformers contiguous), on a CPU with freed memory kept for the next step, on a GPU with cuDNN "
    "looking for its fastest algorithm; a training step clips gradients and updates the weights, without "
    "augmentation. Every row is made of several fresh processes in interleaved order; the process is the "
    "unit of its 95 % interval. A row is unstable if this interval is wider than 5 % either way, or an "
    "earlier measurement of the same is more than 5 % away. As trained, it then gets up to four times the "
    "processes, and if it stays so its number is withheld. Latency is that of one step on a whole batch; "
    "median and interquartile range are over all steps. The fraction of the matmul peak is the rate of "
    "multiply-adds over the best that the same machine reached with matrix products in the same precision "
    "and run.",
    _speed_columns,
    _throughput,
    before=_limits,
)
MEMORY = Kind(
    "memory",
    "memory",
    "Memory",
    "Peaks over a few steps in a fresh process in which nothing is timed. On a GPU: what PyTorch's "
    "allocator handed out (allocated) and held (reserved). On the CPU: the resident set at its highest, "
    "less what the process held before there was a network; freed memory is kept for the next step as in "
    "training, which takes somewhat more.",
    _memory_columns,
    _peaks,
)
END_TO_END = Kind(
    "end_to_end",
    "end-to-end",
    "From JPEG to label",
    "What a deployed service sees: a JPEG is decoded, resized and cropped, and classified. The model "
    "alone is the rate of the model's phase in the same steps.",
    _stage_columns,
    _stages,
    after=_loading,
)

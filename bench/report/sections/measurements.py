"""What was timed and weighed, machine by machine: every row of the tables speed, memory and end_to_end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from bench.report.blocks import Column, Content, Field, Flow, Gallery, Heading, Section, Table, number
from bench.report.evidence import Evidence
from bench.report.measured import ComparableRows, Platform, headline_rows, other_rows
from bench.report.row_text import (
    MODES,
    UNSTABLE,
    WITHHELD,
    describe_execution,
    rate,
    row_notes,
    three_digits,
    withheld,
)
from bench.report.sections.scaling import over_batches
from bench.report.text import NOT_MEASURED, count, decimal, listed, percent, span
from bench.runtimes import TORCH

Row = dict[str, Any]
PATHS = {"jpeg": "JPEG files, decoded each time", "cache": "the decoded cache"}
ORDER = ["input_size", "precision", "memory_format", "batch_size", "profile"]
SETTING = ["model", "precision", "memory_format", "compiled", "allocator"]
SAME = [*SETTING, "cudnn_benchmark", "batch_size", "input_size", "classes"]
"""What rows of the tables speed and end_to_end have in common if they are of the same setting."""


@dataclass(frozen=True)
class Kind:
    """One of the tables, as a section shows it: the columns of its numbers on a platform, and what is said
    below it."""

    table: str
    title: str
    text: str
    columns: Callable[[Platform], list[Column]]
    below: Callable[[Platform], Flow] = lambda platform: None

    @property
    def anchor(self) -> str:
        """Its address on the page, and the beginning of the name of its tables."""
        return self.table.replace("_", "-")


def _section(kind: Kind, evidence: Evidence) -> Section:
    tables = [kind.table, *(["loading"] if kind is END_TO_END else [])]
    measured = [one for one in evidence.platforms if any(len(one.tables[name]) for name in tables)]
    if not measured:
        return Section.of(kind.anchor, kind.title)
    parts = (_on_platform(evidence, platform, kind) for platform in measured)
    return Section.of(kind.anchor, kind.title, kind.text, parts)


def _on_platform(evidence: Evidence, platform: Platform, kind: Kind) -> Iterator[Flow]:
    pairs = [(one, headline_rows(platform, kind.table, one)) for one in evidence.headlines]
    compared = [(headline, rows) for headline, rows in pairs if rows]
    yield Heading(platform.name)
    if kind is not END_TO_END:
        yield Gallery.of(over_batches(evidence, platform, kind.table, *one) for one in compared)
    yield _table(evidence, platform, kind, [rows for _, rows in compared])
    yield kind.below(platform)


def _table(
    evidence: Evidence, platform: Platform, kind: Kind, compared: list[ComparableRows]
) -> Table | None:
    """All rows of a platform: those in which models are compared, as trained, then all others."""
    others = other_rows(platform, kind.table, evidence.headlines)
    parts = [one.rows.assign(row="as trained") for one in compared]
    if len(others):
        best = others.get("best", pd.Series(False, others.index)).fillna(value=False).astype(bool)
        parts.append(others.assign(row=best.map({True: "best", False: "other"})))
    if not parts:
        return None
    rows = pd.concat(parts, ignore_index=True)
    order = {model: k for k, model in enumerate(evidence.in_order(rows["model"]))}
    rows = rows.assign(first=rows["row"] != "as trained", drawn=rows["model"].map(order))
    modes = ["mode"] if "mode" in rows else []

    def notes(row: Row) -> Field:
        return Field(notes=(*row_notes(row), *(contradicted(platform, row) if kind is END_TO_END else ())))

    settings = "; ".join(one.setting for one in compared) or "none of this suite's settings"
    return Table.of(
        f"{kind.anchor}-{platform.key}",
        f"{kind.title} on the {platform.name}. As trained: {settings}. A best row is the fastest setting of "
        "a model, measured again after it was chosen; models are compared as trained alone.",
        [
            Column("Model", lambda row: evidence.model_title(row["model"])),
            *(Column("Mode", lambda row: MODES[row["mode"]]) for _ in modes),
            Column("Row", lambda row: row["row"]),
            Column("Setting", _setting, under="Model"),
            Column("Notes", notes, under="Model"),
            number("Batch", lambda row: count(row["batch_size"])),
            *kind.columns(platform),
        ],
        rows.sort_values(["first", *modes, "drawn", *ORDER], kind="stable").to_dict("records"),
        group_by=lambda row: (row["row"], row.get("mode"), row["model"]),
        runs=lambda row: (row["profile"],),
    )


def _setting(row: Row) -> str:
    """In what setting a row was measured, besides its mode and batch."""
    return f"{describe_execution(row)}, {int(row['input_size'])} px, {count(row['classes'])} classes"


def contradicted(platform: Platform, row: Row) -> tuple[str, ...]:
    """A note where the speed table has the very same setting, without images being made, at a lower rate than
    from JPEG to label: one of the two measurements was disturbed."""
    timed = platform.speed
    same = (timed["mode"] == "infer") & (timed["outcome"] == "measured") & (timed["runtime"] == TORCH)
    for name in SAME:
        same &= timed[name].isna() if pd.isna(row[name]) else timed[name] == row[name]
    rows = timed[same.fillna(value=False).astype(bool)].sort_values(["finished", "profile"], kind="stable")
    if rows.empty or pd.isna(row["images_per_s"]) or rows["images_per_s"].iloc[-1] >= row["images_per_s"]:
        return ()
    return (
        "its row in the speed table is slower than the way from JPEG to label: one of them was disturbed",
    )


def _shown(
    title: str, content: Callable[[Row], Content], otherwise: str = "none", spread: str = "spread"
) -> Column:
    """A column of numbers that are not shown where a row is unstable; those of a busy machine are."""
    return number(title, lambda row: otherwise if withheld(row) == UNSTABLE else content(row), spread=spread)


def _span(low: str, high: str, form: Callable[[float], str]) -> Callable[[Row], str]:
    return lambda row: (
        "none" if pd.isna([row[low], row[high]]).any() else f"{form(row[low])} to {form(row[high])}"
    )


def _digits(value: float | None) -> str:
    return NOT_MEASURED if value is None or pd.isna(value) else three_digits(value)


def _speed_columns(platform: Platform) -> list[Column]:
    columns = [
        _shown("Images/s", lambda row: rate(row["images_per_s"]), WITHHELD),
        _shown("95 % interval (images/s)", _span("images_per_s_low", "images_per_s_high", rate)),
        _shown("Median latency of a step (ms)", lambda row: rate(row["latency_ms_median"])),
        _shown("Interquartile range (ms)", _span("latency_ms_q1", "latency_ms_q3", rate)),
        _shown("Matmul peak reached (%)", lambda row: percent(row["fraction_of_matmul_peak"])),
    ]
    if platform.speed.get("energy_j_per_image", pd.Series(dtype=float)).notna().any():
        columns.append(_shown("Energy (J/image)", _energy))
    return columns


def _energy(row: Row) -> Field:
    net, windows = row.get("energy_net_j_per_image"), row.get("energy_windows")
    notes = [] if net is None or pd.isna(net) else [f"net {net:.3g}"]
    notes += [] if windows is None or pd.isna(windows) else [f"over {count(windows)} windows"]
    return Field(_digits(row.get("energy_j_per_image")), notes=tuple(notes))


def _peaks(platform: Platform) -> str | None:
    """The measured peaks of the machine, and what its energy is that of; None where nothing was measured."""
    rows = platform.speed
    peaks = rows.dropna(subset=["matmul_peak_flops_per_s"]).groupby("precision")["matmul_peak_flops_per_s"]
    parts = [f"{span(own / 1e9, three_digits)} GFLOP/s in {precision}" for precision, own in peaks]
    bandwidth = rows.get("memory_bandwidth_bytes_per_s", pd.Series(dtype=float)).dropna() / 1e9
    said = [f"Matrix products alone reach {listed(parts)}."] if parts else []
    if len(bandwidth):
        said.append(f"Memory bandwidth: {span(bandwidth, three_digits)} GB/s.")
    scopes = {scope.removeprefix("the ") for scope in rows.get("energy_scope", pd.Series(dtype=str)).dropna()}
    if scopes:
        said.append(f"Energy is that of the {listed(sorted(scopes))}, gross.")
    return " ".join(said) or None


def _memory_columns(platform: Platform) -> list[Column]:
    peaks = {"peak_rss_mib": "resident"}
    if platform.kind == "GPU":
        peaks = {"peak_allocated_mib": "allocated", "peak_reserved_mib": "reserved"}
    return [
        *(_whole(f"Peak {name} (MiB)", column) for column, name in peaks.items()),
        _whole("Largest batch that fits", "largest_batch"),
    ]


def _whole(title: str, column: str) -> Column:
    return number(title, lambda row: NOT_MEASURED if pd.isna(row[column]) else count(round(row[column])))


def _stage_columns(platform: Platform) -> list[Column]:
    return [
        _shown("JPEG to label (images/s)", lambda row: rate(row["images_per_s"]), WITHHELD),
        _shown("Model alone (images/s)", lambda row: rate(row["model_images_per_s"])),
        _shown("Median latency of a step (ms)", lambda row: rate(row["latency_ms_median"])),
        *(_stage(*one) for one in (("decode", "Decoding"), ("transform", "Transform"), ("model", "Model"))),
    ]


def _stage(stage: str, name: str) -> Column:
    def content(row: Row) -> Field:
        return Field(decimal(row[f"{stage}_ms"]), spread=f"({percent(row[f'{stage}_share'])} %)")

    return _shown(f"{name} (ms)", content, spread="share (%)")


def _loading(platform: Platform) -> Table:
    loading = platform.tables["loading"]
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
    "Speed",
    "Models are compared as they are trained here: each in its own memory layout (CNNs in channels last, "
    "transformers contiguous), on a CPU with freed memory kept for the next step, on a GPU with cuDNN "
    "looking for its fastest algorithm; a training step clips gradients and updates the weights, without "
    "augmentation. Every row is made of several fresh processes in interleaved order; the process is the "
    "unit of its 95 % interval. A row is unstable if this interval is wider than 5 % either way, or an "
    "earlier measurement of the same is more than 5 % away. As trained, it then gets up to four times the "
    "processes, and if it stays so its number is withheld. Rows of a machine that had other work are marked "
    "here, and models are not compared by them. Latency is that of one step on a whole batch; "
    "median and interquartile range are over all steps. The fraction of the matmul peak is the rate of "
    "multiply-adds over the best that the same machine reached with matrix products in the same precision "
    "and run. Multiply-adds are those of direct convolution: a library may need fewer, and the fraction can "
    "exceed 100 %.",
    _speed_columns,
    _peaks,
)
MEMORY = Kind(
    "memory",
    "Memory",
    "Peaks over a few steps in a fresh process in which nothing is timed. On a GPU: what PyTorch's "
    "allocator handed out (allocated) and held (reserved). On the CPU: the resident set at its highest, "
    "less what the process held before there was a network; freed memory is kept for the next step as in "
    "training, which takes somewhat more.",
    _memory_columns,
)
END_TO_END = Kind(
    "end_to_end",
    "From JPEG to label",
    "What a deployed service sees: a JPEG is decoded, resized and cropped, and classified. The model "
    "alone is the rate of the model's phase in the same steps. In brackets: the share of a step.",
    _stage_columns,
    _loading,
)

speed, memory, end_to_end = (partial(_section, kind) for kind in (SPEED, MEMORY, END_TO_END))
"""The sections: throughput and latency; peak memory; the rate from a JPEG to a label and that of loading."""

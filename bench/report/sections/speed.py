"""How fast the models run, machine by machine, beside what others print of them."""

from collections.abc import Callable, Iterator

import pandas as pd

from bench.report.blocks import Column, Details, Field, Figure, Flow, Gallery, Heading, Section, Table
from bench.report.evidence import Evidence
from bench.report.measured import ComparableRows, Headline, Platform
from bench.report.row_text import WITHHELD, describe_setting, rate, row_notes, three_digits
from bench.report.sections.measured_table import (
    BATCH,
    MODE,
    NOTES,
    SETTING,
    MeasuredTable,
    Row,
    unless_withheld,
)
from bench.report.sections.published_speed import published_table
from bench.report.text import NOT_MEASURED, count, decimal, listed, percent


def speed(evidence: Evidence) -> Section:
    """For each machine: throughput against batch size, then speed as trained, and all other settings."""
    platforms = [platform for platform in evidence.platforms if not platform.speed.empty]
    if not platforms:
        return Section.not_measured("speed", "Speed", "no speed was timed for the models of this suite")
    return Section.of(
        "speed",
        "Speed",
        "Models are compared as they are trained here: each in its own memory layout (CNNs in channels last, "
        "transformers contiguous), on a CPU with freed memory kept for the next step, on a GPU with cuDNN "
        "looking for its fastest algorithm; a training step clips gradients and updates the weights, without "
        "augmentation. Every row is made of several fresh processes in interleaved order; the process is the "
        "unit of its 95 % interval. A row is unstable if this interval is wider than 5 % either way, or an "
        "earlier measurement of the same is more than 5 % away. As trained, it then gets up to four times "
        "the processes, and if it stays so its number is withheld. Latency is that of one step on a whole "
        "batch; median and interquartile range are over all steps. The fraction of the matmul peak is the "
        "rate of multiply-adds over the best that the same machine reached with matrix products in the same "
        "precision and run. Numbers of different machines are not comparable.",
        (_on_platform(MeasuredTable(evidence, platform, "speed")) for platform in platforms),
        Heading("Beside published figures"),
        published_table(evidence),
    )


def _on_platform(measured: MeasuredTable) -> Iterator[Flow]:
    yield Heading(measured.platform.name)
    yield _limits(measured.platform)
    yield Gallery.of(_throughput(measured, *compared) for compared in measured.compared)
    yield _tables(measured)
    yield measured.unmeasured("as trained on this machine")
    yield _failures(measured)


def _throughput(measured: MeasuredTable, headline: Headline, comparable: ComparableRows) -> Figure | None:
    return measured.over_batches(
        headline,
        comparable,
        "images_per_s",
        "Throughput (images/s)",
        name="throughput",
        quantity="Throughput",
        caption=f"Throughput against batch size on the {measured.platform.name}: {comparable.setting}. "
        "Vertical lines: 95 % intervals over processes.",
        data=["images_per_s", "images_per_s_low", "images_per_s_high", "outcome", "unstable", "busy"],
    )


def _limits(platform: Platform) -> str:
    """The measured peaks of the machine, and whether energy was measured."""
    rows = platform.speed
    peaks = rows.dropna(subset=["matmul_peak_flops_per_s"]).groupby("precision")["matmul_peak_flops_per_s"]
    parts = [f"{_span(own / 1e9)} GFLOP/s in {precision}" for precision, own in peaks]
    text = f"Matrix products alone reach {listed(parts)}. " if parts else "Matmul peak: not measured. "
    bandwidth = rows.get("memory_bandwidth_bytes_per_s", pd.Series(dtype=float)).dropna() / 1e9
    text += f"Memory bandwidth: {f'{_span(bandwidth)} GB/s' if len(bandwidth) else NOT_MEASURED}. "
    energy = rows.get("energy_j_per_image", pd.Series(dtype=float)).dropna()
    scopes = rows.get("energy_scope", pd.Series(dtype=str)).dropna()
    if not len(energy):
        return text + "Energy: not measured."
    return text + f"Energy is that of the {listed(sorted(set(scopes))) or 'board'}, gross, with net of idle."


def _span(values: pd.Series) -> str:
    return " to ".join(dict.fromkeys(map(three_digits, (values.min(), values.max()))))


def _tables(measured: MeasuredTable) -> Iterator[Flow]:
    """The rows as trained, one a model, mode and batch, and the others folded."""
    on = measured.platform.name
    rows = [
        row
        for _, comparable in measured.compared
        for row in measured.in_order(comparable.rows, ["batch_size", "input_size"])
    ]
    caption = (
        f"Speed as trained on the {on}: {measured.setting}. Rows of one mode and batch share everything but "
        "the model and its layout."
    )
    yield (
        Table.of(
            f"speed-{measured.platform.key}",
            caption,
            _columns(measured, lambda row: "as trained"),
            rows,
            group_by=lambda row: (row["mode"], row["input_size"], row["model"]),
            runs=lambda row: (row["profile"],),
        )
        if rows
        else "Speed as trained: not measured on this machine."
    )
    others = measured.others[measured.others["outcome"] == "measured"]
    yield measured.folded(
        f"Speed on the {on} in settings in which models are not compared. A best row is the fastest setting "
        "of a model's own, measured again after it was chosen.",
        _columns(measured, _best_or_other),
        measured.in_order(
            others, ["mode", "input_size", "precision", "memory_format", "batch_size", "profile"]
        ),
    )


def _best_or_other(row: Row) -> str:
    return "best" if not pd.isna(row["best"]) and row["best"] else "other"


def _columns(measured: MeasuredTable, kind: Callable[[Row], str]) -> tuple[Column, ...]:
    return (
        measured.model(),
        MODE,
        Column("Row", kind),
        SETTING,
        NOTES,
        BATCH,
        unless_withheld("Images/s", lambda row: rate(row["images_per_s"]), WITHHELD),
        unless_withheld(
            "95 % interval (images/s)",
            lambda row: _range(row["images_per_s_low"], row["images_per_s_high"], rate),
        ),
        unless_withheld("Median latency of a step (ms)", lambda row: _ms(row["latency_ms_median"])),
        unless_withheld(
            "Interquartile range (ms)", lambda row: _range(row["latency_ms_q1"], row["latency_ms_q3"], _ms)
        ),
        unless_withheld("Matmul peak reached (%)", lambda row: percent(row["fraction_of_matmul_peak"])),
        unless_withheld("Energy (J/image)", _energy),
    )


def _range(low: float, high: float, form: Callable[[float], str]) -> str:
    return "none" if pd.isna(low) or pd.isna(high) else f"{form(low)} to {form(high)}"


def _ms(value: float) -> str:
    if pd.isna(value):
        return NOT_MEASURED
    return decimal(value, 2 if value < 10 else 1) if value < 100 else count(round(value))


def _energy(row: Row) -> Field:
    gross, net = row.get("energy_j_per_image"), row.get("energy_net_j_per_image")
    if gross is None or pd.isna(gross):
        return Field(NOT_MEASURED)
    notes = [] if net is None or pd.isna(net) else [f"net {net:.3g}"]
    windows = row.get("energy_windows")
    notes += [] if windows is None or pd.isna(windows) else [f"{int(windows)} windows"]
    return Field(f"{gross:.3g}", notes=tuple(notes))


def _failures(measured: MeasuredTable) -> Details | None:
    """Every setting that gave no number, with the reason."""
    speed = measured.platform.speed
    rows = speed[speed["outcome"] != "measured"].to_dict("records")
    columns = (
        measured.model(),
        Column("Setting", describe_setting),
        Column("What happened", lambda row: row_notes(row)[0], wide=True),
    )
    caption = f"MeasuredTable on the {measured.platform.name} that gave no number."
    name = f"speed-failures-{measured.platform.key}"
    table = Table.of(name, caption, columns, rows, runs=lambda row: (row["profile"],))
    return Details.of(f"MeasuredTable that gave no number ({len(rows)})", table) if rows else None

"""How much memory the models take, machine by machine, and the largest batch that fits."""

from collections.abc import Iterator

import pandas as pd

from bench.report.blocks import Column, Details, Field, Flow, Gallery, Heading, Section, Table, number
from bench.report.evidence import Evidence
from bench.report.measured import Headline, memory_column
from bench.report.row_text import MODES, describe_execution, row_notes
from bench.report.sections.measured_table import BATCH, MODE, NOTES, MeasuredTable, Row, setting_of
from bench.report.text import NOT_MEASURED, count, listed

UNIT = "MiB"


def memory(evidence: Evidence) -> Section:
    """For each machine: peak memory against batch size, and the peaks at the smallest and largest batch."""
    platforms = [platform for platform in evidence.platforms if not platform.memory.empty]
    if not platforms:
        return Section.not_measured("memory", "Memory", "no memory was measured for the models of this suite")
    return Section.of(
        "memory",
        "Memory",
        "Peaks over a few steps in a fresh process in which nothing is timed. On a GPU: what PyTorch's "
        "allocator handed out (allocated) and held (reserved). On the CPU: the resident set at its highest, "
        "less what the process held before there was a network. Models are compared as they are trained "
        "here: on a CPU freed memory is kept for the next step, which takes somewhat more.",
        (_on_platform(MeasuredTable(evidence, platform, "memory")) for platform in platforms),
    )


def _on_platform(measured: MeasuredTable) -> Iterator[Flow]:
    column, name = memory_column(measured.platform)
    yield Heading(measured.platform.name)
    yield Gallery.of(
        measured.over_batches(
            headline,
            comparable,
            column,
            f"Peak memory ({UNIT})",
            name="memory",
            quantity=f"{name[0].upper()}{name[1:]}",
            caption=f"Memory against batch size on the {measured.platform.name}: {name}, "
            f"{comparable.setting}.",
            data=[column, "outcome", "largest_batch"],
        )
        for headline, comparable in measured.compared
    )
    yield _table(measured) if measured.compared else "Memory as trained: not measured on this machine."
    yield _others(measured)
    yield measured.unmeasured("as trained on this machine")


def _table(measured: MeasuredTable) -> Table:
    """One row a model and mode, with its peaks at batch 1 and at the largest batch of the headline that
    was measured."""
    platform = measured.platform
    items = [
        (headline, max(rows["batch_size"]), rows[rows["model"] == model].to_dict("records"))
        for headline, comparable in measured.compared
        for rows in [comparable.rows]
        for model in measured.evidence.in_order(rows["model"])
    ]
    peaks = {"peak_rss_mib": "resident"}
    if platform.kind == "GPU":
        peaks = {"peak_allocated_mib": "allocated", "peak_reserved_mib": "reserved"}
    columns = (
        measured.model().on(lambda item: item[2][0]),
        Column("Mode", lambda item: MODES[item[0].mode]),
        Column("Setting", lambda item: _setting(item[0], item[2][0]), under="Model"),
        Column("Notes", lambda item: Field(notes=_notes(item[2])), under="Model"),
        *(_peak(f"Peak {name} at batch 1 ({UNIT})", peak, 1) for peak, name in peaks.items()),
        number("Common batch", lambda item: count(item[1])),
        *(_peak(f"Peak {name} at the common batch ({UNIT})", peak) for peak, name in peaks.items()),
        number("Largest batch that fits", lambda item: _largest(item[2])),
    )
    return Table.of(
        f"memory-{platform.key}",
        f"Memory as trained on the {platform.name}: {measured.setting}.",
        columns,
        items,
        group_by=lambda item: (item[0].mode, item[0].input_size),
        runs=lambda item: [row["profile"] for row in item[2]],
    )


def _setting(headline: Headline, row: Row) -> str:
    return f"{describe_execution(row)}, {headline.input_size} px, {count(headline.classes)} classes"


def _peak(title: str, column: str, batch_size: int | None = None) -> Column:
    """A peak at one batch size: the common one of the rows unless given."""

    def content(item: tuple[Headline, int, list[Row]]) -> str:
        wanted = batch_size or item[1]
        return _mib(next((row[column] for row in item[2] if row["batch_size"] == wanted), None))

    return number(title, content)


def _others(measured: MeasuredTable) -> Details | None:
    """The settings in which models are not compared, folded."""
    column, name = memory_column(measured.platform)
    columns = (
        measured.model(),
        MODE,
        Column("Setting", setting_of, wide=True),
        NOTES,
        BATCH,
        number(f"{name[0].upper()}{name[1:]} ({UNIT})", lambda row: _mib(row[column])),
    )
    caption = f"Memory on the {measured.platform.name} in settings in which models are not compared."
    rows = measured.in_order(measured.others, ["mode", "input_size", "batch_size"])
    return measured.folded(caption, columns, rows)


def _notes(rows: list[Row]) -> tuple[str, ...]:
    """Each note once, with the batches that it holds for."""
    batches: dict[str, list[str]] = {}
    for row in rows:
        for note in row_notes(row):
            batches.setdefault(note, []).append(count(row["batch_size"]))
    return tuple(f"batch {listed(sizes)}: {note}" for note, sizes in batches.items())


def _mib(value: float | None) -> str:
    return NOT_MEASURED if value is None or pd.isna(value) else count(round(value))


def _largest(rows: list[Row]) -> str:
    """The largest batch that fits, or the largest that was tried where none ran out of memory."""
    known = [row["largest_batch"] for row in rows if not pd.isna(row["largest_batch"])]
    if known:
        return count(max(known)) if max(known) else "none"
    tried = [row["batch_size"] for row in rows if row["outcome"] == "measured"]
    return f"at least {count(max(tried))}" if tried else NOT_MEASURED

"""How much memory the models take, machine by machine, and the largest batch that fits."""

from typing import Any

import pandas as pd

from bench.report.blocks import (
    Block,
    Column,
    Details,
    Field,
    Figure,
    Gallery,
    Heading,
    Prose,
    Section,
    Table,
    not_measured,
)
from bench.report.evidence import Evidence
from bench.report.lines import Line, line_figure
from bench.report.measured import (
    Alike,
    Headline,
    Place,
    brief,
    headline_rows,
    how,
    marked,
    memory_column,
    ordered,
    other_rows,
    state,
)
from bench.report.sections.speed import MODES
from bench.report.sections.unmeasured import unmeasured
from bench.report.text import NOT_MEASURED, count, listed

UNIT = "MiB"


def memory(evidence: Evidence) -> Section:
    """For each machine: peak memory against batch size, and the peaks at the smallest and largest batch."""
    places = [place for place in evidence.places if not place.memory.empty]
    if not places:
        return not_measured("memory", "Memory", "no memory was measured for the models of this suite")
    blocks: list[Block] = [
        Prose(
            "Peaks over a few steps in a fresh process in which nothing is timed. On a GPU: what PyTorch's "
            "allocator handed out (allocated) and held (reserved). On the CPU: the resident set at its "
            "highest, less what the process held before there was a network. Models are compared as they are "
            "trained here: on a CPU freed memory is kept for the next step, which takes somewhat more."
        )
    ]
    for place in places:
        blocks.append(Heading(place.name))
        found = [(one, rows) for one in evidence.headlines if (rows := headline_rows(place, "memory", one))]
        figures = tuple(figure for pair in found if (figure := _figure(evidence, place, *pair)))
        blocks += [Gallery(figures)] if figures else []
        if found:
            blocks.append(_table(evidence, place, found))
        else:
            blocks.append(Prose("Memory as trained: not measured on this machine."))
        blocks += _others(evidence, place)
        models = [model for _, rows in found for model in rows.rows["model"]]
        blocks += unmeasured(evidence, models, "as trained on this machine")
    return Section("memory", "Memory", tuple(blocks))


def _figure(evidence: Evidence, place: Place, headline: Headline, found: Alike) -> Figure | None:
    mode = headline.mode
    column, words = memory_column(place)
    done = found.rows[found.rows["outcome"] == "measured"]
    if done["batch_size"].nunique() < 2:
        return None
    lost = found.rows[found.rows["outcome"] == "out_of_memory"]
    lines = []
    for model in ordered(done["model"], list(evidence.model_looks)):
        own = done[done["model"] == model]
        failed = lost.loc[(lost["model"] == model) & (lost["batch_size"] > own["batch_size"].max())]
        lines.append(
            Line(
                evidence.titles[model],
                evidence.model_looks[model],
                [float(size) for size in own["batch_size"]],
                list(own[column]),
                failed=[float(failed["batch_size"].min())] if len(failed) else [],
            )
        )
    points = "; ".join(
        f"{line.title}: {brief(line.y[0])} {UNIT} at batch {line.x[0]:g}, "
        f"{brief(line.y[-1])} at {line.x[-1]:g}"
        for line in lines
    )
    crosses = " A cross marks the first batch that ran out of memory." if any(x.failed for x in lines) else ""
    kept = ["model", "mode", "device", "machine", "precision", "memory_format", "allocator", "compiled"]
    kept.append("batch_size")
    several = len({one.input_size for one in evidence.headlines}) > 1
    return line_figure(
        f"memory-{mode}-{place.key}" + (f"-{headline.input_size}px" if several else ""),
        lines,
        x_label="Batch size (images)",
        y_label=f"Peak memory ({UNIT})",
        caption=f"Memory against batch size on the {place.name}: {words}, {found.words}.{crosses}"
        + marked(done),
        alt=f"{words[0].upper()}{words[1:]} ({MODES[mode]}) against batch size on the {place.name}. "
        f"{points}.",
        data=found.rows[[*kept, "input_size", column, "outcome", "largest_batch"]],
        runs=found.rows["profile"],
    )


def _table(evidence: Evidence, place: Place, found: list[tuple[Headline, Alike]]) -> Table:
    gpu = place.kind == "GPU"
    peaks = (
        (("peak_allocated_mib", "allocated"), ("peak_reserved_mib", "reserved"))
        if gpu
        else (("peak_rss_mib", "resident"),)
    )
    columns = (
        Column("Model"),
        Column("Mode"),
        Column("Setting", under="Model"),
        Column("Notes", under="Model"),
        *(Column(f"Peak {words} at batch 1 ({UNIT})", numeric=True) for _, words in peaks),
        Column("Common batch", numeric=True),
        *(Column(f"Peak {words} at the common batch ({UNIT})", numeric=True) for _, words in peaks),
        Column("Largest batch that fits", numeric=True),
    )
    rows: list[tuple[Field, ...]] = []
    groups, runs = set(), []
    for headline, alike_rows in found:
        groups.add(len(rows))
        # The largest batch of the headline that memory was measured at.
        common = max(alike_rows.rows["batch_size"])
        for model in ordered(alike_rows.rows["model"], list(evidence.model_looks)):
            own = alike_rows.rows[alike_rows.rows["model"] == model].to_dict("records")
            at_one = next((row for row in own if row["batch_size"] == 1), None)
            at_common = next((row for row in own if row["batch_size"] == common), None)
            notes = _notes(own)
            rows.append(
                (
                    Field(evidence.titles[model], look=evidence.model_looks[model]),
                    Field(MODES[headline.mode]),
                    Field(f"{how(own[0])}, {headline.input_size} px, {count(headline.classes)} classes"),
                    Field(notes=notes),
                    *(_mib(at_one, column) for column, _ in peaks),
                    Field(count(common)),
                    *(_mib(at_common, column) for column, _ in peaks),
                    Field(_largest(own)),
                )
            )
            runs += [row["profile"] for row in own]
    caption = f"Memory as trained on the {place.name}: {'; '.join(rows_of.words for _, rows_of in found)}."
    return Table(
        f"memory-{place.key}", caption, columns, tuple(rows), frozenset(groups), tuple(dict.fromkeys(runs))
    )


def _others(evidence: Evidence, place: Place) -> list[Block]:
    """The settings in which models are not compared, folded."""
    others = other_rows(place, "memory", evidence.headlines)
    if others.empty:
        return []
    column, words = memory_column(place)
    columns = (
        Column("Model"),
        Column("Mode"),
        Column("Setting", wide=True),
        Column("Notes", under="Model"),
        Column("Batch", numeric=True),
        Column(f"{words[0].upper()}{words[1:]} ({UNIT})", numeric=True),
    )
    order = {model: k for k, model in enumerate(ordered(others["model"], list(evidence.model_looks)))}
    records = others.to_dict("records")
    records.sort(key=lambda row: (order[row["model"]], row["mode"], row["input_size"], row["batch_size"]))
    rows = tuple(
        (
            Field(evidence.titles[row["model"]], look=evidence.model_looks[row["model"]]),
            Field(MODES[row["mode"]]),
            Field(f"{how(row)}, {int(row['input_size'])} px, {count(row['classes'])} classes"),
            Field(notes=state(row)),
            Field(count(row["batch_size"])),
            _mib(row, column),
        )
        for row in records
    )
    caption = f"Memory on the {place.name} in settings in which models are not compared."
    table = Table(
        f"memory-others-{place.key}",
        caption,
        columns,
        rows,
        runs=tuple(row["profile"] for row in records),
    )
    return [Details(f"Other settings ({len(rows)} rows)", (table,))]


def _notes(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """Each note once, with the batches that it holds for."""
    batches: dict[str, list[str]] = {}
    for row in rows:
        for note in state(row):
            batches.setdefault(note, []).append(count(row["batch_size"]))
    return tuple(f"batch {listed(sizes)}: {note}" for note, sizes in batches.items())


def _mib(row: dict[str, Any] | None, column: str) -> Field:
    if row is None or pd.isna(row[column]):
        return Field(NOT_MEASURED)
    return Field(count(round(row[column])))


def _largest(rows: list[dict[str, Any]]) -> str:
    """The largest batch that fits, or the largest that was tried where none ran out of memory."""
    known = [row["largest_batch"] for row in rows if not pd.isna(row["largest_batch"])]
    if known:
        return count(max(known)) if max(known) else "none"
    tried = [row["batch_size"] for row in rows if row["outcome"] == "measured"]
    return f"at least {count(max(tried))}" if tried else NOT_MEASURED

"""How fast the models run, machine by machine, beside what others print of them."""

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
    WITHHELD,
    Headline,
    Place,
    brief,
    headline_rows,
    how,
    in_words,
    marked,
    missing_of,
    ordered,
    other_rows,
    rate,
    state,
    trusted,
    withheld,
)
from bench.report.sections.published_speed import published_table
from bench.report.sections.unmeasured import unmeasured
from bench.report.text import NOT_MEASURED, count, decimal, listed, percent

MODES = {"infer": "inference", "train": "training step"}

COLUMNS = (
    Column("Model"),
    Column("Mode"),
    Column("Row"),
    Column("Setting", under="Model"),
    Column("Notes", under="Model"),
    Column("Batch", numeric=True),
    Column("Images/s", numeric=True),
    Column("95 % interval (images/s)", numeric=True),
    Column("Median latency of a step (ms)", numeric=True),
    Column("Interquartile range (ms)", numeric=True),
    Column("Matmul peak reached (%)", numeric=True),
    Column("Energy (J/image)", numeric=True),
)


def speed(evidence: Evidence) -> Section:
    """For each machine: throughput against batch size, then speed as trained, and all other settings."""
    places = [place for place in evidence.places if not place.speed.empty]
    if not places:
        return not_measured("speed", "Speed", "no speed was timed for the models of this suite")
    blocks: list[Block] = [
        Prose(
            "Models are compared as they are trained here: each in its own memory layout (CNNs in channels "
            "last, transformers contiguous), on a CPU with freed memory kept for the next step, on a GPU "
            "with cuDNN looking for its fastest algorithm; a training step clips gradients and updates the "
            "weights, without augmentation. Every row is made of several fresh processes in interleaved "
            "order; the process is the unit of its 95 % interval. A row is unstable if this interval is "
            "wider than 5 % either way, or an earlier measurement of the same is more than 5 % away. As "
            "trained, it then gets up to four times the processes, and if it stays so its number is "
            "withheld. Latency is that of one step on a whole batch; median and interquartile range are "
            "over all steps. The fraction of the matmul peak is the rate of multiply-adds over the best that "
            "the same machine reached with matrix products in the same precision and run. Numbers of "
            "different machines are not comparable."
        )
    ]
    for place in places:
        blocks += [Heading(f"{place.name}"), Prose(_limits(place))]
        figures = tuple(figure for one in evidence.headlines if (figure := _throughput(evidence, place, one)))
        blocks += [Gallery(figures)] if figures else []
        blocks += _tables(evidence, place)
        compared = [row for one in evidence.headlines if (row := headline_rows(place, "speed", one))]
        blocks += unmeasured(
            evidence, [m for one in compared for m in one.rows["model"]], "as trained on this machine"
        )
        failed = _failures(evidence, place)
        blocks += [failed] if failed else []
    theirs = published_table(evidence)
    blocks += [Heading("Beside published figures"), *theirs]
    return Section("speed", "Speed", tuple(blocks))


def _limits(place: Place) -> str:
    """The measured peaks of the machine, and whether energy was measured."""
    rows = place.speed
    peaks = rows.dropna(subset=["matmul_peak_flops_per_s"]).groupby("precision")["matmul_peak_flops_per_s"]
    parts = [
        f"{_span(found.min() / 1e9, found.max() / 1e9)} GFLOP/s in {precision}" for precision, found in peaks
    ]
    text = f"Matrix products alone reach {listed(parts)}. " if parts else "Matmul peak: not measured. "
    bandwidth = rows.get("memory_bandwidth_bytes_per_s", pd.Series(dtype=float)).dropna() / 1e9
    if len(bandwidth):
        text += f"Memory bandwidth: {_span(bandwidth.min(), bandwidth.max())} GB/s. "
    else:
        text += "Memory bandwidth: not measured. "
    energy = rows.get("energy_j_per_image", pd.Series(dtype=float)).dropna()
    scopes = rows.get("energy_scope", pd.Series(dtype=str)).dropna()
    if not len(energy):
        return text + "Energy: not measured."
    return text + f"Energy is that of the {listed(sorted(set(scopes))) or 'board'}, gross, with net of idle."


def _span(low: float, high: float) -> str:
    first, last = brief(low), brief(high)
    return first if first == last else f"{first} to {last}"


def _throughput(evidence: Evidence, place: Place, headline: Headline) -> Figure | None:
    found = headline_rows(place, "speed", headline)
    if found is None:
        return None
    done, mode = trusted(found.rows), headline.mode
    if done["batch_size"].nunique() < 2:
        return None
    lost = found.rows[found.rows["outcome"] == "out_of_memory"]
    lines = []
    for model in ordered(done["model"], list(evidence.model_looks)):
        own = done[done["model"] == model]
        largest = own["batch_size"].max()
        failed = lost.loc[(lost["model"] == model) & (lost["batch_size"] > largest), "batch_size"]
        lines.append(
            Line(
                evidence.titles[model],
                evidence.model_looks[model],
                [float(size) for size in own["batch_size"]],
                list(own["images_per_s"]),
                list(own["images_per_s_low"]),
                list(own["images_per_s_high"]),
                [float(failed.min())] if len(failed) else [],
            )
        )
    caption = (
        f"Throughput against batch size on the {place.name}: {found.words}. Vertical lines: 95 % intervals "
        "over processes."
    )
    if any(line.failed for line in lines):
        caption += " A cross marks the first batch that ran out of memory."
    caption += marked(done) + missing_of(found.rows, evidence.titles)
    points = "; ".join(
        f"{line.title}: {brief(line.y[0])} images/s at batch {line.x[0]:g}, "
        f"{brief(line.y[-1])} at {line.x[-1]:g}"
        for line in lines
    )
    kept = ["model", "mode", "device", "machine", "precision", "memory_format", "allocator", "compiled"]
    kept += ["batch_size", "input_size", "images_per_s", "images_per_s_low", "images_per_s_high", "outcome"]
    shown = found.rows[~found.rows["profile"].isin(done["profile"]) & (found.rows["outcome"] == "measured")]
    return line_figure(
        f"throughput-{mode}-{place.key}{_at(evidence, headline)}",
        lines,
        x_label="Batch size (images)",
        y_label="Throughput (images/s)",
        caption=caption,
        alt=f"Throughput ({MODES[mode]}) against batch size on the {place.name}. {points}.",
        data=found.rows.drop(shown.index)[[*kept, "unstable", "busy"]],
        runs=found.rows["profile"],
    )


def _at(evidence: Evidence, headline: Headline) -> str:
    """What follows the names of figures where a suite compares models at several input sizes."""
    several = len({one.input_size for one in evidence.headlines}) > 1
    return f"-{headline.input_size}px" if several else ""


def _tables(evidence: Evidence, place: Place) -> list[Block]:
    """The rows as trained, one a model, mode and batch, and the others folded."""
    rows: list[tuple[Field, ...]] = []
    groups, runs, said = set(), [], []
    for headline in evidence.headlines:
        found = headline_rows(place, "speed", headline)
        if found is None:
            continue
        said.append(found.words)
        for model in ordered(found.rows["model"], list(evidence.model_looks)):
            groups.add(len(rows))
            for values in found.rows[found.rows["model"] == model].to_dict("records"):
                rows.append(_row(evidence, values, "as trained"))
                runs.append(values["profile"])
    caption = (
        f"Speed as trained on the {place.name}: {'; '.join(said)}. Rows of one mode and batch share "
        "everything but the model and its layout."
    )
    blocks: list[Block] = (
        [Table(f"speed-{place.key}", caption, COLUMNS, tuple(rows), frozenset(groups), tuple(runs))]
        if rows
        else [Prose("Speed as trained: not measured on this machine.")]
    )
    others = other_rows(place, "speed", evidence.headlines)
    others = others[others["outcome"] == "measured"]
    if others.empty:
        return blocks
    order = {model: k for k, model in enumerate(ordered(others["model"], list(evidence.model_looks)))}
    lines = others.assign(order=others["model"].map(order)).sort_values(
        ["order", "mode", "input_size", "precision", "memory_format", "batch_size", "profile"], kind="stable"
    )
    records = lines.to_dict("records")
    table = Table(
        f"speed-others-{place.key}",
        f"Speed on the {place.name} in settings in which models are not compared. A best row is the fastest "
        "setting of a model's own, measured again after it was chosen.",
        COLUMNS,
        tuple(_row(evidence, row, "best" if _is_best(row) else "other") for row in records),
        runs=tuple(row["profile"] for row in records),
    )
    return [*blocks, Details(f"Other settings ({len(records)} rows)", (table,))]


def _is_best(row: dict[str, Any]) -> bool:
    return not pd.isna(row["best"]) and bool(row["best"])


def _row(evidence: Evidence, values: dict[str, Any], kind: str) -> tuple[Field, ...]:
    model, held = values["model"], withheld(values)
    head = (
        Field(evidence.titles[model], look=evidence.model_looks[model]),
        Field(MODES[values["mode"]]),
        Field(kind),
        Field(f"{how(values)}, {int(values['input_size'])} px, {count(values['classes'])} classes"),
        Field(notes=state(values)),
        Field(count(values["batch_size"])),
    )
    if held:
        return (*head, Field(WITHHELD), *(Field("none") for _ in range(5)))
    low, high = values["images_per_s_low"], values["images_per_s_high"]
    q1, q3 = values["latency_ms_q1"], values["latency_ms_q3"]
    return (
        *head,
        Field(rate(values["images_per_s"])),
        Field("none" if pd.isna(low) or pd.isna(high) else f"{rate(low)} to {rate(high)}"),
        Field(_ms(values["latency_ms_median"])),
        Field("none" if pd.isna(q1) or pd.isna(q3) else f"{_ms(q1)} to {_ms(q3)}"),
        Field(percent(values["fraction_of_matmul_peak"])),
        _energy(values),
    )


def _ms(value: float) -> str:
    if pd.isna(value):
        return NOT_MEASURED
    return decimal(value, 2 if value < 10 else 1) if value < 100 else count(round(value))


def _energy(values: dict[str, Any]) -> Field:
    gross, net = values.get("energy_j_per_image"), values.get("energy_net_j_per_image")
    if gross is None or pd.isna(gross):
        return Field(NOT_MEASURED)
    notes = [] if net is None or pd.isna(net) else [f"net {net:.3g}"]
    windows = values.get("energy_windows")
    notes += [] if windows is None or pd.isna(windows) else [f"{int(windows)} windows"]
    return Field(f"{gross:.3g}", notes=tuple(notes))


def _failures(evidence: Evidence, place: Place) -> Details | None:
    """Every setting that gave no number, with the reason."""
    failed = place.speed[place.speed["outcome"] != "measured"].to_dict("records")
    if not failed:
        return None
    columns = (Column("Model"), Column("Setting"), Column("What happened", wide=True))
    rows = tuple(
        (
            Field(evidence.titles[row["model"]], look=evidence.model_looks[row["model"]]),
            Field(in_words(row)),
            Field(state(row)[0]),
        )
        for row in failed
    )
    caption = f"Settings on the {place.name} that gave no number."
    table = Table(
        f"speed-failures-{place.key}", caption, columns, rows, runs=tuple(row["profile"] for row in failed)
    )
    return Details(f"Settings that gave no number ({len(rows)})", (table,))

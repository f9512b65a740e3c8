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
from bench.report.measured import Place, alike, brief, how, in_words, marked, ordered, rate, state
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
    """For each machine: throughput against batch size, then latency, common and best settings."""
    places = [place for place in evidence.places if not place.speed.empty]
    if not places:
        return not_measured("speed", "Speed", "no speed was timed for the models of this suite")
    blocks: list[Block] = [
        Prose(
            "Every row is made of several fresh processes in interleaved order; the process is the unit of "
            "its 95 % interval. A row is unstable if its processes, or it and an earlier measurement of the "
            "same, are more than 5 % apart. Latency is that of one step on a whole batch; median and "
            "interquartile range are over all steps. The fraction of the matmul peak is the rate of "
            "multiply-adds over the best that the same machine reached with matrix products in the same "
            "precision and run. Numbers of different machines are not comparable."
        )
    ]
    for place in places:
        blocks += [Heading(f"{place.name}"), Prose(_limits(place))]
        figures = tuple(figure for mode in MODES if (figure := _throughput(evidence, place, mode)))
        blocks += [Gallery(figures)] if figures else []
        blocks.append(_table(evidence, place))
        blocks += unmeasured(evidence, place.speed["model"], "on this machine")
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


def _throughput(evidence: Evidence, place: Place, mode: str) -> Figure | None:
    found = alike(place.speed, over="batch_size", mode=mode)
    if found is None:
        return None
    done = found.rows[found.rows["outcome"] == "measured"]
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
    caption += marked(done)
    points = "; ".join(
        f"{line.title}: {brief(line.y[0])} images/s at batch {line.x[0]:g}, "
        f"{brief(line.y[-1])} at {line.x[-1]:g}"
        for line in lines
    )
    kept = ["model", "mode", "device", "machine", "precision", "memory_format", "compiled", "batch_size"]
    kept += ["input_size", "images_per_s", "images_per_s_low", "images_per_s_high", "outcome", "unstable"]
    return line_figure(
        f"throughput-{mode}-{place.key}",
        lines,
        x_label="Batch size (images)",
        y_label="Throughput (images/s)",
        caption=caption,
        alt=f"Throughput ({MODES[mode]}) against batch size on the {place.name}. {points}.",
        data=found.rows[[*kept, "busy"]],
        runs=found.rows["profile"],
    )


def _table(evidence: Evidence, place: Place) -> Table:
    """Batch 1, the common batch and the best setting of each model and mode."""
    rows: list[tuple[Field, ...]] = []
    groups, runs, said = set(), [], []
    for mode, mode_words in MODES.items():
        chosen = {
            "batch 1": alike(place.speed, mode=mode, batch_size=1),
            "common": alike(place.speed, mode=mode),
        }
        if chosen["batch 1"] is None:
            del chosen["batch 1"]
        said += [f"{row}: {found.words}" for row, found in chosen.items() if found]
        here = place.speed[place.speed["mode"] == mode]
        sought = here["best"].notna().any()
        said += [] if sought or here.empty else [f"best: not looked for in {mode_words}"]
        for model in ordered(here["model"], list(evidence.model_looks)):
            groups.add(len(rows))
            picked = {
                row: _one(found.rows[found.rows["model"] == model] if found else here.iloc[:0])
                for row, found in chosen.items()
            }
            if sought:
                picked["best"] = _one(here[(here["model"] == model) & here["best"].fillna(value=False)])
            if picked.get("batch 1") and picked["common"] and picked["common"]["batch_size"] == 1:
                del picked["batch 1"]
            for row, values in picked.items():
                rows.append(_row(evidence, model, mode_words, row, values))
                runs += [values["profile"]] if values else []
    caption = (
        f"Speed on the {place.name}. Rows of one kind share everything but the model: "
        f"{'; '.join(said)}. A best row is the fastest setting of a model's own, measured again "
        "after it was chosen."
    )
    return Table(
        f"speed-{place.key}",
        caption,
        COLUMNS,
        tuple(rows),
        frozenset(groups),
        tuple(dict.fromkeys(runs)),
    )


def _one(rows: pd.DataFrame) -> dict[str, Any] | None:
    """The fastest row, or the only one; None where there is none."""
    if rows.empty:
        return None
    return (
        rows.sort_values(["images_per_s", "profile"], kind="stable", na_position="first").iloc[-1].to_dict()
    )


def _row(
    evidence: Evidence, model: str, mode: str, kind: str, values: dict[str, Any] | None
) -> tuple[Field, ...]:
    head = (Field(evidence.titles[model], look=evidence.model_looks[model]), Field(mode), Field(kind))
    if values is None:
        reason = "none found" if kind == "best" else NOT_MEASURED
        return (
            *head,
            Field(),
            Field(),
            *(Field(reason) for _ in range(2)),
            *(Field("none") for _ in range(5)),
        )
    notes = state(values)
    low, high = values["images_per_s_low"], values["images_per_s_high"]
    q1, q3 = values["latency_ms_q1"], values["latency_ms_q3"]
    return (
        *head,
        Field(f"{how(values)}, {int(values['input_size'])} px"),
        Field(notes=notes),
        Field(count(values["batch_size"])),
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

"""Where the time goes from a JPEG to a label, and how fast images can be had."""

from collections.abc import Iterator

import pandas as pd

from bench.report.bars import bar_title, shares_sentence, stacked_bars
from bench.report.blocks import Column, Field, Figure, Flow, Gallery, Heading, Section, Table, number
from bench.report.evidence import Evidence
from bench.report.measured import ComparableRows, Platform, trusted
from bench.report.row_text import WITHHELD, disturbed_sentence, rate, row_notes, withheld_sentence
from bench.report.sections.measured_table import BATCH, SETTING, MeasuredTable, Row, unless_withheld
from bench.report.text import NOT_MEASURED, count, decimal, percent

STAGES = {"decode": "decoding", "transform": "transform", "model": "model"}
PATHS = {"jpeg": "JPEG files, decoded each time", "cache": "the decoded cache"}
ORDER = ["batch_size", "profile"]
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


def end_to_end(evidence: Evidence) -> Section:
    """For each machine: the shares of decoding, transform and model, and the rate of loading alone."""
    anchor, title = "end-to-end", "Where the time goes end to end"
    platforms = [p for p in evidence.platforms if len(p.tables["end_to_end"]) or len(p.tables["loading"])]
    if not platforms:
        return Section.not_measured(
            anchor, title, "nothing was timed from JPEG to label for the models of this suite"
        )
    return Section.of(
        anchor,
        title,
        "What a deployed service sees: a JPEG is decoded, resized and cropped, and classified.",
        (_on_platform(MeasuredTable(evidence, platform, "end_to_end")) for platform in platforms),
    )


def _on_platform(measured: MeasuredTable) -> Iterator[Flow]:
    platform, columns = measured.platform, _columns(measured)
    alone = "The model alone is the rate of the model's phase in the same steps."
    yield Heading(platform.name)
    yield Gallery.of(_figure(measured, rows, k) for k, (_, rows) in enumerate(measured.compared))
    if measured.compared:
        rows = measured.in_order(pd.concat([rows.rows for _, rows in measured.compared]), ORDER)
        caption = f"From JPEG to label as trained on the {platform.name}: {measured.setting}. {alone}"
        name = f"end-to-end-{platform.key}"
        yield Table.of(name, caption, columns, rows, runs=lambda row: (row["profile"],))
        yield measured.unmeasured("from JPEG to label on this machine")
    else:
        yield "From JPEG to label as trained: not measured on this machine."
    yield measured.folded(
        f"From JPEG to label on the {platform.name} in settings in which models are not compared. {alone}",
        columns,
        measured.in_order(measured.others, ORDER),
    )
    yield _loading(platform)


def _figure(measured: MeasuredTable, comparable: ComparableRows, k: int) -> Figure | None:
    done = trusted(comparable.rows)
    if done.empty:
        return None
    evidence, platform = measured.evidence, measured.platform
    rows = measured.in_order(done, ORDER)
    several = done["batch_size"].nunique() > 1
    models = [evidence.titles[row["model"]] for row in rows]
    batches = [f", batch {count(row['batch_size'])}" if several else "" for row in rows]
    titles = [model + batch for model, batch in zip(models, batches, strict=True)]
    labels = [bar_title(model, batch) for model, batch in zip(models, batches, strict=True)]
    shares = {name: [100 * row[f"{stage}_share"] for row in rows] for stage, name in STAGES.items()}
    kept = ["model", "device", "machine", "precision", "batch_size", "input_size", "images_per_s"]
    kept += [f"{stage}_{unit}" for stage in STAGES for unit in ("ms", "share")]
    sizes = sorted(set(done.get("jpeg_px", pd.Series(dtype=str)).dropna().astype(str)))
    return stacked_bars(
        f"stages-{platform.key}" + (f"-{k + 1}" if k else ""),
        labels,
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


def _columns(measured: MeasuredTable) -> tuple[Column, ...]:
    platform = measured.platform
    return (
        measured.model(),
        SETTING,
        Column(
            "Notes", lambda row: Field(notes=(*row_notes(row), *contradicted(platform, row))), under="Model"
        ),
        BATCH,
        unless_withheld("JPEG to label (images/s)", lambda row: rate(row["images_per_s"]), WITHHELD),
        unless_withheld("Model alone (images/s)", lambda row: rate(row["model_images_per_s"])),
        unless_withheld("Median latency of a step (ms)", lambda row: decimal(row["latency_ms_median"], 2)),
        unless_withheld("Interquartile range (ms)", _quartiles),
        *(_stage(stage, "ms") for stage in STAGES),
        *(_stage(stage, "share") for stage in STAGES),
    )


def _stage(stage: str, unit: str) -> Column:
    name = f"{STAGES[stage][0].upper()}{STAGES[stage][1:]}"
    if unit == "ms":
        return unless_withheld(f"{name} (ms)", lambda row: decimal(row[f"{stage}_ms"], 2))
    return unless_withheld(f"{name} (%)", lambda row: percent(row[f"{stage}_share"]))


def _quartiles(row: Row) -> str:
    q1, q3 = row["latency_ms_q1"], row["latency_ms_q3"]
    return "none" if pd.isna(q1) or pd.isna(q3) else f"{q1:.2f} to {q3:.2f}"


def contradicted(platform: Platform, row: Row) -> tuple[str, ...]:
    """A note where the speed table has the very same setting, without images being made, at a lower rate than
    from JPEG to label: one of the two measurements was disturbed."""
    speed = platform.speed
    same = (speed["mode"] == "infer") & (speed["outcome"] == "measured")
    for name in SAME:
        same &= speed[name].isna() if pd.isna(row[name]) else speed[name] == row[name]
    rows = speed[same.fillna(value=False).astype(bool)].sort_values(["finished", "profile"], kind="stable")
    if rows.empty or pd.isna(row["images_per_s"]) or rows["images_per_s"].iloc[-1] >= row["images_per_s"]:
        return ()
    return (
        "its row in the speed table is slower than the way from JPEG to label: one of them was disturbed",
    )


def _loading(platform: Platform) -> Table | str:
    loading = platform.tables["loading"]
    if loading.empty:
        return "The data path alone: not measured on this machine."
    fastest = trusted(platform.speed)["images_per_s"].max()
    beside = (
        f"The rate of the models: {NOT_MEASURED}."
        if pd.isna(fastest)
        else f"The fastest model row of this machine takes {rate(fastest)} images/s."
    )
    columns = (
        Column("Data path", lambda row: PATHS.get(row["path"], row["path"])),
        Column("Notes", lambda row: Field(notes=row_notes(row)), under="Data path"),
        number("Input (px)", lambda row: count(row["input_size"])),
        BATCH,
        number("Images/s", lambda row: rate(row["images_per_s"])),
    )
    rows = loading.sort_values(["path", "input_size", "batch_size"], kind="stable").to_dict("records")
    caption = f"The data path alone on the {platform.name}, without a model. {beside}"
    return Table.of(f"loading-{platform.key}", caption, columns, rows, runs=loading.get("profile", ()))

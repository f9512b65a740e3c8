"""Where the time goes from a JPEG to a label, and how fast images can be had."""

from typing import Any

import pandas as pd

from bench.report.bars import stacked_bars
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
from bench.report.measured import (
    WITHHELD,
    Alike,
    Place,
    headline_rows,
    how,
    marked,
    missing_of,
    ordered,
    other_rows,
    rate,
    state,
    trusted,
    withheld,
)
from bench.report.sections.unmeasured import unmeasured
from bench.report.text import NOT_MEASURED, count, decimal, percent

STAGES = {"decode": "decoding", "transform": "transform", "model": "model"}
ALONE = "The model alone is the rate of the model's phase in the same steps."
PATHS = {"jpeg": "JPEG files, decoded each time", "cache": "the decoded cache"}


def end_to_end(evidence: Evidence) -> Section:
    """For each machine: the shares of decoding, transform and model, and the rate of loading alone."""
    anchor, title = "end-to-end", "Where the time goes end to end"
    places = [p for p in evidence.places if len(p.tables["end_to_end"]) or len(p.tables["loading"])]
    if not places:
        return not_measured(
            anchor, title, "nothing was timed from JPEG to label for the models of this suite"
        )
    blocks: list[Block] = [
        Prose("What a deployed service sees: a JPEG is decoded, resized and cropped, and classified.")
    ]
    for place in places:
        blocks.append(Heading(place.name))
        found = [rows for one in evidence.headlines if (rows := headline_rows(place, "end_to_end", one))]
        figures = tuple(
            _figure(evidence, place, one, number)
            for number, one in enumerate(found)
            if not trusted(one.rows).empty
        )
        blocks += [Gallery(figures)] if figures else []
        if found:
            rows = pd.concat([one.rows for one in found])
            words = "; ".join(one.words for one in found)
            caption = f"From JPEG to label as trained on the {place.name}: {words}. {ALONE}"
            blocks.append(_table(evidence, place, rows, f"end-to-end-{place.key}", caption))
            blocks += unmeasured(evidence, rows["model"], "from JPEG to label on this machine")
        else:
            blocks.append(Prose("From JPEG to label as trained: not measured on this machine."))
        others = other_rows(place, "end_to_end", evidence.headlines)
        if len(others):
            caption = f"From JPEG to label on the {place.name} in settings in which models are not compared."
            table = _table(evidence, place, others, f"end-to-end-others-{place.key}", f"{caption} {ALONE}")
            blocks.append(Details(f"Other settings ({len(others)} rows)", (table,)))
        blocks += _loading(place)
    return Section(anchor, title, tuple(blocks))


def _label(evidence: Evidence, row: dict[str, Any], several: bool) -> str:
    return evidence.titles[row["model"]] + (f", batch {count(row['batch_size'])}" if several else "")


def _sorted(evidence: Evidence, rows: pd.DataFrame) -> list[dict[str, Any]]:
    order = {model: k for k, model in enumerate(ordered(rows["model"], list(evidence.model_looks)))}
    found = rows.to_dict("records")
    return sorted(found, key=lambda row: (order[row["model"]], row["batch_size"], row["profile"]))


def _figure(evidence: Evidence, place: Place, shared: Alike, number: int) -> Figure:
    done = trusted(shared.rows)
    rows = _sorted(evidence, done)
    several = done["batch_size"].nunique() > 1
    titles = [_label(evidence, row, several) for row in rows]
    shares = {words: [100 * row[f"{stage}_share"] for row in rows] for stage, words in STAGES.items()}
    said = "; ".join(
        f"{title}: " + ", ".join(f"{words} {values[k]:.0f} %" for words, values in shares.items())
        for k, title in enumerate(titles)
    )
    kept = ["model", "device", "machine", "precision", "batch_size", "input_size", "images_per_s"]
    kept += [f"{stage}_{unit}" for stage in STAGES for unit in ("ms", "share")]
    sizes = sorted(set(done.get("jpeg_px", pd.Series(dtype=str)).dropna().astype(str)))
    return stacked_bars(
        f"stages-{place.key}" + (f"-{number + 1}" if number else ""),
        titles,
        shares,
        x_label="Share of the time from JPEG to label (%)",
        caption=f"Where the time goes from JPEG to label on the {place.name}: {shared.words}; at the end of "
        "each bar, the throughput."
        + (f" JPEGs of {', '.join(sizes).replace('x', ' × ')} px." if sizes else "")
        + marked(done)
        + missing_of(shared.rows, evidence.titles),
        alt=f"Shares of the time from JPEG to label on the {place.name}. {said}.",
        data=pd.DataFrame(rows)[kept],
        runs=[row["profile"] for row in rows],
        at_ends=[f"{rate(row['images_per_s'])} images/s" for row in rows],
    )


def _table(evidence: Evidence, place: Place, rows: pd.DataFrame, name: str, caption: str) -> Table:
    columns = (
        Column("Model"),
        Column("Setting", under="Model"),
        Column("Notes", under="Model"),
        Column("Batch", numeric=True),
        Column("JPEG to label (images/s)", numeric=True),
        Column("Model alone (images/s)", numeric=True),
        Column("Median latency of a step (ms)", numeric=True),
        Column("Interquartile range (ms)", numeric=True),
        *(Column(f"{words[0].upper()}{words[1:]} (ms)", numeric=True) for words in STAGES.values()),
        *(Column(f"{words[0].upper()}{words[1:]} (%)", numeric=True) for words in STAGES.values()),
    )
    lines = []
    for row in _sorted(evidence, rows):
        q1, q3 = row["latency_ms_q1"], row["latency_ms_q3"]
        held = withheld(row)
        lines.append(
            (
                Field(evidence.titles[row["model"]], look=evidence.model_looks[row["model"]]),
                Field(f"{how(row)}, {int(row['input_size'])} px, {count(row['classes'])} classes"),
                Field(notes=(*state(row), *contradicted(place, row))),
                Field(count(row["batch_size"])),
                *(
                    [Field(WITHHELD), *(Field("none") for _ in range(3 + 2 * len(STAGES)))]
                    if held
                    else [
                        Field(rate(row["images_per_s"])),
                        Field(rate(row["model_images_per_s"])),
                        Field(decimal(row["latency_ms_median"], 2)),
                        Field("none" if pd.isna(q1) or pd.isna(q3) else f"{q1:.2f} to {q3:.2f}"),
                        *(Field(decimal(row[f"{stage}_ms"], 2)) for stage in STAGES),
                        *(Field(percent(row[f"{stage}_share"])) for stage in STAGES),
                    ]
                ),
            )
        )
    profiles = tuple(dict.fromkeys(rows["profile"]))
    return Table(name, caption, columns, tuple(lines), runs=profiles)


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


def contradicted(place: Place, row: dict[str, Any]) -> tuple[str, ...]:
    """A note where the speed table has the very same setting, without images being made, at a lower rate than
    from JPEG to label: one of the two measurements was disturbed."""
    speed = place.speed
    same = (speed["mode"] == "infer") & (speed["outcome"] == "measured")
    for name in SAME:
        same &= speed[name].isna() if pd.isna(row[name]) else speed[name] == row[name]
    found = speed[same.fillna(value=False).astype(bool)].sort_values(["finished", "profile"], kind="stable")
    if found.empty or pd.isna(row["images_per_s"]):
        return ()
    alone = float(found["images_per_s"].iloc[-1])
    if alone >= row["images_per_s"]:
        return ()
    return (
        "its row in the speed table is slower than the way from JPEG to label: one of them was disturbed",
    )


def _loading(place: Place) -> list[Block]:
    rows = place.tables["loading"]
    if rows.empty:
        return [Prose("The data path alone: not measured on this machine.")]
    fastest = trusted(place.speed)["images_per_s"].max()
    columns = (
        Column("Data path"),
        Column("Notes", under="Data path"),
        Column("Input (px)", numeric=True),
        Column("Batch", numeric=True),
        Column("Images/s", numeric=True),
    )
    lines = tuple(
        (
            Field(PATHS.get(row["path"], row["path"])),
            Field(notes=state(row)),
            Field(count(row["input_size"])),
            Field(count(row["batch_size"])),
            Field(rate(row["images_per_s"])),
        )
        for row in rows.sort_values(["path", "input_size", "batch_size"], kind="stable").to_dict("records")
    )
    beside = (
        f" The fastest model row of this machine takes {rate(fastest)} images/s."
        if not pd.isna(fastest)
        else f" The rate of the models: {NOT_MEASURED}."
    )
    caption = f"The data path alone on the {place.name}, without a model.{beside}"
    return [Table(f"loading-{place.key}", caption, columns, lines, runs=tuple(rows.get("profile", ())))]

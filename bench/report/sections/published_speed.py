"""Our speed beside what others print, with all that differs."""

from typing import Any

import pandas as pd

from bench.report.blocks import Block, Column, Field, Prose, Table
from bench.report.evidence import Evidence
from bench.report.measured import Place, how, ordered, state
from bench.report.published import published_speed
from bench.report.text import NOT_MEASURED, count, decimal

# The types that matrix products work in, by the words of the sources.
PRECISIONS = {"amp fp16": "fp16", "amp": "fp16"}

COLUMNS = (
    Column("Model"),
    Column("Mode"),
    Column("Their images/s", numeric=True),
    Column("Their hardware and setting", wide=True),
    Column("Our images/s", numeric=True),
    Column("Our hardware and setting", wide=True),
    Column("Ours over theirs", numeric=True),
    Column("What differs", wide=True),
    Column("Source", under="Their hardware and setting", label="source: "),
)


def published_table(evidence: Evidence) -> list[Block]:
    """One row a published figure of one of the models and place of the same kind: CPU or GPU."""
    table = published_speed()
    models = set(evidence.measured["speed"]["model"])
    theirs = [row for row in table.to_dict("records") if row["model"] in models]
    kinds = {place.kind for place in evidence.places}
    elsewhere: list[Block] = [
        Prose(f"{number} published figures are of a {kind}; no speed was measured on a {kind} here.")
        for kind in ("CPU", "GPU")
        if kind not in kinds and (number := sum(row["device"] == kind for row in theirs))
    ]
    theirs = [row for row in theirs if row["device"] in kinds]
    if not theirs:
        return elsewhere or [Prose("No published speed of these models is known to this report.")]
    order = {model: place for place, model in enumerate(ordered(models, list(evidence.model_looks)))}
    rows, runs = [], []
    for row in sorted(theirs, key=lambda row: order[row["model"]]):
        nearest: list[tuple[Place | None, dict[str, Any] | None]] = [
            (place, found)
            for place in evidence.places
            if place.kind == row["device"] and (found := _nearest(place, row))
        ]
        for place, ours in nearest or [(None, None)]:
            rows.append(_row(evidence, row, place, ours))
            runs += [ours["profile"]] if ours else []
    note = (
        "Published figures were measured on other hardware and never at quite the same setting, so the ratio "
        "tells the order of magnitude and no more. For each of them the row stands that is nearest to it on "
        "the same kind of device: same mode and input, then precision, layout, compiled or not, and batch."
    )
    table = Table(
        "speed-published",
        "Speed beside published figures.",
        COLUMNS,
        tuple(rows),
        runs=tuple(dict.fromkeys(runs)),
    )
    return [Prose(note), *elsewhere, table]


def _nearest(place: Place, row: dict[str, Any]) -> dict[str, Any] | None:
    """Our row with the fewest differences, of several the one with the nearest batch."""
    speed = place.speed
    here = speed[
        (speed["model"] == row["model"])
        & (speed["mode"] == row["mode"])
        & (speed["input_size"] == row["input_px"])
        & (speed["outcome"] == "measured")
    ].to_dict("records")

    def distance(ours: dict[str, Any]) -> tuple:
        batch = float(row["batch_size"]) if row["batch_size"].isdigit() else float("inf")
        apart = -ours["batch_size"] if batch == float("inf") else abs(ours["batch_size"] - batch)
        off = [found is not None for found in _differences(row, ours).values()]
        return *off, apart, ours["profile"]

    return min(here, key=distance, default=None)


def _differences(row: dict[str, Any], ours: dict[str, Any]) -> dict[str, str | None]:
    """What differs in precision, layout and compilation, most important first; None where nothing does."""
    precision = PRECISIONS.get(row["precision"], row["precision"])
    compiled = not pd.isna(ours["compiled"]) and bool(ours["compiled"])
    return {
        "precision": None
        if precision == ours["precision"]
        else f"precision: theirs {row['precision']}, ours {ours['precision']}",
        "layout": None
        if row["memory_format"] == ours["memory_format"]
        else f"layout: theirs {row['memory_format'].replace('_', ' ')}, "
        f"ours {ours['memory_format'].replace('_', ' ')}",
        "compiled": None
        if (row["compiled"] == "yes") == compiled
        else f"theirs {'compiled' if row['compiled'] == 'yes' else 'eager'}, "
        f"ours {'compiled' if compiled else 'eager'}",
    }


def _row(
    evidence: Evidence, row: dict[str, Any], place: Place | None, ours: dict[str, Any] | None
) -> tuple[Field, ...]:
    layout = row["memory_format"].replace("_", " ")
    setting = (
        f"{row['hardware']}; precision {row['precision']}, layout {layout}, "
        f"{'compiled' if row['compiled'] == 'yes' else 'eager'}, batch {row['batch_size']}"
    )
    head = (
        Field(evidence.titles[row["model"]], look=evidence.model_looks[row["model"]]),
        Field("training step" if row["mode"] == "train" else "inference"),
        Field(decimal(row["images_per_s"], 1)),
        Field(setting),
    )
    if place is None or ours is None:
        where = f"not measured on a {row['device']} here"
        return (*head, Field(NOT_MEASURED), Field(where), Field("none"), Field("none"), Field(row["source"]))
    batch = str(ours["batch_size"])
    differs = ["hardware", *filter(None, _differences(row, ours).values())]
    if batch != row["batch_size"]:
        differs.append(f"batch: theirs {row['batch_size']}, ours {batch}")
    differs.append(f"ours with torch {ours['torch']}")
    return (
        *head,
        Field(decimal(ours["images_per_s"], 1), notes=state(ours)),
        Field(f"{place.name}; {how(ours)}, batch {count(ours['batch_size'])}"),
        Field(decimal(ours["images_per_s"] / row["images_per_s"], 3)),
        Field("; ".join(differs)),
        Field(row["source"]),
    )

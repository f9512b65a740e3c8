"""Our speed beside what others print, with all that differs."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from bench.report.blocks import Column, Field, Flow, Table, number
from bench.report.evidence import Evidence
from bench.report.measured import Platform
from bench.report.published import published_speed
from bench.report.row_text import MODES, describe_execution, row_notes
from bench.report.text import NOT_MEASURED, count, decimal

# The types that matrix products work in, by the words of the sources.
PRECISIONS = {"amp fp16": "fp16", "amp": "fp16"}

Pair = tuple[dict[str, Any], Platform | None, dict[str, Any] | None]
"""A published figure, and a row of ours with its platform; None where nothing comparable was measured."""


def published_table(evidence: Evidence) -> Iterator[Flow]:
    """One row a published figure of one of the models and platform of the same kind: CPU or GPU."""
    models = evidence.in_order(evidence.measured["speed"]["model"])
    theirs = [row for row in published_speed().to_dict("records") if row["model"] in models]
    kinds = {platform.kind for platform in evidence.platforms}
    pairs: list[Pair] = []
    for row in sorted(theirs, key=lambda row: models.index(row["model"])):
        same_kind = [platform for platform in evidence.platforms if platform.kind == row["device"]]
        nearest: list[Pair] = [
            (row, platform, ours) for platform in same_kind if (ours := _nearest(platform, row))
        ]
        pairs += nearest or ([(row, None, None)] if same_kind else [])
    if pairs:
        yield (
            "Published figures were measured on other hardware and never at quite the same setting, so the "
            "ratio tells the order of magnitude and no more. For each of them the row stands that is nearest "
            "to it on the same kind of device: same mode and input, then precision, layout, compiled or not, "
            "and batch."
        )
    for kind in ("CPU", "GPU"):
        if kind not in kinds and (figures := sum(row["device"] == kind for row in theirs)):
            yield f"{figures} published figures are of a {kind}; no speed was measured on a {kind} here."
    if not theirs:
        yield "No published speed of these models is known to this report."
    if pairs:
        yield Table.of(
            "speed-published",
            "Speed beside published figures.",
            _columns(evidence),
            pairs,
            runs=lambda pair: (pair[2]["profile"],) if pair[2] else (),
        )


def _columns(evidence: Evidence) -> tuple[Column, ...]:
    setting = "Their hardware and setting"
    return (
        Column("Model", lambda pair: evidence.model_title(pair[0]["model"])),
        Column("Mode", lambda pair: MODES[pair[0]["mode"]]),
        number("Their images/s", lambda pair: decimal(pair[0]["images_per_s"], 1)),
        Column(setting, lambda pair: _their_setting(pair[0]), wide=True),
        number("Our images/s", _ours),
        Column("Our hardware and setting", _our_setting, wide=True),
        number("Ours over theirs", _ratio),
        Column("What differs", _what_differs, wide=True),
        Column("Source", lambda pair: pair[0]["source"], under=setting, label="source: "),
    )


def _nearest(platform: Platform, row: dict[str, Any]) -> dict[str, Any] | None:
    """Our row with the fewest differences, of several the one with the nearest batch."""
    speed = platform.speed
    candidates = speed[
        (speed["model"] == row["model"])
        & (speed["mode"] == row["mode"])
        & (speed["input_size"] == row["input_px"])
        & (speed["outcome"] == "measured")
    ].to_dict("records")

    def distance(ours: dict[str, Any]) -> tuple:
        batch = float(row["batch_size"]) if row["batch_size"].isdigit() else float("inf")
        apart = -ours["batch_size"] if batch == float("inf") else abs(ours["batch_size"] - batch)
        off = [difference is not None for difference in _differences(row, ours).values()]
        return *off, apart, ours["profile"]

    return min(candidates, key=distance, default=None)


def _differences(row: dict[str, Any], ours: dict[str, Any]) -> dict[str, str | None]:
    """What differs in precision, layout and compilation, most important first; None where nothing does."""
    precision = PRECISIONS.get(row["precision"], row["precision"])
    layouts = [one["memory_format"].replace("_", " ") for one in (row, ours)]
    compiled = [row["compiled"] == "yes", not pd.isna(ours["compiled"]) and bool(ours["compiled"])]
    how = ["compiled" if one else "eager" for one in compiled]
    return {
        "precision": None
        if precision == ours["precision"]
        else f"precision: theirs {row['precision']}, ours {ours['precision']}",
        "layout": None if layouts[0] == layouts[1] else f"layout: theirs {layouts[0]}, ours {layouts[1]}",
        "compiled": None if how[0] == how[1] else f"theirs {how[0]}, ours {how[1]}",
    }


def _their_setting(row: dict[str, Any]) -> str:
    layout = row["memory_format"].replace("_", " ")
    return (
        f"{row['hardware']}; precision {row['precision']}, layout {layout}, "
        f"{'compiled' if row['compiled'] == 'yes' else 'eager'}, batch {row['batch_size']}"
    )


def _ours(pair: Pair) -> Field:
    ours = pair[2]
    return Field(decimal(ours["images_per_s"], 1), notes=row_notes(ours)) if ours else Field(NOT_MEASURED)


def _our_setting(pair: Pair) -> str:
    theirs, platform, ours = pair
    if platform is None or ours is None:
        return f"not measured on a {theirs['device']} here"
    return f"{platform.name}; {describe_execution(ours)}, batch {count(ours['batch_size'])}"


def _ratio(pair: Pair) -> str:
    theirs, _, ours = pair
    return decimal(ours["images_per_s"] / theirs["images_per_s"], 3) if ours else "none"


def _what_differs(pair: Pair) -> str:
    theirs, _, ours = pair
    if ours is None:
        return "none"
    differences = ["hardware", *filter(None, _differences(theirs, ours).values())]
    if str(ours["batch_size"]) != theirs["batch_size"]:
        differences.append(f"batch: theirs {theirs['batch_size']}, ours {ours['batch_size']}")
    return "; ".join([*differences, f"ours with torch {ours['torch']}"])

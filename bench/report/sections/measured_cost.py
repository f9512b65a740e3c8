"""What the models cost as they are trained here: operations, speed and memory in one table a machine."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from bench.analysis.claims.contestants import equal_flops
from bench.report.blocks import Bullets, Column, Field, Section, Table, number
from bench.report.evidence import Evidence
from bench.report.measured import AS_TRAINED, RATE, Compared, Platform, compared, quantities
from bench.report.recommendation import PROFILED
from bench.report.row_text import BUSY, gmacs, millions, row_notes
from bench.report.text import decimal, listed
from bench.spec.card import list_cards, read_card

Row = dict[str, Any]
TRAINING = ("speed", "memory")
"""What is compared of a training step; of inference, everything."""
ENDS = ("low", "high")
TRAINS = "Training: "
"""What titles of what is measured in training begin with."""
HELD = {"CPU": "allocator setting", "GPU": "choice of cuDNN's algorithms"}
"""What else than the layout is as in training, by the kind of device."""
EQUAL_FLOPS = 1.25
"""Networks whose operations differ by at most this factor are told side by side."""


def measured_cost(evidence: Evidence) -> Section:
    """Parameters and operations, and by machine images/s, latency and memory of inference and training.

    It says little without a training step or energy: the table of the answer has the rest.
    """
    section = Section.of("cost-as-trained", "Cost as trained", _tables(evidence))
    titles = [title for one in evidence.platforms for title, _ in measured_on(evidence, one)]
    return replace(section, says_little=not any(t.startswith((TRAINS, "Energy")) for t in titles))


def untrained(evidence: Evidence) -> Section:
    """Level 1 of the report on a suite that trains nothing: the same, which says nothing of accuracy."""
    told = tuple(_side_by_side(evidence))
    return Section.of("answer", "What was measured", PROFILED, Bullets(told), _tables(evidence))


def _side_by_side(evidence: Evidence) -> Iterator[str]:
    """On each machine, every transformer against each CNN of about its operations, in one sentence."""
    costs = _costs(evidence)
    kinds = {name: read_card(name).kind for name in list_cards()}
    pairs = [
        (a, b)
        for a, b in product(evidence.in_order(costs), repeat=2)
        if (kinds.get(a), kinds.get(b)) == ("transformer", "cnn")
        and equal_flops(costs[a]["flops"], costs[b]["flops"], EQUAL_FLOPS)
    ]
    for platform in evidence.platforms:
        measured = measured_on(evidence, platform)
        for pair in pairs:
            inference = [_times(title, one, *pair) for title, one in measured if TRAINS not in title]
            training = [_times(title, one, *pair) for title, one in measured if TRAINS in title]
            said = [("", inference), ("in training ", training)]
            parts = [f"{when}{listed(known)}" for when, times in said if (known := [*filter(None, times)])]
            if parts:
                a, b = (f"{evidence.titles[name]} ({gmacs(costs[name]['flops'])} GMACs)" for name in pair)
                yield f"{platform.name}: beside {b}, {a} has {'; '.join(parts)}."


def _times(title: str, one: Compared, a: str, b: str) -> str | None:
    """How many times the quantity of one model another has; None where one of them has no number."""
    of_a, of_b = one.value(a), one.value(b)
    if of_a is None or of_b is None:
        return None
    name = title.removeprefix(TRAINS).partition(" (")[0]
    name = f"{name[0].lower()}{name[1:]}"
    if one.quantity.timed and _overlap(one.row(a), one.row(b)):
        return f"about as many {name}" if one.quantity.column == RATE else f"about the same {name}"
    return f"{decimal(of_a / of_b)} times the {name}"


def _overlap(a: Row, b: Row) -> bool:
    """Whether the 95 % intervals of two rates have a value in common; not where one has none."""
    low_a, high_a, low_b, high_b = (float(row.get(f"{RATE}_{end}", np.nan)) for row in (a, b) for end in ENDS)
    return low_a <= high_b and low_b <= high_a  # no number is at most one that is missing


def _tables(evidence: Evidence) -> list[Table]:
    costs = _costs(evidence)
    measured = [(platform, measured_on(evidence, platform)) for platform in evidence.platforms]
    shown = [_table(evidence, costs, *one) for one in measured if one[1]]
    return shown or ([_table(evidence, costs, None, [])] if costs else [])


def _costs(evidence: Evidence) -> dict[str, Row]:
    """By model, its operations, best at an input size that the suite compares."""
    sizes = [one.input_size for one in evidence.headlines]
    counted = evidence.cost.assign(shown=evidence.cost["input_size"].isin(sizes))
    counted = counted.sort_values(["shown", "classes", "input_size"], kind="stable")
    return {row["model"]: row for row in counted.drop_duplicates("model", keep="last").to_dict("records")}


def measured_on(evidence: Evidence, platform: Platform) -> list[tuple[str, Compared]]:
    """What was measured on a platform, by the titles of its columns."""
    columns = []
    for headline in {one.mode: one for one in evidence.headlines}.values():
        training = headline.mode == "train"
        for name, quantity in quantities(platform).items():
            one = compared(platform, [headline], quantity)
            known = any(one.value(*key) is not None or one.withheld(*key) for key in one.rows)
            if known and (name in TRAINING or not training):
                batch = f" at batch {min(headline.batch_sizes)}" if quantity.smallest else ""
                title = quantity.title.replace(" (", f"{batch} (")
                columns.append((f"{TRAINS}{title[0].lower()}{title[1:]}" if training else title, one))
    return columns


def _table(
    evidence: Evidence, costs: dict[str, Row], platform: Platform | None, measured: list[tuple[str, Compared]]
) -> Table:
    """One row a model, at the largest batch that the suite compares, and the latency at the smallest."""
    rows: dict[str, list[Row]] = {}
    for _, one in measured:
        for (model, _), row in one.rows.items():
            rows.setdefault(model, []).append(row)
    behind = {model: [costs[model]] if model in costs else [] for model in {*costs, *rows}}

    def notes(model: str) -> Field:
        every = {note for row in rows.get(model, []) for note in row_notes(row)}
        # By how much it was busy differs from row to row.
        return Field(notes=tuple(sorted({BUSY if note.startswith(BUSY) else note for note in every})))

    main = [one for _, one in measured if not one.quantity.smallest]
    settings = dict.fromkeys(setting for one in main for setting in one.settings)
    where = "of a forward pass"
    if platform:
        how = (
            ""
            if evidence.trains
            else f", in the memory layout and {HELD[platform.kind]} that training here uses"
        )
        said = "; ".join(settings).replace(f", {AS_TRAINED}", "")
        where = f"{AS_TRAINED if evidence.trains else 'of each model'} on the {platform.name}: {said}{how}"
    return Table.of(
        f"as-trained-{platform.key}" if platform else "as-trained",
        f"Cost {where}. A GMAC is 10⁹ multiply-adds, for one image."
        + ("" if platform else " Speed and memory were not measured."),
        [
            Column("Model", evidence.model_title),
            Column("Notes", notes, under="Model"),
            number("Parameters (M)", lambda model: millions(costs.get(model, {}).get("params"))),
            number("GMACs", lambda model: gmacs(costs.get(model, {}).get("flops"))),
            *(number(title, one.text) for title, one in measured),
        ],
        evidence.in_order(behind),
        runs=lambda model: [row["profile"] for row in behind[model] + rows.get(model, [])],
    )

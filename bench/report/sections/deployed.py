"""Where it will run: speed and memory of exported networks, what int8 costs, and both kinds side by side."""

from itertools import product

import pandas as pd

from bench.analysis.statistics import Contrast
from bench.report.blocks import Bullets, Column, Field, Section, Table, number
from bench.report.deployed import (
    Cost,
    Race,
    Row,
    Setting,
    costs_of_int8,
    races_of,
    rows_where_run,
    setting_name,
    settings_of,
)
from bench.report.document import INDEX
from bench.report.evidence import Evidence
from bench.report.measured import Platform, quantities
from bench.report.row_text import BUSY, WITHHELD, row_notes, withheld
from bench.report.text import NOT_MEASURED, counted, decimal, interval, percent, points, size_phrase
from bench.runtimes import TORCH, runtime_title
from bench.store.records.listing import HeadlineEntry

Measured = tuple[Setting, str, Row]


def deployed(evidence: Evidence) -> Section | None:
    """None where a suite asks neither for runtimes nor for conditions in int8."""
    headlines = [one for one in evidence.headlines if one.mode == "infer" and one.runtimes]
    measured = [
        (platform, headline, rows)
        for platform, headline in product(evidence.platforms, headlines)
        if (rows := rows_where_run(platform, headline))
    ]
    costs = list(costs_of_int8(evidence))
    if not (headlines or costs):
        return None
    races = [race for one in measured for race in races_of(evidence, *one)]
    told = tuple(race.sentence for race in races if race.equal and race.ratio is not None)
    return Section.of(
        "where-it-will-run",
        "Where it will run",
        (_speeds(evidence, *one) for one in measured),
        _cost_table(evidence, costs),
        _race_table(races),
        Bullets(told),
    )


def _speeds(evidence: Evidence, platform: Platform, headline: HeadlineEntry, rows: list[Measured]) -> Table:
    """A row a model and setting."""
    quantity = quantities(platform)
    models, order = evidence.in_order({model for _, model, _ in rows}), settings_of(headline)
    rows = sorted(rows, key=lambda one: (models.index(one[1]), order.index(one[0])))
    every = [part for _, _, row in rows for part in row.values()]
    versions = {
        f"{runtime_title(row['runtime'])} {row['runtime_version']}"
        for row in every
        if row["runtime"] != TORCH and isinstance(row["runtime_version"], str)
    }
    calibrated = {row["calibration"] for row in every if isinstance(row.get("calibration"), str)}

    def shown(name: str) -> Column:
        def content(one: Measured) -> str:
            row = one[2].get(name)
            if row is None or pd.isna(row[quantity[name].column]):
                return NOT_MEASURED
            return WITHHELD if withheld(row) else quantity[name].show(row[quantity[name].column])

        return number(quantity[name].title, content)

    def notes(one: Measured) -> Field:
        every = (note for row in one[2].values() for note in row_notes(row))
        return Field(notes=tuple(dict.fromkeys(BUSY if note.startswith(BUSY) else note for note in every)))

    def agreement(one: Measured) -> str:
        return percent(one[2].get("speed", {}).get("agreement")) if one[0][1] == "int8" else ""

    threads = counted(platform.threads, "thread") if platform.threads else "threads not known"
    caption = (
        f"Inference on the {platform.name}, {headline.input_size} px, {headline.classes} classes, {threads}: "
        f"images/s and {quantity['memory'].which} at batch {headline.batch_size}, latency at batch "
        f"{min(headline.batch_sizes)}. Exported networks run in {' and '.join(sorted(versions))}; every "
        "process held their outputs against PyTorch's in fp32 before it timed anything."
    )
    if calibrated:
        caption += (
            f" The networks measured here have random weights, and int8 was calibrated on "
            f"{'; '.join(sorted(calibrated))}. On how many of these the largest output stays the same is in "
            "the last column, and says nothing of accuracy."
        )
    columns = [
        Column("Model", lambda one: evidence.model_title(one[1])),
        Column("Runs in", lambda one: setting_name(one[0])),
        Column("Notes", notes, under="Runs in"),
        *map(shown, ("speed", "latency", "memory")),
    ]
    if calibrated:
        columns.append(number("Same class (%)", agreement))
    return Table.of(
        f"deployed-{platform.key}-{headline.input_size}px",
        caption,
        columns,
        rows,
        group_by=lambda one: one[1],
        runs=lambda one: [row["profile"] for row in one[2].values()],
    )


def _with_interval(result: Contrast) -> str:
    known = interval(result.low, result.high) if result.low is not None else "no interval"
    return f"({known}{', over test images alone' if result.images_only else ''})"


def _cost_table(evidence: Evidence, costs: list[Cost]) -> Table:
    columns = [
        Column("Comparison", lambda one: one.cell.comparison),
        Column("Trained on", lambda one: size_phrase(one.cell.shots, one.cell.images_per_class)),
        Column("Model", lambda one: evidence.cell_title(one.cell)),
        Column(
            "Notes",
            lambda one: Field(notes=(f"not trained: {one.cell.untrained}",) if one.cell.untrained else ()),
            under="Model",
        ),
        Column("Runs in", lambda one: setting_name((one.runtime, "int8"))),
        number("Accuracy in fp32 (%)", lambda one: percent(one.clean)),
        number("Accuracy in int8 (%)", lambda one: percent(one.int8)),
        number(
            "Difference (points)",
            lambda one: Field(points(one.difference.estimate), spread=_with_interval(one.difference)),
        ),
        number("Runs", lambda one: str(one.difference.replicates)),
    ]
    return Table.of(
        "int8",
        "What int8 costs in accuracy: the same trained networks, quantised after training and calibrated on "
        "images of their own training subset, on the same test images; top-1, int8 minus fp32, with 95 % "
        "intervals.",
        columns,
        costs,
        group_by=lambda one: (one.cell.comparison, one.cell.contestant),
        runs=lambda one: one.cell.runs,
    )


def _race_table(races: list[Race]) -> Table:
    columns = [
        Column("Comparison", lambda one: one.cnn.comparison),
        Column("Transformer", lambda one: one.transformer.title),
        Column("CNN", lambda one: one.cnn.title),
        Column("Runs in", lambda one: setting_name(one.setting)),
        Column("On", lambda one: one.platform.name, under="Runs in"),
        number(
            "Accuracy, transformer minus CNN (points)",
            lambda one: Field(points(one.difference), spread=f"({one.basis})"),
        ),
        Column("In accuracy", lambda one: one.accuracy),
        number(
            "Images/s, transformer over CNN",
            lambda one: NOT_MEASURED if one.ratio is None else decimal(one.ratio),
        ),
        Column("Faster", lambda one: one.faster or ("not told apart" if one.ratio else NOT_MEASURED)),
    ]
    return Table.of(
        "where-it-will-run",
        "Every transformer against each CNN that the suite contrasts it with, at the largest size of the "
        "comparison, where they will run. The accuracy in fp32 is that of PyTorch, which the outputs of the "
        "exported networks were held against; in int8 it was measured anew. Faster: the 95 % intervals of "
        "the two rates leave each other out.",
        columns,
        races,
        group_by=lambda one: (one.cnn.comparison, one.transformer.contestant, one.cnn.contestant),
        runs=lambda one: (*one.transformer.runs, *one.cnn.runs, *one.profiles),
    )


SECTION = deployed
LEVEL = INDEX

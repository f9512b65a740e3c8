"""What the models cost as they are trained here: operations, speed and memory in one table a machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.report.blocks import Column, Field, Flow, Section, Table, number
from bench.report.evidence import Evidence
from bench.report.measured import Headline, Platform, headline_rows, memory_column
from bench.report.row_text import MODES, rate, row_notes, three_digits, withheld
from bench.report.text import NOT_MEASURED, count, decimal, listed

Row = dict[str, Any]
TITLE = "Cost as trained"
GMAC = "A GMAC is 10⁹ multiply-adds, for one image."


@dataclass(frozen=True)
class _Costs:
    """One model on one machine: its counted `cost`, and rows by table, mode and batch size."""

    model: str
    cost: Row
    measured: dict[tuple[str, str, int], Row]

    def notes(self) -> tuple[str, ...]:
        notes = {note for row in self.measured.values() for note in row_notes(row)}
        return tuple(sorted(notes))


def measured_cost(evidence: Evidence) -> Section:
    """Parameters and operations, and by machine images/s, latency and memory of inference and training."""
    return Section.of("cost-as-trained", TITLE, _content(evidence))


def _content(evidence: Evidence) -> Iterator[Flow]:
    counted = evidence.cost.sort_values(["classes", "input_size"], kind="stable").drop_duplicates(
        "model", keep="last"
    )
    costs = {row["model"]: row for row in counted.to_dict("records")}
    tables = [_table(evidence, costs, platform) for platform in evidence.platforms]
    tables = [table for table in tables if table] or ([_counted(evidence, costs)] if costs else [])
    yield tables


def _counted(evidence: Evidence, costs: dict[str, Row]) -> Table:
    items = [_Costs(model, costs[model], {}) for model in evidence.in_order(costs)]
    caption = f"Parameters and operations of a forward pass; speed and memory were not measured. {GMAC}"
    return Table.of("as-trained", caption, _head(evidence), items, runs=lambda item: (item.cost["profile"],))


def _table(evidence: Evidence, costs: dict[str, Row], platform: Platform) -> Table | None:
    """One row a model, at the largest batch that the suite compares, and the latency at the smallest."""
    headlines = list({one.mode: one for one in evidence.headlines}.values())
    rows: dict[str, dict[tuple[str, str, int], Row]] = {}
    settings = []
    for headline in headlines:
        for table in ("speed", "memory"):
            if (comparable := headline_rows(platform, table, headline)) is None:
                continue
            if table == "speed":
                settings.append(comparable.setting)
            for row in comparable.rows.to_dict("records"):
                rows.setdefault(row["model"], {})[table, headline.mode, row["batch_size"]] = row
    if not rows:
        return None
    items = [_Costs(model, costs.get(model, {}), rows[model]) for model in evidence.in_order(rows)]
    columns = [*_head(evidence), *(column for one in headlines for column in _columns(platform, one))]
    columns = [
        column
        for column in columns
        if not column.numeric or any(Field.of(column.content(item)).text != NOT_MEASURED for item in items)
    ]
    batches = sorted({one.batch_size for one in headlines})
    return Table.of(
        f"as-trained-{platform.key}",
        f"Cost as trained on the {platform.name}: {'; '.join(settings) or 'memory alone'}. Rates and memory "
        f"are those of a batch of {listed([count(size) for size in batches])}. {GMAC}",
        columns,
        items,
        runs=lambda item: [
            *([item.cost["profile"]] if item.cost else []),
            *(row["profile"] for row in item.measured.values()),
        ],
    )


def _head(evidence: Evidence) -> list[Column]:
    return [
        Column("Model", lambda item: evidence.model_title(item.model)),
        Column("Notes", lambda item: Field(notes=item.notes()), under="Model"),
        number("Parameters (M)", lambda item: _of(item.cost, "params", lambda n: three_digits(n / 1e6))),
        number("GMACs", lambda item: _of(item.cost, "gmacs", three_digits)),
    ]


def _columns(platform: Platform, headline: Headline) -> Iterator[Column]:
    mode, large, small = headline.mode, headline.batch_size, min(headline.batch_sizes)
    name = MODES[mode].capitalize()
    peak, _ = memory_column(platform)

    def of(table: str, batch: int, column: str, form: Any) -> Any:
        return lambda item: _of(item.measured.get((table, mode, batch), {}), column, form)

    yield number(f"{name} (images/s)", of("speed", large, "images_per_s", rate))
    if mode == "infer":
        yield number(f"Latency at batch {small} (ms)", of("speed", small, "latency_ms_median", decimal))
    yield number(f"{name}: peak memory (MiB)", of("memory", large, peak, lambda mib: count(round(mib))))
    if mode == "infer":
        yield number("Energy (J/image)", of("speed", large, "energy_j_per_image", decimal))


def _of(row: Row, column: str, form: Any) -> str:
    """A number of a row, where it has one that is not withheld."""
    if row and withheld(row):
        return "withheld"
    value = row.get(column)
    return NOT_MEASURED if value is None or pd.isna(value) else form(value)

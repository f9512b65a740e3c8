"""The table of a report: a row a network and regime, with its accuracies and what it costs as trained."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import pandas as pd

from bench.analysis.groups import letters
from bench.report.blocks import Column, Field, Table, number
from bench.report.cells import Cell
from bench.report.data_sets import DataSet, Regime
from bench.report.evidence import Evidence
from bench.report.measured import Headline, Platform, headline_rows, memory_column
from bench.report.recommendation import declared
from bench.report.row_text import WITHHELD, rate, withheld
from bench.report.sections.answer_figure import Styles
from bench.report.text import count, decimal, percent

NOTHING = "–"
NAME = "answer"


@dataclass(frozen=True)
class Row:
    """A network in a regime with its cells, by images per class, and the letters of its group."""

    data: DataSet
    regime: Regime
    cells: dict[float, Cell]
    group: str

    @property
    def last(self) -> Cell:
        """Its cell with the most images."""
        return self.cells[max(self.cells)]

    @property
    def key(self) -> tuple[str, str]:
        """Its comparison and contestant."""
        return self.last.comparison, self.last.contestant


def answer_table(evidence: Evidence, every: Sequence[DataSet], styles: Styles) -> Table:
    """Every network and regime, data set by data set."""
    rows = [row for data in every for regime in data.regimes for row in _rows(evidence, data, regime)]
    sizes = sorted({size for data in every for size in data.sizes})
    measured, where = _measured(evidence, rows, lambda row: (row.last.model, row.last.input_size))
    columns = [
        Column("Data", lambda row: row.data.title),
        Column("Model", lambda row: Field(row.last.title, style=styles[row.key])),
        Column("Training", lambda row: row.regime.label, under="Model"),
        Column("Group", lambda row: row.group or NOTHING),
        *(_accuracy(size, every) for size in sizes),
        number("Parameters (M)", lambda row: _millions(evidence.records[row.last.runs[0]].model.params)),
        number("GMACs", lambda row: _gmacs(evidence.match.flops(*row.key))),
        *measured,
    ]
    caption = (
        "Test accuracy (%) by training images per class, and cost. Models of one data set and training that "
        "share a letter are not told apart by any contrast with the most images."
    )
    return Table.of(
        NAME,
        " ".join([caption, *where]),
        columns,
        rows,
        group_by=lambda row: row.data.title,
        runs=lambda row: [run for cell in row.cells.values() for run in cell.runs],
    )


def cost_table(evidence: Evidence) -> Table:
    """Of a suite that trains nothing: every model with its cost, in the first setting of inference."""
    headline = evidence.headlines[0]
    cost = evidence.cost[evidence.cost["input_size"] == headline.input_size]
    cost = cost.sort_values("classes", key=lambda own: own != headline.classes, kind="stable")
    counted = cost.drop_duplicates("model").set_index("model")
    models = evidence.in_order({*counted.index, *evidence.titles})
    measured, where = _measured(evidence, models, lambda model: (model, headline.input_size))

    def of(column: str, show: Callable[[Any], str]) -> Callable[[str], str]:
        return lambda model: show(counted.at[model, column] if model in counted.index else None)

    columns = [
        Column("Model", evidence.model_title),
        number("Parameters (M)", of("params", _millions)),
        number("GMACs", of("flops", _gmacs)),
        *measured,
    ]
    caption = f"Cost of a forward pass at {headline.input_size} px."
    runs = counted["profile"].tolist()
    return Table.of(NAME, " ".join([caption, *where]), columns, models, runs=runs)


def _rows(evidence: Evidence, data: DataSet, regime: Regime) -> Iterator[Row]:
    """The networks of a regime, the most accurate with the most images first."""
    own: dict[str, dict[float, Cell]] = {}
    for size in regime.sizes:
        for cell in regime.at(size):
            own.setdefault(cell.contestant, {})[size] = cell
    last = [cells[max(cells)] for cells in own.values()]
    last.sort(key=lambda cell: (-cell.images_per_class, -cell.scores["top1"].mean))
    groups = group_letters(evidence, [cell for cell in last if _at_end(cell, regime)])
    for cell in last:
        yield Row(data, regime, own[cell.contestant], groups.get(cell.contestant, ""))


def _at_end(cell: Cell, regime: Regime) -> bool:
    return cell.images_per_class == regime.sizes[-1] and not cell.untrained


def group_letters(evidence: Evidence, cells: Sequence[Cell]) -> dict[str, str]:
    """The letters of trained contestants of one comparison and size: only a verdict tells two apart."""
    findings = [declared(evidence.findings, a, b) for a, b in combinations(cells, 2)]
    at = [cell.contestant for cell in cells]
    apart = [
        (at.index(one.pair.a), at.index(one.pair.b))
        for one in findings
        if one and one.result and one.result.verdict in ("better", "worse")
    ]
    return dict(zip(at, letters(len(cells), apart), strict=True))


def _accuracy(size: float, every: Sequence[DataSet]) -> Column:
    whole = [cell.shots is None for data in every for cell in data.cells if cell.images_per_class == size]
    about = "about " if size % 1 else ""
    title = f"{about}{size:.0f}{' (all)' if all(whole) else ''}"

    def content(row: Row) -> Field:
        cell = row.cells.get(size)
        if cell is None:
            return Field(NOTHING)
        return Field(percent(cell.scores["top1"].mean), notes=("not trained",) if cell.untrained else ())

    return number(title, content)


Key = tuple[str, int]  # a model and its input size


def _measured(
    evidence: Evidence, items: Sequence[Any], key: Callable[[Any], Key]
) -> tuple[list[Column], list[str]]:
    """Images/s and memory of inference as trained, platform by platform, where any item has them; and the
    settings in words."""
    columns, where = [], []
    keys = {key(item) for item in items}
    largest = [
        replace(one, batch_sizes=(one.batch_size,))
        for one in evidence.headlines
        if one.mode == "infer" and one.input_size in {size for _, size in keys}
    ]
    for platform in evidence.platforms:
        on = f" ({platform.name})" if len(evidence.platforms) > 1 else ""
        memory, memory_words = memory_column(platform)
        settings = []
        known, setting = _values(platform, "speed", "images_per_s", rate, largest)
        if known.keys() & keys:
            columns.append(_known(f"Images/s{on}", key, known))
            settings += setting
        known, setting = _values(platform, "memory", memory, lambda value: count(round(value)), largest)
        if known.keys() & keys:
            columns.append(_known(f"Memory (MiB){on}", key, known))
            settings += [*setting, memory_words]
        if settings:
            where.append(f"Measured on the {platform.name}: {'; '.join(dict.fromkeys(settings))}.")
    if any(column.content(item) == WITHHELD for column in columns for item in items):
        where.append("Withheld: the measurement was unstable.")
    return columns, where


def _known(title: str, key: Callable[[Any], Key], known: dict[Key, str]) -> Column:
    return number(title, lambda item: known.get(key(item), NOTHING))


def _values(
    platform: Platform,
    table: str,
    column: str,
    show: Callable[[float], str],
    headlines: Sequence[Headline],
) -> tuple[dict[Key, str], list[str]]:
    """By model and input size the number as text, or that it is withheld; and the settings."""
    known, settings = {}, []
    for headline in headlines:
        comparable = headline_rows(platform, table, headline)
        if comparable is None:
            continue
        settings.append(comparable.setting)
        for row in comparable.rows.to_dict("records"):
            key = row["model"], headline.input_size
            if withheld(row):
                known[key] = WITHHELD
            elif row["outcome"] == "measured" and not pd.isna(row[column]):
                known[key] = show(row[column])
    return known, settings


def _millions(params: float | None) -> str:
    return NOTHING if params is None else decimal(params / 1e6, 1 if params >= 1e6 else 3)


def _gmacs(flops: float | None) -> str:
    return NOTHING if flops is None else decimal(flops / 2e9, 2 if flops >= 2e8 else 4)

"""What the chooser on the page reads: for every data set and size the advice, and what was measured."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.report.advice import advise, size_words
from bench.report.blocks import Chooser
from bench.report.cells import Cell
from bench.report.data_sets import DataSet
from bench.report.evidence import Evidence
from bench.report.measured import compared, quantities
from bench.report.row_text import WITHHELD
from bench.report.text import NOT_MEASURED, percent

Key = tuple[str, str]  # a comparison and a contestant
MEASURED = (
    ("speed", "Speed", "Fastest"),
    ("memory", "Little memory", "Least memory"),
    ("energy", "Little energy", "Least energy"),
)


@dataclass(frozen=True)
class Criterion:
    """Something to choose by: its name in the form, what the best of it is called, its known values, and why
    others are withheld."""

    name: str
    start: str
    unit: str
    show: Callable[[float], str]
    values: dict[Key, float]
    more: bool = False
    withheld: dict[Key, str] = field(default_factory=dict)

    def text(self, key: Key) -> str:
        """The value of a network with its unit, or why it has none."""
        if key in self.values:
            return f"{self.show(self.values[key])} {self.unit}"
        return f"{WITHHELD}: {self.withheld[key]}" if key in self.withheld else NOT_MEASURED


def chooser(evidence: Evidence, every: Sequence[DataSet]) -> Chooser:
    """The form. It begins with the first data set and its largest size at which most regimes were measured,
    and offers what was measured."""
    return Chooser({"data": [_data(evidence, data) for data in every]})


def _data(evidence: Evidence, data: DataSet) -> dict[str, Any]:
    criteria = [one for one in _criteria(evidence, data) if one.values]
    names = [{"name": one.name, "start": one.start, "more": one.more} for one in criteria]
    return {
        "label": data.title,
        "start": data.sizes.index(data.common_sizes[-1]),
        "criteria": [{"name": "Accuracy", "start": "Most accurate", "more": True}, *names],
        "sizes": [
            {
                "label": size_words(data.at(size)),
                "advice": " ".join(advise(evidence, data, size).sentences()),
                "rows": [_row(data, cell, criteria) for cell in data.at(size)],
            }
            for size in data.sizes
        ],
    }


def _criteria(evidence: Evidence, data: DataSet) -> Iterator[Criterion]:
    cells = {(cell.comparison, cell.contestant): cell for cell in data.cells}
    flops = {key: value / 2e9 for key in cells if (value := evidence.match.flops(*key))}
    yield Criterion("Few operations", "Fewest operations", "GMACs", "{:.3g}".format, flops)
    models = {key: evidence.records[cell.runs[0]].model for key, cell in cells.items()}
    params = {key: model.params / 1e6 for key, model in models.items() if model.params}
    yield Criterion("Few parameters", "Fewest parameters", "million parameters", "{:.3g}".format, params)
    for platform in evidence.platforms:
        inference = [one for one in evidence.headlines if one.mode == "infer"]
        of = quantities(platform)
        for name, title, start in MEASURED:
            one = compared(platform, inference, of[name])
            known = {key: one.value(cell.model, cell.input_size) for key, cell in cells.items()}
            values = {key: value for key, value in known.items() if value is not None}
            reasons = {key: one.withheld(cell.model, cell.input_size) for key, cell in cells.items()}
            lost = {key: reason for key, reason in reasons.items() if reason}
            title = f"{title}, {platform.name}"
            yield Criterion(title, start, of[name].unit, of[name].show, values, name == "speed", lost)


def _row(data: DataSet, cell: Cell, criteria: Sequence[Criterion]) -> dict[str, Any]:
    """A network with its accuracy and its costs: numbers to sort by, None where there is none, and texts."""
    key = cell.comparison, cell.contestant
    known = [one.values.get(key) for one in criteria]
    return {
        "name": data.name_of(cell),
        "untrained": cell.untrained,
        "accuracy": _accuracy(cell),
        "values": [None if cell.untrained else cell.scores["top1"].mean, *known],
        "texts": ["", *(one.text(key) for one in criteria)],
    }


def _accuracy(cell: Cell) -> str:
    text = f"{percent(cell.scores['top1'].mean)} %"
    known = cell.interval
    if known and known.low is not None:
        text += f" (95 % interval {percent(known.low)} to {percent(known.high)})"
    return text + (f", not trained: {cell.untrained}" if cell.untrained else "")

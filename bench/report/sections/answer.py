"""Level 1 of a report: the recommendation, the figure, the table, and the form to choose by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.analysis.groups import letters
from bench.report.blocks import Column, Field, Gallery, Section, Table, number
from bench.report.cells import Cell
from bench.report.chooser import chooser
from bench.report.data_sets import DataSet, Regime, data_sets
from bench.report.evidence import Evidence
from bench.report.leads import declared
from bench.report.measured import Compared, Platform, compared, quantities
from bench.report.recommendation import paragraphs, unfinished
from bench.report.row_text import gmacs, millions
from bench.report.sections.answer_figure import Styles, answer_figure, styles_of
from bench.report.text import percent
from bench.store.records.listing import HeadlineEntry

TITLE = "The answer"
NOTHING = "–"
GROUPS = (
    "Models of one data set and way of training share a letter where a primary contrast at the largest size "
    "compared them and told neither to be better; those that share none were told apart, or not compared."
)


def answer(evidence: Evidence) -> Section:
    """What to take on each data set with its limits, what that rests on, and the chooser."""
    said, every = [unfinished(evidence), paragraphs(evidence)], data_sets(evidence)
    if not every:
        return Section.of("answer", TITLE, said)
    styles = styles_of(evidence, every)
    figures = Gallery.of(answer_figure(evidence, data, styles) for data in every)
    table = answer_table(evidence, every, styles)
    return Section.of("answer", TITLE, said, figures, table, chooser(evidence, every))


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
    measured, where = _measured(evidence, rows)
    grouped = any(row.group for row in rows)
    columns = [
        Column("Data", lambda row: row.data.title),
        Column("Model", lambda row: Field(row.last.title, style=styles[row.key])),
        Column("Training", lambda row: row.regime.label, under="Model"),
        *([Column("Group", lambda row: row.group or NOTHING)] if grouped else []),
        *(_accuracy(size, every) for size in sizes),
        number("Parameters (M)", lambda row: millions(row.last.records[0].model.params, NOTHING)),
        number("GMACs", lambda row: gmacs(evidence.match.flops(*row.key), NOTHING)),
        *measured,
    ]
    caption = "Test accuracy (%) by training images per class, and cost."
    if grouped:
        caption += f" {GROUPS}"
    return Table.of(
        "answer",
        " ".join([caption, *where]),
        columns,
        rows,
        group_by=lambda row: row.data.title,
        runs=lambda row: [run for cell in row.cells.values() for run in cell.runs],
    )


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
    """The letters of trained contestants of one comparison and size; none of one that shares no letter.

    Two share one where a primary contrast, which alone has a verdict, did not tell them apart.
    """
    alike = {
        frozenset((a.contestant, b.contestant))
        for a, b in combinations(cells, 2)
        if (one := declared(evidence.findings, a, b))
        and one.result
        and one.result.verdict in ("equivalent", "inconclusive")
    }
    joined = [cell.contestant for cell in cells if any(cell.contestant in pair for pair in alike)]
    apart = [(joined.index(a), joined.index(b)) for a, b in combinations(joined, 2) if {a, b} not in alike]
    return dict(zip(joined, letters(len(joined), apart), strict=True))


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


def _measured(evidence: Evidence, rows: Sequence[Row]) -> tuple[list[Column], list[str]]:
    """Images/s and memory of inference as trained, platform by platform, where any row has them; and the
    settings in words."""
    columns, where = [], []
    keys = {(row.last.model, row.last.input_size) for row in rows}
    headlines = [
        one
        for one in evidence.headlines
        if one.mode == "infer" and one.input_size in {size for _, size in keys}
    ]
    measured = {platform.name: shown_on(platform, headlines, keys) for platform in evidence.platforms}
    measured = {name: shown for name, shown in measured.items() if shown}
    for name, shown in measured.items():
        on = f", {name}" if len(measured) > 1 else ""
        columns += [_known(f"{one.quantity.title}{on}", one) for one in shown]
        settings = [setting for one in shown for setting in (*one.settings, one.quantity.which) if setting]
        where.append(f"Measured on the {name}: {'; '.join(dict.fromkeys(settings))}.")
    every = [one for shown in measured.values() for one in shown]
    reasons = sorted(
        {one.withheld(row.last.model, row.last.input_size) for one in every for row in rows} - {""}
    )
    if reasons:
        where.append(f"Withheld: {' or '.join(reasons)} when it was measured.")
    return columns, where


def shown_on(
    platform: Platform, headlines: Sequence[HeadlineEntry], keys: set[tuple[str, int]]
) -> list[Compared]:
    """Throughput and memory on a platform, where any of the models has them."""
    of = quantities(platform)
    known = [compared(platform, headlines, of[name]) for name in ("speed", "memory")]
    return [one for one in known if one.rows.keys() & keys]


def _known(title: str, one: Compared) -> Column:
    return number(title, lambda row: one.text(row.last.model, row.last.input_size, NOTHING))

"""A measured table on one platform: rows in the settings in which models are compared, and the others."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from bench.report.blocks import Column, Content, Details, Field, Figure, Table, number
from bench.report.evidence import Evidence
from bench.report.lines import Line, line_figure
from bench.report.measured import ComparableRows, Headline, Platform, headline_rows, other_rows, trusted
from bench.report.row_text import (
    MODES,
    describe_execution,
    disturbed_sentence,
    row_notes,
    three_digits,
    withheld,
    withheld_sentence,
)
from bench.report.sections.unmeasured import unmeasured
from bench.report.text import count

Row = dict[str, Any]

MODE = Column("Mode", lambda row: MODES[row["mode"]])
NOTES = Column("Notes", lambda row: Field(notes=row_notes(row)), under="Model")
BATCH = number("Batch", lambda row: count(row["batch_size"]))
SHOWN = ["model", "mode", "device", "machine", "precision", "memory_format", "allocator", "compiled"]
"""What the data of a figure says of each row besides the numbers."""


def setting_of(row: Row) -> str:
    """In what setting a row was measured, besides its mode and batch."""
    return f"{describe_execution(row)}, {int(row['input_size'])} px, {count(row['classes'])} classes"


SETTING = Column("Setting", setting_of, under="Model")


def unless_withheld(title: str, content: Callable[[Row], Content], otherwise: str = "none") -> Column:
    """A column of numbers that are not shown where a row is withheld."""
    return number(title, lambda row: otherwise if withheld(row) else content(row))


@dataclass(frozen=True)
class MeasuredTable:
    """One of the tables speed, memory and end_to_end on one platform."""

    evidence: Evidence
    platform: Platform
    table: str

    @cached_property
    def compared(self) -> list[tuple[Headline, ComparableRows]]:
        """The headlines in whose setting something was measured, with the rows."""
        pairs = [(one, headline_rows(self.platform, self.table, one)) for one in self.evidence.headlines]
        return [(headline, rows) for headline, rows in pairs if rows]

    @property
    def setting(self) -> str:
        """The settings in which models are compared, for a caption."""
        return "; ".join(rows.setting for _, rows in self.compared)

    @property
    def others(self) -> pd.DataFrame:
        """The rows in other settings."""
        return other_rows(self.platform, self.table, self.evidence.headlines)

    def model(self) -> Column:
        """The model of a row, as it is drawn."""
        return Column("Model", lambda row: self.evidence.model_title(row["model"]))

    def in_order(self, rows: pd.DataFrame, by: Sequence[str]) -> list[Row]:
        """Rows in the order in which models are drawn, then by these columns."""
        if rows.empty:
            return []
        order = {model: k for k, model in enumerate(self.evidence.in_order(rows["model"]))}
        rows = rows.assign(order=rows["model"].map(order))
        return rows.sort_values(["order", *by], kind="stable").to_dict("records")

    def folded(self, caption: str, columns: Iterable[Column], rows: Sequence[Row]) -> Details | None:
        """A table of rows in other measured, folded away; None where there are none."""
        if not rows:
            return None
        name = f"{self.table.replace('_', '-')}-others-{self.platform.key}"
        table = Table.of(name, caption, columns, rows, runs=lambda row: (row["profile"],))
        return Details.of(f"Other settings ({len(rows)} rows)", table)

    def unmeasured(self, where: str) -> str | None:
        """A line that names the models of which nothing was measured in a setting that is compared."""
        models = [model for _, rows in self.compared for model in rows.rows["model"]]
        return unmeasured(self.evidence, models, where)

    def over_batches(
        self,
        headline: Headline,
        comparable: ComparableRows,
        column: str,
        y_label: str,
        *,
        name: str,
        quantity: str,
        caption: str,
        data: Sequence[str],
    ) -> Figure | None:
        """A column against the batch size; None where it was measured at one batch only.

        Args:
            y_label: the column with its unit in parentheses.
            quantity: what it is, for those who cannot see the figure.
            name: how the name of its file begins.
            data: columns of the figure's data besides the setting.
        """
        rows, done = comparable.rows, trusted(comparable.rows)
        if done["batch_size"].nunique() < 2:
            return None
        failed = rows[rows["outcome"] == "out_of_memory"]
        lines = lines_over(self.evidence, done, "batch_size", column, failed=failed, intervals=True)
        unit = y_label.partition("(")[2].removesuffix(")")
        ends = "; ".join(
            f"{line.title}: {three_digits(line.y[0])} {unit} at batch {line.x[0]:g}, "
            f"{three_digits(line.y[-1])} at {line.x[-1]:g}"
            for line in lines
        )
        if any(line.failed for line in lines):
            caption += " A cross marks the first batch that ran out of memory."
        several = len({one.input_size for one in self.evidence.headlines}) > 1
        without_number = (rows["outcome"] == "measured") & ~rows["profile"].isin(done["profile"])
        return line_figure(
            f"{name}-{headline.mode}-{self.platform.key}" + (f"-{headline.input_size}px" if several else ""),
            lines,
            x_label="Batch size (images)",
            y_label=y_label,
            caption=caption + disturbed_sentence(done) + withheld_sentence(rows, self.evidence.titles),
            alt=f"{quantity} ({MODES[headline.mode]}) against batch size on the {self.platform.name}. "
            f"{ends}.",
            data=rows[~without_number][[*SHOWN, "batch_size", "input_size", *data]],
            runs=rows["profile"],
        )


def lines_over(
    evidence: Evidence,
    rows: pd.DataFrame,
    x: str,
    y: str,
    *,
    failed: pd.DataFrame | None = None,
    intervals: bool = False,
) -> list[Line]:
    """One line a model, of one column over another.

    Args:
        failed: rows that ran out of memory, of which the first beyond the line's end is marked.
        intervals: whether to draw the ends of intervals, where there are columns of them.
    """
    lines = []
    for model in evidence.in_order(rows["model"]):
        own = rows[rows["model"] == model]
        low, high = (
            list(own[f"{y}_{end}"]) if intervals and f"{y}_{end}" in own else [] for end in ("low", "high")
        )
        beyond = []
        if failed is not None:
            beyond = list(failed.loc[(failed["model"] == model) & (failed[x] > own[x].max()), x])
        xs, ys = ([float(value) for value in own[name]] for name in (x, y))
        first_failed = [float(min(beyond))] if beyond else []
        style = evidence.model_styles[model]
        lines.append(Line(evidence.titles[model], style, xs, ys, low, high, first_failed))
    return lines

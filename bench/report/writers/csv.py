"""The report's tables as CSV: the numbers as they are printed, in plain signs."""

import csv
import re
from io import StringIO

from bench.escape import csv_text
from bench.report.blocks import Column, Field, Table

PERCENT = re.compile(r"\(([\d.]+) %\)")


def to_csv(table: Table) -> str:
    """A column for each of the table's, for each spread, and one of all notes of a row where it has any."""
    shown = [k for k in range(len(table.columns)) if any(row[k].text for row in table.rows)]
    spreads = [k for k in shown if any(row[k].spread for row in table.rows)]
    noted = any(field.notes for row in table.rows for field in row)
    lines = [[name for k in shown for name in _names(table.columns[k], k in spreads)] + ["notes"] * noted]
    for row in table.rows:
        values = [value for k in shown for value in _values(row[k], k in spreads)]
        notes = dict.fromkeys(note for field in row for note in field.notes)
        lines.append([*values, *[csv_text("; ".join(notes))] * noted])
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _names(column: Column, spread: bool) -> list[str]:
    return [column.title, f"{column.title}, {column.spread}"] if spread else [column.title]


def _values(field: Field, spread: bool) -> list[str]:
    text = field.number or csv_text(field.text)
    return [text, PERCENT.sub(r"\1", field.spread.removeprefix("± "))] if spread else [text]

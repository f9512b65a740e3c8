"""The report's tables for a paper: booktabs and siunitx, every text escaped."""

import textwrap
from dataclasses import replace

from bench.report.blocks import Column, Field, Table
from bench.report.document import Document
from bench.report.writers.escape import latex as escape

LONG_HEAD = 11
WIDTHS = ((80, 42), (30, 36), (18, 25))
"""Text of several words longer than so many characters is set so many mm wide."""


def latex_tables(document: Document) -> dict[str, str]:
    """Each table of the report by its name."""
    return {table.name: _table(table) for table in document.tables}


def _table(table: Table) -> str:
    """A float with caption and label (tab:NAME).

    To fit a page, what all rows have in common and what the notes say stands below, by letters.
    """
    columns, rows, shared = _narrowed(table)
    letters = {note: _letter(k) for k, note in enumerate(_all_notes(rows))}
    parts = [_column(column, [row[k] for row in rows], letters) for k, column in enumerate(columns)]
    layout = "".join(spec for spec, _, _ in parts)
    lines = [
        r"% Needs \usepackage{array,booktabs,siunitx}.",
        r"\begin{table}",
        r"\centering\footnotesize",
        rf"\caption{{{escape(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        " & ".join(head for _, head, _ in parts) + r" \\",
        r"\midrule",
    ]
    for index in range(len(rows)):
        if index and index in table.groups:
            lines.append(r"\addlinespace")
        lines.append(" & ".join(cells[index] for _, _, cells in parts) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    below = [rf"\textsuperscript{{{letter}}}\,{escape(note)}." for note, letter in letters.items()]
    below = [*(f"{escape(title)}: {escape(text)}." for title, text in shared), *below]
    if below:
        lines.append("\n".join([r"\par\smallskip\raggedright", *below]))
    lines.append(r"\end{table}")
    return "\n".join(lines) + "\n"


def _narrowed(table: Table) -> tuple[list[Column], list[list[Field]], list[tuple[str, str]]]:
    """Columns and rows that stay, and what the others say: (title, text) that holds for all rows.

    A column of notes alone joins the one that it stands under.
    """
    columns, rows = list(table.columns), [list(row) for row in table.rows]
    shared: list[tuple[str, str]] = []
    for k in reversed(range(len(columns))):
        column, fields = columns[k], [row[k] for row in rows]
        titles = [other.title for other in columns]
        if column.under and not any(field.text for field in fields):
            home = titles.index(column.under)
            for row, field in zip(rows, fields, strict=True):
                row[home] = replace(row[home], notes=row[home].notes + field.notes)
        elif len(rows) > 1 and not column.numeric and len(set(fields)) == 1 and not fields[0].notes:
            if text := " ".join(filter(None, [fields[0].text, fields[0].spread])):
                shared.insert(0, (column.title, text))
        else:
            continue
        del columns[k]
        for row in rows:
            del row[k]
    return columns, rows, shared


def _all_notes(rows: list[list[Field]]) -> list[str]:
    return list(dict.fromkeys(note for row in rows for field in row for note in field.notes))


def _letter(k: int) -> str:
    """a to z, then aa, ab and so on."""
    return (_letter(k // 26 - 1) if k >= 26 else "") + chr(ord("a") + k % 26)


def _column(column: Column, fields: list[Field], letters: dict[str, str]) -> tuple[str, str, list[str]]:
    """Layout, head and cells; a column with spreads is two columns of the tabular."""
    title = _head(column.title)
    if not column.numeric:
        return _width([field.text for field in fields]), title, [_text(field, letters) for field in fields]
    numbers = [field.number for field in fields if field.number]
    if not numbers:
        return "r", title, [_text(field, letters) for field in fields]
    cells = [
        field.number + (f"{{{_marks(field, letters)}}}" if field.notes else "")
        if field.number
        else f"{{{_text(replace(field, spread=''), letters)}}}"
        for field in fields
    ]
    signs = ",retain-explicit-plus" if any(text.startswith("+") for text in numbers) else ""
    layout = f"S[table-format={_format(numbers)}{signs}]"
    if not any(field.spread for field in fields):
        return layout, f"{{{title}}}", cells
    both = [f"{cell} & {escape(field.spread)}" for cell, field in zip(cells, fields, strict=True)]
    return layout + r"@{\,}l", rf"\multicolumn{{2}}{{c}}{{{title}}}", both


def _head(title: str) -> str:
    """A heading, on two lines where it is long."""
    lines = textwrap.wrap(title, max(LONG_HEAD, len(title) // 2 + 3), break_long_words=False)
    stacked = r" \\ ".join(map(escape, lines))
    return rf"\shortstack{{{stacked}}}" if len(lines) > 1 else stacked


def _width(texts: list[str]) -> str:
    """The layout of a column of text: on one line if short, else on several."""
    longest = max((len(text) for text in texts if " " in text), default=0)
    width = next((mm for characters, mm in WIDTHS if longest > characters), 0)
    return rf">{{\raggedright\arraybackslash}}p{{{width}mm}}" if width else "l"


def _format(numbers: list[str]) -> str:
    """Digits before and after the point, with room for a sign."""
    parts = [text.lstrip("+-").split(".") for text in numbers]
    whole = max(len(part[0]) for part in parts)
    after = max(len(part[1]) if len(part) > 1 else 0 for part in parts)
    sign = "+" if any(text[0] in "+-" for text in numbers) else ""
    return f"{sign}{whole}.{after}" if after else f"{sign}{whole}.0"


def _text(field: Field, letters: dict[str, str]) -> str:
    return escape(" ".join(filter(None, [field.text, field.spread]))) + _marks(field, letters)


def _marks(field: Field, letters: dict[str, str]) -> str:
    """The letters of a field's notes."""
    marks = ",".join(letters[note] for note in field.notes)
    return rf"\textsuperscript{{{marks}}}" if marks else ""

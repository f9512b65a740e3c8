"""The report's tables and numbers for a paper: booktabs and siunitx, every text escaped."""

import re

from bench.report.blocks import Column, Field, Header, Section, Table, walk
from bench.report.evidence import Evidence
from bench.report.text import MINUS, NARROW_SPACE, NOT_MEASURED, percent, points, slug
from bench.report.verdicts import verdict

NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    MINUS: "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    NARROW_SPACE: r"\,",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}

HEAD = r"""% Numbers of a VCBench report, by their keys: \vcnum{KEY}. Rendering again updates them.
% In text, \num{\vcnum{KEY}} of siunitx sets signs; accuracies are in percent, differences in points.
\providecommand{\vcnum}[1]{\ifcsname vcnum@#1\endcsname\csname vcnum@#1\endcsname\else
  \errmessage{vcbench: no number #1}\fi}
"""


def escape(text: str) -> str:
    """Text that LaTeX prints as it stands, on one line."""
    text = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split(" "))
    return "".join(ESCAPES.get(sign, sign) for sign in text).strip()


def tables(sections: list[Section]) -> dict[str, str]:
    """Each table of the report by its name."""
    found = [b for section in sections for b in walk(section.blocks) if isinstance(b, Table)]
    return {table.name: _table(table) for table in found}


def numbers(evidence: Evidence, header: Header) -> str:
    """A macro file with every accuracy and every contrast."""
    lines = [HEAD.rstrip(), _define("suite", escape(header.suite))]
    for cell in evidence.cells:
        key = f"{slug(cell.comparison)}/{slug(cell.contestant)}/{cell.shots or 'all'}"
        score = cell.scores["top1"]
        lines.append(_define(f"{key}/top1", percent(score.mean)))
        lines.append(_define(f"{key}/sd", percent(score.sd) if score.n > 1 else NOT_MEASURED))
        lines.append(_define(f"{key}/n", str(score.n)))
    for finding in evidence.findings:
        pair, result = finding.pair, finding.result
        key = f"{slug(pair.comparison)}/{slug(pair.a)}-{slug(pair.b)}/{pair.shots or 'all'}"
        for name in ("estimate", "low", "high"):
            value = points(getattr(result, name, None)).replace(MINUS, "-").removeprefix("+")
            lines.append(_define(f"{key}/{name.replace('estimate', 'difference')}", value))
        lines.append(_define(f"{key}/verdict", verdict(finding)))
    return "\n".join(lines) + "\n"


def _define(key: str, value: str) -> str:
    return rf"\expandafter\def\csname vcnum@{key}\endcsname{{{value}}}"


def _table(table: Table) -> str:
    """A tabular without float or caption, which the paper gives; the caption stands in a comment."""
    parts = [_column(table, place) for place in range(len(table.columns))]
    layout = "".join(spec for spec, _, _ in parts)
    lines = [
        f"% {escape(table.caption)}",
        r"% Needs \usepackage{booktabs,siunitx}.",
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        " & ".join(head for _, head, _ in parts) + r" \\",
        r"\midrule",
    ]
    for index in range(len(table.rows)):
        if index and index in table.groups:
            lines.append(r"\addlinespace")
        lines.append(" & ".join(cells[index] for _, _, cells in parts) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _column(table: Table, place: int) -> tuple[str, str, list[str]]:
    """Layout, head and cells; a column with spreads is two columns of the tabular."""
    column: Column = table.columns[place]
    fields = [row[place] for row in table.rows]
    title = escape(column.title)
    if not column.numeric:
        return "l", title, [_text(field) for field in fields]
    plain = [field.text.replace(MINUS, "-").replace(NARROW_SPACE, "") for field in fields]
    found = [text for text in plain if NUMBER.fullmatch(text)]
    if not found:
        return "r", title, [_text(field) for field in fields]
    cells = [
        text if NUMBER.fullmatch(text) else f"{{{_text(field)}}}"
        for text, field in zip(plain, fields, strict=True)
    ]
    layout = f"S[table-format={_format(found)}]"
    if not any(field.spread for field in fields):
        return layout, f"{{{title}}}", cells
    both = [f"{cell} & {escape(field.spread)}" for cell, field in zip(cells, fields, strict=True)]
    return layout + r"@{\,}l", rf"\multicolumn{{2}}{{c}}{{{title}}}", both


def _format(found: list[str]) -> str:
    """Digits before and after the point, with room for a sign."""
    parts = [text.lstrip("+-").split(".") for text in found]
    whole = max(len(part[0]) for part in parts)
    after = max(len(part[1]) if len(part) > 1 else 0 for part in parts)
    sign = "+" if any(text[0] in "+-" for text in found) else ""
    return f"{sign}{whole}.{after}" if after else f"{sign}{whole}.0"


def _text(field: Field) -> str:
    notes = "; ".join(field.notes)
    text = " ".join(filter(None, [field.text, field.spread]))
    return escape(f"{text} ({notes})" if text and notes else text or notes)

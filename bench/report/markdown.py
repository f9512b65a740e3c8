"""The report as Markdown, for a repository."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.report import blocks
from bench.report.blocks import Block, Header, Section, listed_before, numbered

Commands = Callable[[Iterable[str]], str]
LIST = re.compile(r"^(\d*)([-+=.)])")
SPECIAL = re.compile(r"([\\`*_\[\]|#$~])")


@dataclass(frozen=True)
class _Told:
    """What a block has to know of the others: numbers by name, earlier ones with its runs, the commands."""

    figures: dict[str, int]
    tables: dict[str, int]
    before: dict[tuple[str, str], blocks.Table | blocks.Figure]
    commands: Commands


def to_markdown(header: Header, sections: list[Section], commands: Commands) -> str:
    """The whole report as one document; figures are linked from figures/.

    Args:
        commands: what makes the numbers of a table or figure again, from the ids of its runs.
    """
    told = _Told(
        numbered(sections, blocks.Figure), numbered(sections, blocks.Table), listed_before(sections), commands
    )
    parts = [f"# {escape(header.title)}", paragraph(header.description)]
    parts.append("\n".join(f"- {escape(term)}: {escape(value)}" for term, value in header.facts))
    for section in sections:
        parts.append(f"## {escape(section.title)}")
        parts += [_block(block, told) for block in section.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Text that Markdown and HTML show as it stands, on one line."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", text)


def paragraph(text: str) -> str:
    """As `escape`, of a paragraph, whose beginning is no list, rule or heading."""
    return LIST.sub(r"\1\\\2", escape(text))


def _block(block: Block, told: _Told) -> str:
    match block:
        case blocks.Prose(text):
            return paragraph(text)
        case blocks.Heading(text):
            return f"### {escape(text)}"
        case blocks.Code(text):
            return _code(text)
        case blocks.Table():
            return _table(block, told.tables[block.name]) + _runs(block, told)
        case blocks.Figure():
            return _figure(block, told.figures[block.name]) + _runs(block, told)
        case blocks.Gallery(figures):
            return "\n\n".join(_block(figure, told) for figure in figures)
        case blocks.Claims(claims):
            return "\n".join(_claim(claim, told.tables[claim.table]) for claim in claims)
        case blocks.Chooser():
            return "The page index.html has a form to choose a model by the number of images per class."
        case blocks.Details(summary, inner):
            body = "\n\n".join(_block(part, told) for part in inner)
            return _folded(escape(summary), body)


def _claim(claim: blocks.Claim, number: int) -> str:
    notes = f" ({'; '.join(map(escape, claim.notes))})" if claim.notes else ""
    return (
        f"- **{escape(claim.verdict)}**: {escape(claim.text)}{notes} [Table {number}](#table-{claim.table})"
    )


def _table(table: blocks.Table, number: int) -> str:
    lines = [
        " | ".join(escape(column.title) for column in table.columns),
        " | ".join("--:" if column.numeric else ":--" for column in table.columns),
        *(" | ".join(_cell(cell) for cell in row) for row in table.rows),
    ]
    body = "\n".join(f"| {line} |" for line in lines)
    return f'<a id="table-{table.name}"></a>**Table {number}.** {escape(table.caption)}\n\n{body}'


def _cell(cell: blocks.Field) -> str:
    text = escape(" ".join(filter(None, [cell.text, cell.spread])))
    notes = "; ".join(escape(note) for note in cell.notes)
    return f"{text} ({notes})" if text and notes else text or notes


def _figure(figure: blocks.Figure, number: int) -> str:
    files = ", ".join(
        f"[{kind}](figures/{figure.name}.{kind.lower()})" for kind in ("SVG", "PNG", "PDF", "CSV")
    )
    picture = f"![{escape(figure.alt)}](figures/{figure.name}.png)"
    return f"{picture}\n\n**Figure {number}.** {escape(figure.caption)} ({files})"


def _runs(block: blocks.Table | blocks.Figure, told: _Told) -> str:
    """The commands and run ids behind a table or figure, folded."""
    runs, before = block.runs, told.before.get((block.kind, block.name))
    listing = ", ".join(map(escape, runs))
    if before:
        number = (told.tables if before.kind == "table" else told.figures)[before.name]
        listing = f"The same runs as behind {before.kind.capitalize()} {number}, where they are listed."
    summary = f"Commands and runs behind it ({len(runs)})" if runs else "Command behind it"
    return "\n\n" + _folded(summary, "\n\n".join(filter(None, [_code(told.commands(runs)), listing])))


def _code(text: str) -> str:
    # As CommonMark has it: a fence longer than any row of backticks in the text, so that nothing ends it.
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}"


def _folded(summary: str, body: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"

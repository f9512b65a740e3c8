"""What a section of the report is made of, independent of how it is written out (HTML, Markdown)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
from matplotlib.figure import Figure as Drawing

from bench.report.style import Look

NAME = re.compile("[a-z0-9-]{1,240}")


@dataclass(frozen=True)
class Prose:
    """A paragraph of plain text."""

    text: str
    kind: ClassVar[str] = "prose"


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Code:
    """Commands to be copied as they stand."""

    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Field:
    """What stands in one column of one row of a table.

    `spread` is printed after `text` in a lighter hand, `notes` are what must be known to read the
    number, `look` shows how a model is drawn in the figures, and `code` marks a name to be typed.
    """

    text: str = ""
    spread: str = ""
    notes: tuple[str, ...] = ()
    look: Look | None = None
    code: bool = False


@dataclass(frozen=True)
class Column:
    """The head of a column; numbers are aligned to the right, and `wide` text may run over several lines.

    On a page, where width is short, a column that is `under` another stands below it in the same row,
    after its `label`.
    """

    title: str
    numeric: bool = False
    wide: bool = False
    under: str = ""
    label: str = ""


@dataclass(frozen=True)
class Table:
    """A table; rows whose index is in `groups` begin a new group. `runs` are the ids behind it."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Field, ...], ...]
    groups: frozenset[int] = frozenset()
    runs: tuple[str, ...] = ()
    kind: ClassVar[str] = "table"

    def __post_init__(self) -> None:
        _check_name(self.name)


@dataclass(frozen=True)
class Figure:
    """A drawn figure: `name` is that of its files, `data` the numbers it shows, `runs` the ids behind it.

    `drawing` is what matplotlib made the files from.
    """

    name: str
    caption: str
    alt: str
    svg: str
    png: bytes
    pdf: bytes
    drawing: Drawing
    data: pd.DataFrame
    runs: tuple[str, ...] = ()
    kind: ClassVar[str] = "figure"

    def __post_init__(self) -> None:
        _check_name(self.name)


def _check_name(name: str) -> None:
    """A name becomes a file and an address on the page: lower-case letters, digits and hyphens."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r}: no name for a table or figure; make it with bench.files.slug")


@dataclass(frozen=True)
class Gallery:
    """Figures that stand side by side where there is room."""

    figures: tuple[Figure, ...]
    kind: ClassVar[str] = "gallery"


@dataclass(frozen=True)
class Claim:
    """One sentence of the answer: `verdict` in a word, `notes` that qualify it, and the `table` behind it."""

    text: str
    verdict: str
    notes: tuple[str, ...]
    table: str


@dataclass(frozen=True)
class Claims:
    """The answer: sentences with their evidence."""

    claims: tuple[Claim, ...]
    kind: ClassVar[str] = "claims"


@dataclass(frozen=True)
class Chooser:
    """A form that answers from the measured rows; `data` is what its script reads."""

    data: dict[str, Any]
    kind: ClassVar[str] = "chooser"


@dataclass(frozen=True)
class Details:
    """Blocks that are folded away until asked for."""

    summary: str
    blocks: tuple["Block", ...]
    kind: ClassVar[str] = "details"


Block = Prose | Heading | Code | Table | Figure | Gallery | Claims | Chooser | Details


@dataclass(frozen=True)
class Section:
    """A part of the report with a title of its own; `anchor` is its address on the page."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Header:
    """The head of the report; `facts` are terms with their values."""

    suite: str
    title: str
    description: str
    facts: tuple[tuple[str, str], ...]


def not_measured(anchor: str, title: str, what: str) -> Section:
    """A section whose subject was not measured says so."""
    return Section(anchor, title, (Prose(f"Not measured: {what}."),))


def walk(blocks: Iterable[Block]) -> Iterator[Block]:
    """All blocks in reading order, with those inside others."""
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from walk(block.blocks)
        elif isinstance(block, Gallery):
            yield from block.figures


def numbered(sections: Iterable[Section], kind: type[Table] | type[Figure]) -> dict[str, int]:
    """The numbers, from 1, of all figures or tables by their names."""
    found = [block for section in sections for block in walk(section.blocks) if isinstance(block, kind)]
    return {block.name: number for number, block in enumerate(found, start=1)}


def listed_before(sections: Iterable[Section]) -> dict[tuple[str, str], Table | Figure]:
    """For a table or figure (its kind and name), an earlier one with the same runs behind it."""
    first: dict[frozenset[str], Table | Figure] = {}
    found = {}
    for block in (block for section in sections for block in walk(section.blocks)):
        if isinstance(block, Table | Figure) and block.runs:
            earlier = first.setdefault(frozenset(block.runs), block)
            if earlier is not block:
                found[block.kind, block.name] = earlier
    return found

"""What a section of the report is made of, independent of how it is written out (HTML, Markdown, LaTeX)."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import pandas as pd
from matplotlib.figure import Figure as Drawing

from bench.report.style import Style, saved
from bench.report.text import MINUS, NARROW_SPACE

NAME = re.compile("[a-z0-9-]{1,240}")
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


class Block:
    """What a section consists of."""

    @property
    def kind(self) -> str:
        """What a template calls it."""
        return type(self).__name__.lower()

    @property
    def empty(self) -> bool:
        """Whether it is to hold rows, figures, blocks or items and has none: then it is left out."""
        return any(getattr(self, parts, None) == () for parts in ("rows", "figures", "blocks", "items"))


@dataclass(frozen=True)
class Prose(Block):
    """A paragraph of plain text; its first words, the `lead`, stand out."""

    text: str
    lead: str = ""


@dataclass(frozen=True)
class Heading(Block):
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Bullets(Block):
    """Short statements, one below the other."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Code(Block):
    """Commands to be copied as they stand."""

    text: str


@dataclass(frozen=True)
class Field:
    """What stands in one column of one row of a table.

    `spread` is printed after `text` in a lighter hand, `notes` are what must be known to read the
    number, `style` shows how a model is drawn in the figures, and `code` marks a name to be typed. `link` is
    the anchor of a section or table that the text leads to, where the report has it.
    """

    text: str = ""
    spread: str = ""
    notes: tuple[str, ...] = ()
    style: Style | None = None
    code: bool = False
    link: str = ""

    @property
    def number(self) -> str | None:
        """The text in plain signs, where it is a number."""
        plain = self.text.replace(MINUS, "-").replace(NARROW_SPACE, "")
        return plain if NUMBER.fullmatch(plain) else None

    @classmethod
    def of(cls, content: "Content") -> "Field":
        """A field of plain text, or of a mean and its spread (empty where there is none)."""
        if isinstance(content, Field):
            return content
        if isinstance(content, str):
            return cls(content)
        mean, spread = content
        return cls(mean, spread=f"± {spread}" if spread else "")


Content = str | tuple[str, str] | Field


@dataclass(frozen=True)
class Column:
    """A column: its title, and what it shows of an item that a row is about; without a function for this,
    what the item has under its title.

    Numbers are aligned to the right, and `wide` text may run over several lines. On a page, where width is
    short, a column that is `under` another stands below it in the same row, after its `label`. `spread` is
    what the spreads of its fields are called in a file.
    """

    title: str
    content: Callable[[Any], Content] | None = field(default=None, compare=False)
    numeric: bool = False
    wide: bool = False
    under: str = ""
    label: str = ""
    spread: str = "spread"

    def on(self, part: Callable[[Any], Any]) -> "Column":
        """The same column for items of which it shows a part."""
        return replace(self, content=lambda item: self.show(part(item)))

    def show(self, item: Any) -> Field:
        """What stands in the row about an item."""
        return Field.of(self.content(item) if self.content else item[self.title])


def number(title: str, content: Callable[[Any], Content] | None = None, spread: str = "spread") -> Column:
    """A column of numbers."""
    return Column(title, content, numeric=True, spread=spread)


class Numbered(Block):
    """A table or figure: `name` is that of its files, `runs` are the ids behind it, each once."""

    name: str
    caption: str
    runs: Sequence[str]

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r}: no name for a table or figure; make it with bench.files.slug")
        object.__setattr__(self, "runs", tuple(dict.fromkeys(self.runs)))

    @property
    def anchor(self) -> str:
        """Its address on the page."""
        return f"{self.kind}-{self.name}"


@dataclass(frozen=True)
class Table(Numbered):
    """A table; rows whose index is in `groups` begin a new group."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Field, ...], ...]
    groups: frozenset[int] = frozenset()
    runs: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        name: str,
        caption: str,
        columns: Iterable[Column],
        items: Iterable[Any],
        *,
        group_by: Callable[[Any], Any] | None = None,
        runs: Iterable[str] | Callable[[Any], Iterable[str]] = (),
    ) -> Self:
        """A table with one row an item.

        Args:
            group_by: a new group begins where its value changes.
            runs: the ids behind the table, or a function that gives those behind an item.
        """
        items, columns = list(items), tuple(columns)
        keys = [group_by(item) for item in items] if group_by else []
        behind = (run for item in items for run in runs(item)) if callable(runs) else runs
        return cls(
            name,
            caption,
            columns,
            tuple(tuple(column.show(item) for column in columns) for item in items),
            frozenset(k for k, key in enumerate(keys) if not k or key != keys[k - 1]),
            tuple(behind),
        )


@dataclass(frozen=True)
class Figure(Numbered):
    """A drawing with its caption: `alt` says what it shows, for screen readers, `data` are its numbers.

    Equal drawings give equal bytes.
    """

    drawing: Drawing
    name: str
    caption: str
    alt: str
    data: pd.DataFrame
    runs: Sequence[str] = ()

    @cached_property
    def svg(self) -> str:
        """Drawn as SVG."""
        return re.sub(r"<!--.*?-->\s*", "", saved(self.drawing, "svg").decode(), flags=re.DOTALL)

    @cached_property
    def png(self) -> bytes:
        """Drawn as PNG."""
        return saved(self.drawing, "png")

    @cached_property
    def pdf(self) -> bytes:
        """Drawn as PDF."""
        return saved(self.drawing, "pdf")


@dataclass(frozen=True)
class Gallery(Block):
    """Figures that stand side by side where there is room."""

    figures: tuple[Figure, ...]

    @classmethod
    def of(cls, figures: Iterable[Figure | None]) -> Self:
        """The figures that there are."""
        return cls(tuple(filter(None, figures)))


@dataclass(frozen=True)
class Chooser(Block):
    """A form that answers from the measured rows; `data` is what its script reads."""

    data: dict[str, Any]


@dataclass(frozen=True)
class Details(Block):
    """Blocks that are folded away until asked for."""

    summary: str
    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, summary: str, *content: "Flow") -> Self:
        """All blocks of the content, one after the other."""
        return cls(summary, tuple(flatten(content)))


Flow = Block | str | None | Iterable["Flow"]
"""What a section is written from: blocks, text for paragraphs, and series of these; None is nothing."""


@dataclass(frozen=True)
class Section:
    """A part of the report with a title of its own; where it has no blocks, nothing of it was measured: it is
    left out, and named at the end of the page.

    Attributes:
        anchor: its address.
        says_little: of a section of the page, that it stands in the appendix this time.
    """

    anchor: str
    title: str
    blocks: tuple[Block, ...]
    says_little: bool = False

    @classmethod
    def of(cls, anchor: str, title: str, *content: Flow) -> Self:
        """All blocks of the content, one after the other."""
        return cls(anchor, title, tuple(flatten(content)))

    @classmethod
    def measured(cls, anchor: str, title: str, text: str, *content: Flow) -> Self:
        """All blocks of the content, if there are any, after a text on how to read them."""
        blocks = tuple(flatten(content))
        return cls(anchor, title, (Prose(text), *blocks) if blocks else ())


def flatten(content: Flow) -> Iterator[Block]:
    """The blocks of a section's content, without those that have nothing to show."""
    if isinstance(content, str):
        yield Prose(content)
    elif isinstance(content, Block):
        if not content.empty:
            yield content
    elif content is not None:
        for part in content:
            yield from flatten(part)


def walk(blocks: Iterable[Block]) -> Iterator[Block]:
    """All blocks in reading order, with those inside others."""
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from walk(block.blocks)
        elif isinstance(block, Gallery):
            yield from block.figures

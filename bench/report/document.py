"""A report before it is written out: head, page and appendix, with figures and tables numbered."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.report.blocks import Block, Figure, Numbered, Section, Table, walk

INDEX, APPENDIX = "index", "appendix"
"""The two files that a report has, without their endings."""


@dataclass(frozen=True)
class Header:
    """The head of the report; `facts` are terms with their values, which stand in the appendix."""

    suite: str
    title: str
    description: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Document:
    """A report before it is written out.

    Attributes:
        page: the sections that are read in ten minutes.
        appendix: all others.
        commands: gives the commands that make the numbers behind run ids again, one a line.
    """

    header: Header
    page: list[Section]
    appendix: list[Section]
    commands: Callable[[Iterable[str]], str]

    def __iter__(self) -> Iterator[Block]:
        """All blocks in reading order, with those inside others."""
        for section in (*self.page, *self.appendix):
            yield from walk(section.blocks)

    @property
    def figures(self) -> list[Figure]:
        """All figures, in reading order."""
        return [block for block in self if isinstance(block, Figure)]

    @property
    def tables(self) -> list[Table]:
        """All tables, in reading order."""
        return [block for block in self if isinstance(block, Table)]

    @cached_property
    def _labels(self) -> dict[str, str]:
        kinds: tuple[Sequence[Numbered], ...] = (self.tables, self.figures)
        return {one.anchor: f"{one.kind.capitalize()} {k}" for own in kinds for k, one in enumerate(own, 1)}

    def label(self, block: Numbered) -> str:
        """What a table or figure is called, with its number: "Table 3"."""
        return self._labels[block.anchor]

    @cached_property
    def behind(self) -> list[tuple[tuple[str, ...], list[Numbered]]]:
        """The runs behind tables and figures: each set of them once, with what was made from it."""
        groups: dict[tuple[str, ...], list[Numbered]] = {}
        for block in self:
            if isinstance(block, Numbered) and block.runs:
                groups.setdefault(tuple(sorted(block.runs)), []).append(block)
        return list(groups.items())

    @cached_property
    def _entries(self) -> dict[str, int]:
        return {one.anchor: k for k, (_, made) in enumerate(self.behind, start=1) for one in made}

    def entry(self, block: Numbered) -> int | None:
        """The number under which the runs of a table or figure are listed; None where it has none."""
        return self._entries.get(block.anchor)

    @cached_property
    def files(self) -> dict[str, str]:
        """By anchor of a section, table or figure, which of the two files has it."""
        files: dict[str, str] = {}
        for file, sections in ((APPENDIX, self.appendix), (INDEX, self.page)):
            for section in sections:
                own = [one.anchor for one in walk(section.blocks) if isinstance(one, Numbered)]
                files |= dict.fromkeys([section.anchor, *own], file)
        return files

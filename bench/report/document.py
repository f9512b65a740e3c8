"""A report before it is written out: head, page and appendix, with figures and tables numbered."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.report.blocks import Block, Figure, Section, Table, walk

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
    def _numbers(self) -> dict[tuple[str, str], int]:
        kinds: tuple[Sequence[Table | Figure], ...] = (self.tables, self.figures)
        return {(one.kind, one.name): k for blocks in kinds for k, one in enumerate(blocks, start=1)}

    def number(self, kind: str, name: str) -> int:
        """The number, from 1, of a "table" or "figure"."""
        return self._numbers[kind, name]

    @cached_property
    def behind(self) -> list[tuple[tuple[str, ...], list[Table | Figure]]]:
        """The runs behind tables and figures: each set of them once, with what was made from it."""
        groups: dict[tuple[str, ...], list[Table | Figure]] = {}
        for block in self:
            if isinstance(block, Table | Figure) and block.runs:
                groups.setdefault(tuple(sorted(block.runs)), []).append(block)
        return list(groups.items())

    @cached_property
    def _entries(self) -> dict[tuple[str, str], int]:
        return {(one.kind, one.name): k for k, (_, made) in enumerate(self.behind, start=1) for one in made}

    @cached_property
    def _files(self) -> dict[str, str]:
        """The file of each anchor."""
        files: dict[str, str] = {}
        for file, sections in ((APPENDIX, self.appendix), (INDEX, self.page)):
            for section in sections:
                own = [one for one in walk(section.blocks) if isinstance(one, Table | Figure)]
                files |= dict.fromkeys([section.anchor, *(f"{one.kind}-{one.name}" for one in own)], file)
        return files

    def file_of(self, anchor: str) -> str | None:
        """Which of the two files has an anchor; None where neither has."""
        return self._files.get(anchor)

    def entry(self, kind: str, name: str) -> int | None:
        """The number under which the runs of a "table" or "figure" are listed; None where it has none."""
        return self._entries.get((kind, name))

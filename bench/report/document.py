"""A whole report before it is written out: its head and its sections, with figures and tables numbered."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.report.blocks import Block, Figure, Section, Table, walk


@dataclass(frozen=True)
class Header:
    """The head of the report; `facts` are terms with their values."""

    suite: str
    title: str
    description: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Document:
    """A report before it is written out.

    Attributes:
        commands: gives the commands that make the numbers behind run ids again, one a line.
    """

    header: Header
    sections: list[Section]
    commands: Callable[[Iterable[str]], str]

    def __iter__(self) -> Iterator[Block]:
        """All blocks in reading order, with those inside others."""
        for section in self.sections:
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
    def listed_before(self) -> dict[tuple[str, str], Table | Figure]:
        """For a table or figure (its kind and name), an earlier one with the same runs behind it."""
        first: dict[frozenset[str], Table | Figure] = {}
        earlier = {}
        for block in self:
            if isinstance(block, Table | Figure) and block.runs:
                other = first.setdefault(frozenset(block.runs), block)
                if other is not block:
                    earlier[block.kind, block.name] = other
        return earlier

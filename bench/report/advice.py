"""What to take for one number of images per class, and how sure that is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.report.cells import Cell
from bench.report.data_sets import DataSet, Regime, left_out
from bench.report.evidence import Evidence
from bench.report.leads import Lead, Strength, lead, rivals
from bench.report.text import counted, listed, percent
from bench.report.verdicts import what_would_decide


@dataclass(frozen=True)
class Choice:
    """What to take, and how sure that is: `names` are two where both do, none where none was trained."""

    strength: Strength | Literal["only", "none"]
    names: tuple[str, ...]

    def words(self, where: str, named: Iterable[str] = ()) -> str:
        """The choice in a sentence, after "take".

        Args:
            where: with how many images.
            named: two networks that stand before it.
        """
        names = (
            "either of the two"
            if len(self.names) == 2 and {*self.names} == {*named}
            else " or ".join(self.names)
        )
        certainty = {
            "decided": "",
            "likely": " (likely, not decided)",
            "even": " (no clear difference)",
            "unclear": " (too few runs to tell)",
            "only": " (no other network was trained)",
            "none": " (no network was trained)",
        }
        return f"{names or 'none'} {where}{certainty[self.strength]}"


@dataclass(frozen=True)
class Advice:
    """What follows for one number of images per class.

    Attributes:
        leads: in each regime the best network against the best of the other kind.
        best: the same over all regimes; None where fewer than two networks were trained.
        cells: all that was measured.
    """

    data: DataSet
    size: float
    leads: tuple[tuple[Regime, Lead], ...]
    best: Lead | None
    cells: tuple[Cell, ...]

    @property
    def choice(self) -> "Choice":
        """What to take; equal where the advice is the same."""
        trained = [cell for cell in self.cells if not cell.untrained]
        if self.best is None:
            return Choice("only" if trained else "none", tuple(map(self.data.name_of, trained)))
        both = tuple(self.data.name_of(cell) for cell in (self.best.ahead, self.best.behind))
        if self.best.strength == "even":
            return Choice("even", tuple(sorted(both)))
        return Choice(self.best.strength, both[:1])

    def sentences(self) -> list[str]:
        """The choice with its numbers, for this number of images per class alone."""
        sentences = [f"Take {self.choice.words(f'with {size_words(self.cells)}')}."]
        sentences += [f"{sentence_case(regime.phrase)}, {who_leads(one)}." for regime, one in self.leads]
        if self.best and self.best.ahead.comparison != self.best.behind.comparison:
            sentences.append(best_of_each(self.data, self.best))
        if self.best and self.best.finding and (decide := what_would_decide(self.best.finding)):
            sentences.append(decide)
        missing = [regime for regime in self.data.regimes if self.size not in regime.sizes]
        if missing:
            names = listed([regime.label for regime in missing])
            sentences.append(f"Not measured with so many images: {names}.")
        return [*filter(None, [*sentences, left_out(self.cells, sizes=False)])]


def advise(evidence: Evidence, data: DataSet, size: float) -> Advice:
    """The advice for one data set and one of its sizes."""
    cells = data.at(size)
    leads = []
    for regime in data.regimes:
        if pair := rivals(regime.at(size)):
            leads.append((regime, lead(evidence, *pair)))
    best = rivals(cells)
    return Advice(data, size, tuple(leads), lead(evidence, *best) if best else None, tuple(cells))


def best_of_each(data: DataSet, best: Lead) -> str:
    """Both networks, each in the regime in which it is best."""
    if best.ahead.comparison == best.behind.comparison:
        return f"So each of the two is best {data.regime_of(best.ahead).phrase}."
    sides = [(cell, best.paired(cell)) for cell in (best.ahead, best.behind)]
    ahead, behind = (f"{data.name_of(cell)} ({percent(score.mean)} %)" for cell, score in sides)
    all_runs = all(len(cell.runs) == score.n for cell, score in sides)
    over = "" if all_runs else f" over their {counted(sides[0][1].n, 'common replicate')}"
    return (
        f"Comparing the best of each{over}, {ahead} is ahead of {behind} by {best.points}{best.basis}; "
        "that is no verdict, as the same accuracies chose the ways of training."
    )


def who_leads(one: Lead, cells: Sequence[Cell] = ()) -> str:
    """Which network is ahead, by how much and with what basis, in words."""
    with_size = f" with {size_words(cells)}" if cells else ""
    if not one.difference:
        return f"{one.ahead.title} and {one.behind.title} are equally accurate{with_size}{one.basis}"
    return f"{one.ahead.title} is ahead of {one.behind.title} by {one.points}{with_size}{one.basis}"


def size_words(cells: Sequence[Cell]) -> str:
    """How many images per class, in a sentence."""
    size = cells[0].images_per_class
    every = "all " if any(cell.shots is None for cell in cells) and not size % 1 else ""
    about = "about " if size % 1 else ""
    return f"{every}{about}{counted(round(size), 'image')} per class"


def sentence_case(text: str) -> str:
    """With a capital at its beginning."""
    return text[0].upper() + text[1:]

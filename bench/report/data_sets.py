"""Data sets with the ways in which networks are trained on them, for level 1 of a report and the chooser.

A regime is a comparison of the suite. One whose trials are all in another adds nothing and is left out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.analysis.names import dataset_title
from bench.report.cells import Baseline, Cell
from bench.report.evidence import Evidence
from bench.report.text import listed, percent
from bench.report.verdicts import words_of
from bench.store.records.listing import ComparisonEntry


@dataclass(frozen=True)
class Regime:
    """A way of training: a comparison with its measured cells; `label`, `phrase` as in `verdicts.WORDS`."""

    comparison: ComparisonEntry
    label: str
    phrase: str
    cells: tuple[Cell, ...]

    def at(self, size: float) -> list[Cell]:
        """The cells with so many images per class, of which the whole split stands for a subset as large."""
        return list({cell.contestant: cell for cell in self.cells if cell.images_per_class == size}.values())

    @property
    def sizes(self) -> list[float]:
        """The images per class that were measured, rising."""
        return sorted({cell.images_per_class for cell in self.cells})


@dataclass(frozen=True)
class DataSet:
    """A data set and split with its regimes, in the order of the suite."""

    name: str
    split_id: str | None
    title: str
    regimes: tuple[Regime, ...]

    @property
    def sizes(self) -> list[float]:
        """The images per class that any regime was measured with, rising."""
        return sorted({size for regime in self.regimes for size in regime.sizes})

    @property
    def common_sizes(self) -> list[float]:
        """Those of `sizes` that most regimes were measured with."""
        number = {size: sum(size in regime.sizes for regime in self.regimes) for size in self.sizes}
        return [size for size in self.sizes if number[size] == max(number.values())]

    @property
    def cells(self) -> list[Cell]:
        """The cells of all regimes."""
        return [cell for regime in self.regimes for cell in regime.cells]

    def at(self, size: float) -> list[Cell]:
        """The cells of all regimes with so many images per class."""
        return [cell for regime in self.regimes for cell in regime.at(size)]

    def regime_of(self, cell: Cell) -> Regime:
        """The regime that a cell belongs to."""
        return next(regime for regime in self.regimes if regime.comparison.name == cell.comparison)

    def name_of(self, cell: Cell) -> str:
        """A cell's network, with how it is trained where there is more than one way."""
        return f"{cell.title} {self.regime_of(cell).phrase}" if len(self.regimes) > 1 else cell.title


def data_sets(evidence: Evidence) -> list[DataSet]:
    """Those on which anything was measured, in the order of the suite."""
    measured = {
        one.name: [cell for cell in evidence.cells_of(one.name) if cell.runs]
        for one in evidence.suite.comparisons
    }
    kept = [one for one in evidence.suite.comparisons if one.name in set(_not_within_another(measured))]
    keys = dict.fromkeys((one.dataset, one.split_id) for one in kept)
    several = len({name for name, _ in keys}) < len(keys)
    return [
        DataSet(
            name,
            split,
            f"{dataset_title(name)} ({split})" if several and split else dataset_title(name),
            tuple(_regimes([one for one in kept if (one.dataset, one.split_id) == (name, split)], measured)),
        )
        for name, split in keys
    ]


def _not_within_another(measured: dict[str, list[Cell]]) -> Iterator[str]:
    runs = {name: {run for cell in cells for run in cell.runs} for name, cells in measured.items()}
    names = list(runs)
    for at, name in enumerate(names):
        others = (other for k, other in enumerate(names) if k != at)
        if runs[name] and not any(
            runs[name] < runs[other] or (runs[name] == runs[other] and names.index(other) < at)
            for other in others
        ):
            yield name


def _regimes(comparisons: list[ComparisonEntry], measured: dict[str, list[Cell]]) -> Iterator[Regime]:
    words = [words_of(one.recipe) for one in comparisons]
    for one, (label, phrase) in zip(comparisons, words, strict=True):
        own = f" ({one.name})" if words.count((label, phrase)) > 1 else ""
        yield Regime(one, label + own, phrase + own, tuple(measured[one.name]))


BELOW: dict[str, tuple[Baseline, str]] = {
    "beaten by 1-nearest-neighbour": ("nearest", "below the nearest neighbour in raw pixels"),
    "beaten by image statistics": ("statistics", "below the nearest neighbour in image statistics"),
    "beaten by the majority class": ("majority", "below the most frequent class"),
}
"""By why a network does not count as trained: the baseline that it is below, and this in words."""


def left_out(cells: Iterable[Cell], *, sizes: bool = True) -> str:
    """Which networks do not count as trained, so that no sentence compares them, and why; empty without any.

    Args:
        sizes: whether it says with how many images per class.
    """
    lost: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.untrained:
            lost.setdefault((cell.title, cell.untrained), []).append(cell)
    each = []
    for (title, reason), own in lost.items():
        name, why = BELOW.get(reason, (None, reason))
        limits = [percent(cell.baseline(name).mean) for cell in own] if name else []
        numbers = listed(list(dict.fromkeys("all" if c.shots is None else str(c.shots) for c in own)))
        where = f" with {numbers} image{'' if numbers == '1' else 's'} per class" if sizes else ""
        each.append(f"{title}{where}, {why}" + (f" ({listed(limits)} %)" if limits else ""))
    return f"Left out where different networks are compared: {'; '.join(each)}." if each else ""

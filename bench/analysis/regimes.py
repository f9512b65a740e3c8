"""A model under several recipes on the same images: is fine-tuning below its own frozen features?

Comparisons of one suite on the same data set and split are set side by side, model by model, on the draws
that they have in common.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.cells import Cell

if TYPE_CHECKING:
    from bench.store.records.trials import Result

FROZEN = {"probe": "linear probe", "knn": "nearest neighbours"}
"""How a recipe reads frozen features, by its table."""


@dataclass(frozen=True)
class Regimes:
    """One model on one subset under two or more recipes, over the draws that all of them have.

    Attributes:
        key, title: the contestant.
        dataset, split_id, shots: the subset; `shots` is None for the whole split.
        top1: mean test accuracy by comparison, fractions.
        frozen: which of the comparisons read frozen features, and how.
        draws: how many draws are averaged.
    """

    key: str
    title: str
    dataset: str
    split_id: str
    shots: int | None
    top1: dict[str, float]
    frozen: dict[str, str]
    draws: int

    @property
    def best_frozen(self) -> str | None:
        """The comparison that reads frozen features best."""
        return max(self.frozen, key=self.top1.__getitem__, default=None)

    @property
    def below_frozen(self) -> dict[str, float]:
        """By comparison that trains all weights: how far it falls below the model's `best_frozen` (< 0)."""
        if self.best_frozen is None:
            return {}
        best = self.top1[self.best_frozen]
        falls = {name: value - best for name, value in self.top1.items() if name not in self.frozen}
        return {name: fall for name, fall in falls.items() if fall < 0}


def frozen_by(record: "Result") -> str | None:
    """How a trial reads frozen features; None where it trains all weights."""
    own = (how for table, how in FROZEN.items() if record.identity.recipe.get(table) is not None)
    return next(own, None)


def regimes(cells: Iterable[Cell]) -> list[Regimes]:
    """Every model and subset that two comparisons of a suite or more have measured on common draws; diverged
    trials count at chance."""
    scores: dict[tuple[str, str, str, str, int | None], dict[str, dict[int | None, list[float]]]] = {}
    frozen: dict[str, str] = {}
    titles: dict[str, str] = {}
    for cell, record in ((one, record) for one in cells for record in one.records):
        name, titles[cell.contestant] = cell.comparison, cell.title
        if how := frozen_by(record):
            frozen[name] = how
        subset = (cell.contestant, *record.data.key, cell.shots)
        by_draw = scores.setdefault(subset, {}).setdefault(name, {})
        by_draw.setdefault(record.identity.draw_seed, []).append(record.top1)
    regimes = []
    for (key, dataset, split_id, _, shots), by_name in scores.items():
        common = set.intersection(*(set(draws) for draws in by_name.values()))
        if len(by_name) > 1 and common:
            regimes.append(
                Regimes(
                    key,
                    titles[key],
                    dataset,
                    split_id,
                    shots,
                    {
                        name: float(np.mean([np.mean(draws[d]) for d in common]))
                        for name, draws in by_name.items()
                    },
                    {name: how for name, how in frozen.items() if name in by_name},
                    len(common),
                )
            )
    return regimes


def in_words(measured: Iterable[Regimes]) -> list[str]:
    """One sentence for each model that fell below its own frozen features."""
    sentences = []
    for one in measured:
        best = one.best_frozen or ""
        for name, fall in one.below_frozen.items():
            sentences.append(
                f"{one.title} in {name} ({100 * one.top1[name]:.1f} %) fell {-100 * fall:.1f} points below "
                f"its own {one.frozen[best]} on the same images ({best}, {100 * one.top1[best]:.1f} %, "
                f"{_size(one)}): there a contrast in {name} is about the recipe as much as the networks."
            )
    return sentences


def _size(one: Regimes) -> str:
    return "all images" if one.shots is None else f"{one.shots} per class"

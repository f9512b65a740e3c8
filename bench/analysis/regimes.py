"""A model under several recipes on the same images: is fine-tuning below its own probe?

Comparisons of one suite on the same data set and split are set side by side, model by model, on the draws
that they have in common.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bench.analysis.cells import Cell


@dataclass(frozen=True)
class Regimes:
    """One model on one subset under two or more recipes, over the draws that all of them have.

    Attributes:
        key, title: the contestant.
        dataset, split_id, shots: the subset; `shots` is None for the whole split.
        top1: mean test accuracy by comparison, fractions.
        probes: which of the comparisons are linear probes.
        draws: how many draws are averaged.
    """

    key: str
    title: str
    dataset: str
    split_id: str
    shots: int | None
    top1: dict[str, float]
    probes: frozenset[str]
    draws: int

    @property
    def below_probe(self) -> dict[str, float]:
        """By comparison that trains all weights: how far it falls below the model's own best probe (< 0)."""
        if not self.probes:
            return {}
        probe = max(self.top1[name] for name in self.probes)
        falls = {name: value - probe for name, value in self.top1.items() if name not in self.probes}
        return {name: fall for name, fall in falls.items() if fall < 0}


def regimes(cells: Iterable[Cell]) -> list[Regimes]:
    """Every model and subset that two comparisons of a suite or more have measured on common draws; diverged
    trials count at chance."""
    scores: dict[tuple[str, str, str, str, int | None], dict[str, dict[int | None, list[float]]]] = {}
    probes: set[str] = set()
    titles: dict[str, str] = {}
    for cell, record in ((one, record) for one in cells for record in one.records):
        name, titles[cell.contestant] = cell.comparison, cell.title
        if record.identity.recipe.get("probe") is not None:
            probes.add(name)
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
                    frozenset(probes & set(by_name)),
                    len(common),
                )
            )
    return regimes


def in_words(measured: Iterable[Regimes]) -> list[str]:
    """One sentence for each model that fell below its own probe."""
    sentences = []
    for one in measured:
        for name, fall in one.below_probe.items():
            probe = max(one.probes, key=one.top1.__getitem__)
            sentences.append(
                f"{one.title} in {name} ({100 * one.top1[name]:.1f} %) fell {-100 * fall:.1f} points below "
                f"its own linear probe on the same images ({probe}, {100 * one.top1[probe]:.1f} %, "
                f"{_size(one)}): {name} does not compare architectures as long as its recipe is not tuned "
                "for both."
            )
    return sentences


def _size(one: Regimes) -> str:
    return "all images" if one.shots is None else f"{one.shots} per class"

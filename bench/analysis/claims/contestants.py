"""The contestants of stored suites, with the facts by which claims choose and pair them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.analysis.cells import CLEAN, Cell
from bench.analysis.predictions import Predictions
from bench.analysis.statistics import MIN_REPLICATES
from bench.analysis.trained import Training, same_model
from bench.spec.card import list_cards, read_card
from bench.spec.claim import Value

if TYPE_CHECKING:
    from bench.analysis.ensembles import Ensembles
    from bench.spec.claim import Evidence
    from bench.store.records.listing import Listing
    from bench.store.records.trials import Result

Wanted = Mapping[str, Value | tuple[Value, ...]]


REACH = {
    "run": "str",
    "layer": "Int64",
    "depth": "float64",
    "gradient": "float64",
    "attention": "float64",
}
"""Columns of the reach table: one row a stage, or block of a transformer, of a trained network; `depth` is
the share of them up to it. `gradient` is the mean distance of the pixels that move its middle unit,
`attention` that of the patches to which a patch attends, both over that of looking everywhere alike."""


@dataclass(frozen=True)
class Contestant:
    """One cell of a suite that has been measured.

    Attributes:
        cell: under the clean condition; `others` by the name of the condition. Of replicates that are added
            until contrasts are decided, it has those of the first look.
        facts: those of `bench.spec.claim.FACTS`.
        flops: of a forward pass; None where they were not counted.
        untrained: why its networks do not count as trained; None where they do.
        partners: the contestants with which its suite contrasts it, as primary or exploratory pairs.
    """

    suite: str
    cell: Cell
    facts: "Mapping[str, Value]"
    flops: float | None
    untrained: str | None
    others: Mapping[str, Cell] = field(default_factory=dict)
    partners: frozenset[str] = frozenset()

    @property
    def records(self) -> "tuple[Result, ...]":
        """Its finished and diverged trials."""
        return self.cell.records

    @property
    def group(self) -> tuple[str, str, int | None]:
        """Contestants of one group were trained on the same images in the same suite."""
        return self.suite, self.cell.comparison, self.cell.shots


@dataclass(frozen=True)
class Measured:
    """What claims are judged by.

    Attributes:
        contestants: of all suites.
        tables: speed, memory, scaling, cost, search, history and reach.
    """

    contestants: Sequence[Contestant]
    tables: Mapping[str, pd.DataFrame]
    predictions: Predictions
    training: Training
    ensembles: "Ensembles"

    def pairs(self, evidence: "Evidence") -> "Iterator[tuple[Contestant, Contestant]]":
        """All pairs that an evidence compares, their suite contrasts, and that were trained, or one of them
        if they are two trainings of one model; of an evidence of one alone, each contestant with itself."""
        for a, b in self.all_pairs(evidence):
            of_one_model = not evidence.alone and same_model(a.records + b.records)
            if sum(bool(one.untrained) for one in (a, b)) <= of_one_model:
                yield a, b

    def all_pairs(self, evidence: "Evidence") -> "Iterator[tuple[Contestant, Contestant]]":
        """Those that were not trained, too."""
        for a in self.contestants:
            if not (has(a.facts, evidence.a) and self.is_of_size(a, evidence)):
                continue
            if evidence.alone:
                yield a, a
                continue
            for b in self.by_group[a.group]:
                if b.cell.contestant in a.partners and has(b.facts, evidence.b) and alike(a, b, evidence):
                    yield a, b

    def is_of_size(self, one: Contestant, evidence: "Evidence") -> bool:
        """Whether the subset of a contestant counts."""
        low, high = evidence.images_per_class
        size, largest = one.cell.images_per_class, self._largest[one.suite, one.cell.comparison]
        return low <= size <= high and (evidence.sizes == "all" or size == largest)

    @cached_property
    def _largest(self) -> dict[tuple[str, str], float]:
        """By suite and comparison, the most images per class of which there are enough replicates."""
        largest: dict[tuple[str, str], float] = {}
        for one in self.contestants:
            key, size = (one.suite, one.cell.comparison), one.cell.images_per_class
            enough = len(one.records) >= MIN_REPLICATES
            largest[key] = max(largest.get(key, 0.0), size if enough else 0.0)
        return largest

    @cached_property
    def by_group(self) -> "dict[tuple[str, str, int | None], list[Contestant]]":
        """Contestants by their group."""
        groups: dict[tuple[str, str, int | None], list[Contestant]] = {}
        for one in self.contestants:
            groups.setdefault(one.group, []).append(one)
        return groups

    @cached_property
    def histories(self) -> dict[str, pd.Series]:
        """By run, NLL on val (nats) each time it was looked at."""
        looks = self.tables["history"].dropna(subset=["val_nll"])
        return {str(run): own["val_nll"] for run, own in looks.groupby("run")}

    @cached_property
    def reach(self) -> dict[str, pd.DataFrame]:
        """By run, its rows of the reach table."""
        return {str(run): own for run, own in self.tables["reach"].groupby("run")}

    @cached_property
    def kinds(self) -> dict[str, str]:
        """By model, whether it is a transformer or a CNN: as trials say, else its card."""
        carded = {name: read_card(name).kind for name in list_cards()}
        return carded | {one.cell.model: str(one.facts["kind"]) for one in self.contestants}


def has(facts: "Mapping[str, Value]", wanted: Wanted) -> bool:
    """Whether each fact is one of the values that are wanted of it."""
    return all(
        facts.get(name) in (values if isinstance(values, tuple) else (values,))
        for name, values in wanted.items()
    )


def alike(a: Contestant, b: Contestant, evidence: "Evidence") -> bool:
    """Whether two contestants agree in what an evidence holds equal."""
    if any(a.facts.get(name) != b.facts.get(name) for name in evidence.alike):
        return False
    return evidence.flops is None or equal_flops(a.flops, b.flops, evidence.flops)


def equal_flops(a: float | None, b: float | None, factor: float) -> bool:
    """Whether both are known, and neither is more than `factor` times the other."""
    return bool(a and b) and max(a / b, b / a) <= factor  # type: ignore[operator]


def flops_of(cost: pd.DataFrame) -> dict[tuple[Any, ...], float]:
    """FLOPs of a forward pass by model, classes and input size, from the cost table."""
    keys = zip(cost["model"], cost["classes"], cost["input_size"], strict=True)
    return dict(zip(keys, cost["flops"].astype(float), strict=True))


def gather(
    suites: "Mapping[str, Listing]",
    cells: Mapping[str, Mapping[str, Sequence[Cell]]],
    cost: pd.DataFrame,
    training: Training,
) -> list[Contestant]:
    """The contestants that were measured.

    Args:
        suites: by name, as the store lists them.
        cells: by condition, the clean one first, and suite.
        cost: the cost table.
    """
    flops = flops_of(cost)
    others: dict[tuple[Any, ...], dict[str, Cell]] = {}
    for condition, by_suite in cells.items():
        for suite, own in by_suite.items():
            for cell in own:
                if condition != CLEAN and cell.records:
                    key = suite, cell.comparison, cell.shots, cell.contestant
                    others.setdefault(key, {})[condition] = cell
    contestants = []
    for suite, own in cells[CLEAN].items():
        partners = _partners(suites[suite])
        for cell in map(_of_first_look, own):
            if not cell.records:
                continue
            first = cell.records[0]
            contestants.append(
                Contestant(
                    suite,
                    cell,
                    facts_of(first),
                    flops.get((cell.model, first.data.classes, cell.input_size)),
                    training.reason(cell.records),
                    others.get((suite, cell.comparison, cell.shots, cell.contestant), {}),
                    frozenset(partners.get((cell.comparison, cell.contestant), ())),
                )
            )
    return contestants


def _of_first_look(cell: Cell) -> Cell:
    """A cell whose replicates are added until its contrasts are decided, with those of the first look alone:
    their number depends on no result, and tests hold what they promise."""
    if not cell.looks:
        return cell
    first = [one for one in cell.replicates if one.entry.replicate < cell.looks[0]]
    return replace(cell, replicates=tuple(first))


def _partners(suite: "Listing") -> dict[tuple[str, str], set[str]]:
    """By comparison and contestant, with which it is contrasted."""
    partners: dict[tuple[str, str], set[str]] = {}
    for comparison in suite.comparisons:
        for a, b in comparison.contrasts + comparison.exploratory:
            partners.setdefault((comparison.name, a), set()).add(b)
            partners.setdefault((comparison.name, b), set()).add(a)
    return partners


def facts_of(record: "Result") -> "dict[str, Value]":
    """The facts of a trial's contestant: of its card, its weights and its recipe."""
    one, model = record.identity, record.model
    recipe, options = one.recipe, one.model.get("options") or {}
    augment = recipe.get("augment") or {}
    pretraining = model.pretraining
    if recipe.get("probe") or recipe.get("knn"):
        regime = "frozen features"
    else:
        regime = "from scratch" if pretraining == "none" else "fine-tuned"
    facts: dict[str, Value] = {
        "kind": model.kind or "unknown",
        "family": model.family,
        "model": model.name,
        "regime": regime,
        "pretraining": pretraining,
        "augmentation": "strong" if augment.get("randaugment") else "light",
        "distilled": bool(recipe.get("distill")),
        "budget": str(recipe.get("budget") or record.recipe),
        "position": options.get("pos_embed", "learn") if model.kind == "transformer" else "none",
    }
    named = {"depth": "depth", "num_heads": "heads", "embed_dim": "width"}
    return facts | {fact: options[option] for option, fact in named.items() if option in options}

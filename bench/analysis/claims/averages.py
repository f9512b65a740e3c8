"""What averaging a ViT and a CNN gains over two of one kind, and over one larger network."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations, permutations
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.cells import paired
from bench.analysis.claims.contestants import Contestant, Measured, equal_flops
from bench.analysis.claims.estimate import Estimate, diverged, of_pair
from bench.analysis.claims.uncertain import of_scores, pseudo_values
from bench.analysis.ensembles import AVERAGED

if TYPE_CHECKING:
    from bench.analysis.predictions import Outputs
    from bench.spec.claim import Ensembles
    from bench.store.records.trials import Result

EQUAL_COST = 1.3
"""By which factor the FLOPs of one network may differ from those of two."""


def ensembles(evidence: "Ensembles", measured: Measured) -> Iterator[Estimate]:
    """See `bench.spec.claim.Ensembles`: one estimate a pair.

    Networks of a and b are of different replicates, as twins are, or these would have seen more labels.
    """
    for a, b in measured.pairs(evidence):
        singles = [b] if evidence.against != "one" else _as_dear(a, b, measured)
        for single in singles:
            records = _common(a, b, single)
            if len(records[0]) < 2:
                continue
            try:
                table = pseudo_values(_gain(evidence, measured, records), len(records[0]))
            except LookupError:  # the probabilities of one were not kept
                continue
            table = measured.predictions.independent(table, records[0][0].data)
            number = of_scores(table, deterministic=False, bound=1.0)
            against = {} if evidence.against != "one" else {"setting": f"against {single.cell.title}"}
            runs = tuple(record.id for own in records for record in own)
            made = of_pair(evidence, number, "points", a, b, runs, against)
            yield replace(made, diverged=diverged({id(one): one for one in (a, b, single)}.values()))


def _gain(
    evidence: "Ensembles", measured: Measured, records: "list[list[Result]]"
) -> Callable[[list[int]], np.ndarray]:
    """By image (N,), how often a with b is right less how often what it is set against is, over some
    replicates.

    It raises LookupError where an average is not known.
    """
    a, b, single = records
    known: dict[tuple[str, str], np.ndarray] = {}

    def outputs(record: "Result") -> "Outputs":
        if (one := measured.predictions.outputs(record)) is None:
            raise LookupError
        return one

    def averaged(first: "Result", second: "Result") -> np.ndarray:
        key = first.id, second.id
        if key not in known:
            if (top1 := measured.ensembles.top1(first, second)) is None:
                raise LookupError
            known[key] = right_together(outputs(first), outputs(second), top1)
        return known[key]

    def gain(replicates: list[int]) -> np.ndarray:
        both = [averaged(a[i], b[j]) for i, j in permutations(replicates, 2)]
        if evidence.against == "one":
            other = [outputs(single[i]).correct for i in replicates]
        else:
            own = a if evidence.against == "a" else b
            other = [averaged(own[i], own[j]) for i, j in combinations(replicates, 2)]
        gained: np.ndarray = np.mean(both, 0) - np.mean(other, 0)
        return gained

    return gain


def right_together(first: "Outputs", second: "Outputs", top1: float) -> np.ndarray:
    """Which images the average of two networks has right (N,), as far as the outputs of each tell; as many
    as its accuracy `top1` says.

    Where both predict one class, so does their average. Of the other images it has those right on which both
    together give the true class the most, beside the class that either prefers to it.
    """
    true = np.exp(first.log_prob.astype(float)) + np.exp(second.log_prob.astype(float))
    rival = np.maximum(*(np.where(one.correct, 0.0, one.confidence) for one in (first, second)))
    same = np.where(first.correct, np.inf, -np.inf)
    lead = np.where(first.predicted == second.predicted, same, true - rival)
    right = np.zeros(len(lead))
    right[np.argsort(-lead, kind="stable")[: round(top1 * len(lead))]] = 1.0
    return right


def _as_dear(a: Contestant, b: Contestant, measured: Measured) -> list[Contestant]:
    """The contestants that cost about as much as a and b together, trained alike."""
    if not (a.flops and b.flops):
        return []
    return [
        one
        for one in measured.by_group[a.group]
        if one not in (a, b)
        and not one.untrained
        and equal_flops(one.flops, a.flops + b.flops, EQUAL_COST)
        and one.facts["regime"] == a.facts["regime"]
        and one.facts["budget"] == a.facts["budget"]
    ]


def _common(a: Contestant, b: Contestant, single: Contestant) -> "list[list[Result]]":
    """The first finished trials of the replicates that all three have, in the same order."""
    first, second = paired(a.cell, b.cell, lambda record: record.outcome == "finished")
    seeds = {one.record.id: one.seeds for one in a.cell.replicates if one.record}
    own = {
        one.seeds: one.record
        for one in single.cell.replicates
        if one.record and one.record.outcome == "finished"
    }
    kept = [
        (one, other, own[seeds[one.id]])
        for one, other in zip(first, second, strict=True)
        if seeds[one.id] in own
    ]
    return [list(column) for column in zip(*kept[:AVERAGED], strict=True)] if kept else [[], [], []]

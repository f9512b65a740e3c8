"""What averaging a ViT and a CNN gains over two of one kind, and over one larger network."""

from collections.abc import Callable, Iterator
from itertools import combinations, permutations
from statistics import fmean
from typing import TYPE_CHECKING

from bench.analysis.cells import paired
from bench.analysis.claims.contestants import Contestant, Measured, equal_flops
from bench.analysis.claims.estimate import Estimate, of_pair
from bench.analysis.claims.uncertain import jackknife
from bench.analysis.ensembles import AVERAGED

if TYPE_CHECKING:
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
                number = jackknife(_gain(evidence, measured, records), len(records[0]))
            except LookupError:  # the probabilities of one were not kept
                continue
            against = {} if evidence.against != "one" else {"setting": f"against {single.cell.title}"}
            runs = tuple(record.id for own in records for record in own)
            yield of_pair(evidence, number, "points", a, b, runs, against)


def _gain(
    evidence: "Ensembles", measured: Measured, records: "list[list[Result]]"
) -> Callable[[list[int]], float]:
    """The accuracy of a with b less that of what it is set against, over some replicates.

    It raises LookupError where an average is not known.
    """
    a, b, single = records

    def averaged(first: "Result", second: "Result") -> float:
        top1 = measured.ensembles.top1(first, second)
        if top1 is None:
            raise LookupError
        return top1

    def gain(replicates: list[int]) -> float:
        both = fmean(averaged(a[i], b[j]) for i, j in permutations(replicates, 2))
        if evidence.against == "one":
            return both - fmean(single[i].top1 for i in replicates)
        own = a if evidence.against == "a" else b
        return both - fmean(averaged(own[i], own[j]) for i, j in combinations(replicates, 2))

    return gain


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
    own = {one.seeds: one.record for one in single.cell.replicates if one.record}
    kept = [
        (one, other, own[seeds[one.id]])
        for one, other in zip(first, second, strict=True)
        if seeds[one.id] in own
    ]
    return [list(column) for column in zip(*kept[:AVERAGED], strict=True)] if kept else [[], [], []]

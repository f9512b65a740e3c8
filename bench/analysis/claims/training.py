"""How hard contestants are to train: spread between seeds, failures, and learning rates that work."""

from collections.abc import Iterator
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.claims.contestants import Contestant, Measured
from bench.analysis.claims.estimate import Estimate, compared, of_pair
from bench.analysis.claims.uncertain import of_shares, of_spreads, of_two_samples
from bench.analysis.search import sensitivity

if TYPE_CHECKING:
    from bench.spec.claim import Evidence, Failures, LearningRates, Spread


def spread(evidence: "Spread", measured: Measured) -> Iterator[Estimate]:
    """See `bench.spec.claim.Spread`: one estimate a pair."""
    for a, b in measured.pairs(evidence):
        top1 = [[r.top1 for r in one.records if r.outcome == "finished"] for one in (a, b)]
        number = of_spreads(*map(np.array, top1))
        if np.isfinite(number.value):
            yield of_pair(evidence, number, "ratio", a, b, a.cell.runs + b.cell.runs)


def failures(evidence: "Failures", measured: Measured) -> Iterator[Estimate]:
    """See `bench.spec.claim.Failures`: one estimate a comparison, over the contestants of its pairs on each
    subset, whose trials share what was searched for them and count as one."""
    for pairs in _by_comparison(evidence, measured).values():
        counts: list[int] = []
        sides = list(zip(*pairs, strict=True))
        for side in sides:
            every = {(one.group, one.cell.contestant): one.records for one in side}
            failed = [
                fmean(measured.training.failure(record) is not None for record in records) > 0.5
                for records in every.values()
            ]
            counts += [sum(failed), len(failed)]
        runs = tuple(run for pair in pairs for one in pair for run in one.cell.runs)
        yield of_pair(evidence, of_shares(*counts), "points", *pairs[0], runs, _where(pairs), sides)


def learning_rates(evidence: "LearningRates", measured: Measured) -> Iterator[Estimate]:
    """See `bench.spec.claim.LearningRates`: one estimate a comparison, by Welch's t with one value a network,
    as searches of one network are not independent of each other."""
    decades: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in sensitivity(measured.tables["search"]).dropna(subset=["decades"]).to_dict("records"):
        key = row["suite"], row["comparison"], row["contestant"]
        decades.setdefault(key, {})[str(row["shots"])] = row["decades"]
    for pairs in _by_comparison(evidence, measured).values():
        sides = list(zip(*pairs, strict=True))
        searched: list[dict[str, list[dict[str, float]]]] = [{}, {}]
        for networks, side in zip(searched, sides, strict=True):
            for one in {one.cell.contestant: one for one in side}.values():
                own = decades.get((one.suite, one.cell.comparison, one.cell.contestant))
                if own and not one.untrained:  # all rates are equally bad for that
                    networks.setdefault(one.cell.model, []).append(own)
        every = [own for networks in searched for by_size in networks.values() for own in by_size]
        sizes = set.intersection(*map(set, every)) if every else set()
        if sizes and all(searched):
            first, second = (
                [fmean(own[size] for own in by_size for size in sizes) for by_size in networks.values()]
                for networks in searched
            )
            number = of_two_samples(first, second)
            runs = tuple(run for pair in pairs for one in pair for run in one.cell.runs)
            yield of_pair(evidence, number, "decades", *pairs[0], runs, _where(pairs), sides)


def _by_comparison(
    evidence: "Evidence", measured: Measured
) -> dict[tuple[str, str], list[tuple[Contestant, Contestant]]]:
    """The pairs on all subsets of a comparison, those that were not trained among them."""
    pairs: dict[tuple[str, str], list[tuple[Contestant, Contestant]]] = {}
    for a, b in measured.all_pairs(evidence):
        pairs.setdefault((a.suite, a.cell.comparison), []).append((a, b))
    return pairs


def _where(pairs: list[tuple[Contestant, Contestant]]) -> dict[str, str]:
    sizes = dict.fromkeys(f"{a.cell.images_per_class:.4g}" for a, _ in pairs)
    titles = list(dict.fromkeys(compared(a, b) for a, b in pairs))
    models = titles[0] if len(titles) == 1 else f"{len(titles)} pairs, as {titles[0]}"
    return {"images per class": ", ".join(sizes), "models": models}

"""How hard contestants are to train: spread between seeds, failures, and learning rates that work."""

from collections.abc import Iterator
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.analysis.claims.contestants import Contestant, Measured
from bench.analysis.claims.estimate import Estimate, compared, of_pair
from bench.analysis.claims.uncertain import of_shares, of_spreads, of_two_samples
from bench.analysis.search import sensitivity

if TYPE_CHECKING:
    from bench.spec.claim import Evidence, Failures, LearningRates, Spread
    from bench.store.records.trials import Result


def spread(evidence: "Spread", measured: Measured) -> Iterator[Estimate]:
    """See `bench.spec.claim.Spread`: one estimate a pair."""
    for a, b in measured.pairs(evidence):
        top1 = [[r.top1 for r in one.records if r.outcome == "finished"] for one in (a, b)]
        number = of_spreads(*map(np.array, top1))
        if np.isfinite(number.value):
            yield of_pair(evidence, number, "ratio", a, b, a.cell.runs + b.cell.runs)


def failures(evidence: "Failures", measured: Measured) -> Iterator[Estimate]:
    """See `bench.spec.claim.Failures`: one estimate a comparison, over the contestants of its pairs; a
    contestant's trials on subsets that share what was searched for them count as one."""
    source = _searched_on(measured.tables["search"])
    for pairs in _by_comparison(evidence, measured).values():
        counts: list[int] = []
        sides = list(zip(*pairs, strict=True))
        for side in sides:
            every: dict[tuple[str, str], dict[str, Result]] = {}
            for one in side:
                own = one.cell.contestant, _size(one.cell.shots)
                searched = own[0], source.get((one.suite, one.cell.comparison, *own), own[1])
                every.setdefault(searched, {}).update((record.id, record) for record in one.records)
            failed = [
                fmean(measured.training.failure(record) is not None for record in records.values()) > 0.5
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
        decades.setdefault(key, {})[_size(row["shots"])] = row["decades"]
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
            searched_on = [pair for pair in pairs if _size(pair[0].cell.shots) in sizes]
            yield of_pair(evidence, number, "decades", *pairs[0], runs, _where(searched_on or pairs), sides)


def _by_comparison(
    evidence: "Evidence", measured: Measured
) -> dict[tuple[str, str], list[tuple[Contestant, Contestant]]]:
    """The pairs on all subsets of a comparison, those that were not trained among them."""
    pairs: dict[tuple[str, str], list[tuple[Contestant, Contestant]]] = {}
    for a, b in measured.all_pairs(evidence):
        pairs.setdefault((a.suite, a.cell.comparison), []).append((a, b))
    return pairs


def _searched_on(search: pd.DataFrame) -> dict[tuple[str, str, str, str], str]:
    """By suite, comparison, contestant and size, the size on which its values were searched."""
    rows = search.drop_duplicates(["suite", "comparison", "contestant", "shots"]).dropna(subset=["for_shots"])
    return {
        (row["suite"], row["comparison"], row["contestant"], size): _size(row["shots"])
        for row in rows.to_dict("records")
        for size in row["for_shots"].split()
    }


def _size(shots: Any) -> str:
    """Images per class, "all" for the whole split, as the search table's `for_shots` has them."""
    return "all" if pd.isna(shots) else str(int(shots))


def _where(pairs: list[tuple[Contestant, Contestant]]) -> dict[str, str]:
    sizes = dict.fromkeys(f"{a.cell.images_per_class:.4g}" for a, _ in pairs)
    titles = list(dict.fromkeys(compared(a, b) for a, b in pairs))
    models = titles[0] if len(titles) == 1 else f"{len(titles)} pairs, as {titles[0]}"
    return {"images per class": ", ".join(sizes), "models": models}

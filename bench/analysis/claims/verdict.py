"""From estimates to the verdict on a claim.

Every estimate is held against the number that its evidence names. It *holds* or *fails* only by
p-values that allow for all claims at once: each claim is given an equal share of alpha, its estimates an
equal part of that, their tests (of another number; of one within the margin) an equal part of this, and
Holm's procedure takes them together. A claim of which nothing was measured keeps its share.

*Supported*: every evidence that was measured with an interval holds somewhere, and none fails.
*Contradicted*: some fail, and none holds. *Depends*: both. Neither of the first two is said where a plain
interval of any number that was not decided says the contrary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.analysis.claims.estimate import Estimate
from bench.analysis.claims.uncertain import ALPHA
from bench.spec.claim import Claim

Outcome = Literal["holds", "fails", "undecided"]
Verdict = Literal["supported", "contradicted", "depends", "undecided", "not measured"]


@dataclass(frozen=True)
class Judged:
    """A claim with all that bears on it.

    Attributes:
        outcomes: of each estimate, whether the claim holds there.
        depends_on: of a verdict "depends", the keys that tell where it holds from where it fails, if they do.
    """

    claim: Claim
    estimates: tuple[Estimate, ...]
    outcomes: tuple[Outcome, ...]
    verdict: Verdict
    depends_on: tuple[str, ...] = ()

    def having(self, *wanted: Outcome) -> list[Estimate]:
        """The estimates with one of some outcomes."""
        return [one for one, own in zip(self.estimates, self.outcomes, strict=True) if own in wanted]

    @property
    def lacking(self) -> list[str]:
        """The names of the evidence of which nothing was measured."""
        measured = {one.evidence.name for one in self.estimates}
        return [one.name for one in self.claim.evidence if one.name not in measured]

    @property
    def without_interval(self) -> list[str]:
        """The names of the evidence that was measured, and has no interval by which it could be judged."""
        known = {one.evidence.name for one in self.estimates if one.number.low is not None}
        return [one.name for one in self.claim.evidence if one.name not in {*known, *self.lacking}]

    @property
    def one_pair(self) -> bool:
        """Whether it speaks of families and is decided by a single model on one side of its estimates."""
        decided = self.having("holds", "fails")
        sides = [frozenset().union(*(one.models[side] for one in decided)) for side in (0, 1)]
        return self.claim.families and any(len(side) == 1 for side in sides)


def judge(estimates: Mapping[str, Sequence[Estimate]], claims: Sequence[Claim]) -> list[Judged]:
    """Every claim with its verdict.

    Args:
        estimates: by the name of the claim.
        claims: all of them, in the order wanted.
    """
    every = [(claim, one) for claim in claims for one in estimates.get(claim.name, ())]
    tests, weights = [], []
    for claim, one in every:
        share = 1 / len(claims) / len(estimates[claim.name])
        both = [one.number.p(threshold(one)), *_p_within(one)]
        tests += [(id(one), p) for p in both]
        weights += [share / len(both)] * len(both)
    adjusted: dict[int, list[float]] = {}
    for (of, _), p in zip(tests, weighted_holm([p for _, p in tests], weights), strict=True):
        adjusted.setdefault(of, []).append(float(p))
    outcomes = {id(one): _outcome(one, *adjusted[id(one)]) for _, one in every}
    judged = []
    for claim in claims:
        own = tuple(estimates.get(claim.name, ()))
        of_own = tuple(outcomes[id(one)] for one in own)
        judged.append(Judged(claim, own, of_own, *_verdict(claim, own, of_own)))
    return judged


def threshold(one: Estimate) -> float:
    """The number of its evidence that separates holding from failing, as the estimate has it."""
    than = one.evidence.than
    return float(np.log(than)) if one.unit == "ratio" else than


def weighted_holm(p: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """Holm's adjusted p-values with weights (S. Holm, 1979, Scand. J. Statist. 6, 65-70), which add up to at
    most 1; what is missing to 1 belongs to tests that were not made and never reject."""
    p, weights = np.asarray(p, float), np.asarray(weights, float)
    order = np.argsort(p / weights, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(weights[order])[:-1]])
    steps = p[order] / weights[order] * (1.0 - before)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(p) else steps
    return adjusted


def _p_within(one: Estimate) -> list[float]:
    """Of an evidence with a margin, the p-value of a number that far from the threshold or further."""
    margin = one.evidence.margin
    return [] if margin is None else [one.number.p_within(threshold(one), margin)]


def _outcome(one: Estimate, different: float, within: float = 1.0) -> Outcome:
    if different <= ALPHA:
        more = one.number.value > threshold(one)
        return "holds" if more == (one.evidence.expect == "more") else "fails"
    return "fails" if within <= ALPHA else "undecided"


def _leans(one: Estimate) -> Outcome:
    """What the plain interval of an estimate alone says."""
    low, high, than = one.number.low, one.number.high, threshold(one)
    if low is None or high is None or low <= than <= high:
        return "undecided"
    return "holds" if (low > than) == (one.evidence.expect == "more") else "fails"


def _verdict(
    claim: Claim, estimates: Sequence[Estimate], outcomes: Sequence[Outcome]
) -> tuple[Verdict, tuple[str, ...]]:
    decided = [pair for pair in zip(estimates, outcomes, strict=True) if pair[1] != "undecided"]
    different = {outcome for _, outcome in decided}
    if not estimates:
        return "not measured", ()
    if not decided:
        return "undecided", ()
    if different == {"holds", "fails"}:
        return "depends", _separating(claim, decided)
    open_ = [one for one, outcome in zip(estimates, outcomes, strict=True) if outcome == "undecided"]
    if {_leans(one) for one in open_} - different - {"undecided"}:
        return "undecided", ()
    if different == {"fails"}:
        return "contradicted", ()
    # Every part of it must hold that could be decided; what was not measured is among its limits.
    with_interval = {one.evidence.name for one in estimates if one.number.low is not None}
    lacking = with_interval - {one.evidence.name for one, _ in decided}
    return ("undecided" if lacking else "supported"), ()


def _separating(claim: Claim, decided: Sequence[tuple[Estimate, Outcome]]) -> tuple[str, ...]:
    """The fewest keys, the first of the claim's order first, whose values tell what holds from what fails;
    none where more than two would be needed."""
    for number in (1, 2):
        for keys in combinations(claim.depends, number):
            by_value: dict[tuple[str, ...], set[Outcome]] = {}
            for one, outcome in decided:
                by_value.setdefault(tuple(one.case.get(key, "") for key in keys), set()).add(outcome)
            if all(len(outcomes) == 1 for outcomes in by_value.values()):
                return keys
    return ()

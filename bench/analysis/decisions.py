"""What the contrasts of a suite say together: better, worse, equivalent, or nothing yet.

Three steps, each a pure function of arrays: the cells of a comparison lend each other what they know of the
spread between replicates (`moderated`), each contrast gets its p-values (`statistics`; of all looks at it,
`sequential`), and Holm's procedure decides which of them hold although many were tried (`holm`). `simulation`
measures how often that is wrong.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma, polygamma

from bench.analysis.kfold import parts_in
from bench.analysis.power import what_would_decide
from bench.analysis.sequential import over_looks, shares
from bench.analysis.statistics import (
    MIN_REPLICATES,
    Contrast,
    Parts,
    Verdict,
    as_table,
    ends,
)

MIN_CELLS = 3
"""Fewer cells than this lend each other nothing."""

CAP = 0.2
"""The prior weighs at most this many times as much as a cell's own replicates. With more, models or sizes
whose spreads differ by a factor of 20 make false claims in more than 5 % of simulated suites."""


@dataclass(frozen=True)
class PairedScores:
    """One contrast on one subset, before it is judged.

    Attributes:
        scores: of models a and b, each (R, N), paired replicate by replicate and image by image.
        group: cells of one group lend each other what they know of the spread between replicates.
        deterministic: one run of each model that would be the same if repeated.
        looks: after how many replicates it is judged (`sequential`); none: once, with all there are.
        images: test images that the N columns are made of, where they are groups; None: one a column.
        fold_of: of repeated k-fold, the fold of each image in each replicate (R, N), the same for both.
    """

    scores: tuple[ArrayLike, ArrayLike]
    group: Hashable = None
    deterministic: bool = False
    looks: tuple[int, ...] = ()
    images: int | None = None
    fold_of: ArrayLike | None = None

    @property
    def images_a_column(self) -> float:
        """How many test images a column stands for, on average."""
        return (self.images or 0) / np.shape(self.scores[0])[1] or 1.0

    def parts(self, differences: np.ndarray, first: int | None = None) -> Parts:
        """The parts of the variance of a table of differences (R, N), or of its first replicates."""
        folds = None if self.fold_of is None else np.asarray(self.fold_of)[:first]
        return parts_in(folds)(differences[:first])

    def first(self, look: int) -> int | None:
        """How many replicates a look is at, counted from 0; None: at all there are."""
        return self.looks[look] if look < len(self.looks) else None

    def weights(self, number: int) -> np.ndarray:
        """The share of alpha of the first `number` looks, 0 of those that were not made."""
        replicates = len(np.asarray(self.scores[0]))
        made = shares(self.looks) * (np.array(self.looks) <= replicates) if self.looks else np.ones(1)
        return np.pad(made, (0, number - len(made)))

    @property
    def last_share(self) -> float:
        """The share of alpha of the last look."""
        return float(shares(self.looks)[-1]) if self.looks else 1.0


def judge(
    cells: Sequence[PairedScores], *, delta: float, alpha: float = 0.05, comparisons: int | None = None
) -> list[Contrast]:
    """The contrast of each cell, a minus b, with its plain interval and its verdict.

    Args:
        cells: all primary contrasts that were measured, or all exploratory ones.
        delta: the difference that was declared negligible.
        alpha: the probability of any false *better* or *worse* among all of them; of any false *equivalent*;
            and, for each interval alone, of missing the truth.
        comparisons: how many contrasts were planned that can be decided, measured or not. 0: none is primary,
            so that there are intervals and no verdicts. Default: the cells that can be decided.

    Cells with fewer than 3 replicates (unless deterministic) or 2 images get neither interval nor verdict.
    Raises ValueError for scores that are not paired or not within [0, 1].
    """
    tables = [[as_table(scores, (0.0, 1.0)) for scores in cell.scores] for cell in cells]
    for a, b in tables:
        if a.shape != b.shape:
            raise ValueError(f"scores must be paired: shapes {a.shape} and {b.shape} differ")
    differences = [a - b for a, b in tables]
    able = [k for k, cell in enumerate(cells) if _able(differences[k], deterministic=cell.deterministic)]
    comparisons = len(able) if comparisons is None else comparisons
    results = [
        Contrast(
            estimate=float(table.mean()),
            low=None,
            high=None,
            half_width=None,
            se=None,
            replicates=table.shape[0],
            images=cell.images or table.shape[1],
            verdict="none",
            delta=delta,
            alpha=alpha,
            comparisons=max(comparisons, 1),
        )
        for cell, table in zip(cells, differences, strict=True)
    ]
    if not able:
        return results
    # What folds say of the spread between networks is enough; cells of k-fold stay as they are.
    groups = [cells[k].group if cells[k].fold_of is None else ("folds", k) for k in able]
    of = _moderated_by_group([cells[k].parts(differences[k]) for k in able], groups)
    accuracies = np.array([[scores.mean() for scores in tables[k]] for k in able]).T
    low, high = possible(*ends(of, alpha), *accuracies)
    number = max(len(cells[k].looks) or 1 for k in able)
    weights = np.stack([cells[k].weights(number) for k in able], -1)
    looked = [
        _moderated_by_group([cells[k].parts(differences[k], cells[k].first(look)) for k in able], groups)
        for look in range(number)
    ]
    direction, different, within = over_looks(looked, weights, delta)
    adjusted, equivalent = (holm(p, max(comparisons, len(able))) for p in (different, within))
    decided = verdicts(direction, adjusted, equivalent, alpha)
    for at, k in enumerate(able):
        lower, upper = float(low[at]), float(high[at])
        results[k] = replace(
            results[k],
            estimate=float(of.estimate[at]),
            low=lower,
            high=upper,
            half_width=(upper - lower) / 2,
            se=float(of.se[at]),
            images_only=cells[k].deterministic,
        )
        if comparisons:
            verdict = cast(Verdict, str(decided[at]))
            cell = Parts(*(column[at] for column in of))
            results[k] = replace(
                results[k],
                verdict=verdict,
                p_adjusted=float(adjusted[at]),
                p_equivalent=float(equivalent[at]),
                looks=int((weights[:, at] > 0).sum()),
                alpha_spent=alpha * float(weights[:, at].sum()),
                needs=what_would_decide(
                    cell, delta, comparisons, alpha * cells[k].last_share, cells[k].images_a_column
                )
                if verdict == "inconclusive"
                else None,
            )
    return results


def contrast(a: ArrayLike, b: ArrayLike, *, delta: float = 0.01, alpha: float = 0.05) -> Contrast:
    """One contrast alone, judged as if no other had been tried; scores (R, N) as in `judge`."""
    return judge([PairedScores((a, b))], delta=delta, alpha=alpha, comparisons=1)[0]


def possible(
    low: np.ndarray, high: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Intervals of a difference a - b, cut where one accuracy would have to leave [0, 1] although the other
    stays as it was measured."""
    return np.maximum(low, -np.maximum(b, 1 - a)), np.minimum(high, np.maximum(a, 1 - b))


def verdicts(
    estimate: np.ndarray, p_adjusted: np.ndarray, p_equivalent: np.ndarray, alpha: float = 0.05
) -> NDArray[np.str_]:
    """ "better" or "worse" where no difference is rejected, else "equivalent" where a difference of delta or
    more is, else "inconclusive"."""
    different = p_adjusted <= alpha
    return np.select(
        [different & (estimate > 0), different & (estimate < 0), p_equivalent <= alpha],
        ["better", "worse", "equivalent"],
        "inconclusive",
    )


def holm(p: ArrayLike, comparisons: int | None = None) -> np.ndarray:
    """Holm's adjusted p-values over the last axis (S. Holm, 1979, "A simple sequentially rejective multiple
    test procedure", Scand. J. Statist. 6, 65-70): whoever believes those that are at most alpha is wrong
    about any of them with probability at most alpha, however they depend on each other.

    `comparisons` counts those that are planned and not among `p` as well; they are taken to be 1.
    """
    p = np.asarray(p, float)
    number = p.shape[-1]
    comparisons = number if comparisons is None else comparisons
    if comparisons < number:
        raise ValueError(f"{number} p-values are more than the {comparisons} that were planned")
    order = np.argsort(p, -1)
    steps = np.take_along_axis(p, order, -1) * (comparisons - np.arange(number))
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(steps, -1), 1.0), -1)
    return adjusted


def moderated(of: Parts, cap: float = CAP) -> Parts:
    """The parts of cells, along the last axis, with MS_rep drawn towards what the cells have in common.

    A variance from three replicates is known badly, and its quantile of t is large. The cells of a comparison
    are alike: their ratios MS_rep / MS_res are taken to be s^2 times an F variable with the cell's own and d
    degrees of freedom. `prior` estimates both. The ratio becomes the mean of the cell's own and s^2, weighted
    by the degrees of freedom, which add up (G. K. Smyth, 2004, "Linear models and empirical Bayes methods for
    assessing differential expression in microarray experiments", Stat. Appl. Genet. Mol. Biol. 3, 3).

    Cells that are less alike than that would make false claims, and two bounds keep these rare: d is cut at
    `cap` times the cell's own degrees of freedom, and a ratio is raised by its neighbours but never lowered.
    Fewer than `MIN_CELLS` cells, and cells without spread or deterministic, stay as they are.
    """
    freedom = np.broadcast_to(of.freedom, of.rep.shape).astype(float)
    usable = (np.broadcast_to(of.replicates, of.rep.shape) > 1) & (of.res > 0)
    if of.rep.shape[-1] < MIN_CELLS or not cap > 0:
        return of
    enough = usable.sum(-1, keepdims=True) >= MIN_CELLS
    ratio = np.where(usable | ~enough, of.rep / np.where(usable, of.res, 1.0), np.nan)
    common, weight = prior(ratio, freedom)
    weight = np.minimum(weight, cap * freedom)
    mean = np.maximum((weight * common + freedom * ratio) / (weight + freedom), ratio)
    changed = usable & enough
    return of._replace(
        rep=np.where(changed, mean * of.res, of.rep), freedom=np.where(changed, weight + freedom, freedom)
    )


def prior(ratios: np.ndarray, freedom: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """s^2 and d of scaled F variables s^2 F(freedom, d), by the moments of their logarithms as in limma's
    `fitFDist`; over the last axis, which is kept with length 1; NaN is left out. d is infinite where the
    ratios vary no more than their degrees of freedom alone explain."""
    with np.errstate(all="ignore"):
        # A ratio of nearly 0 would have the logarithm of whatever it was rounded to.
        least = 1e-5 * np.nanmedian(ratios, -1, keepdims=True)
        logs = np.log(np.maximum(ratios, least)) - digamma(freedom / 2) + np.log(freedom / 2)
        known = ~np.isnan(logs)
        number = known.sum(-1, keepdims=True)
        mean = np.nansum(logs, -1, keepdims=True) / number
        spread = np.nansum(np.square(logs - mean), -1, keepdims=True) / (number - 1)
        own = np.sum(np.where(known, polygamma(1, freedom / 2), 0.0), -1, keepdims=True) / number
        excess = spread - own
        half = trigamma_inverse(np.where(excess > 0, excess, 1.0))
        d = np.where(excess > 0, 2 * half, np.inf)
        scale = np.exp(mean + np.where(excess > 0, digamma(half) - np.log(half), 0.0))
    return scale, d


def trigamma_inverse(x: np.ndarray) -> np.ndarray:
    """The y > 0 whose trigamma is x > 0, by Newton's method on 1 / trigamma, nearly a line."""
    y = 0.5 + 1.0 / x
    for _ in range(50):
        value = polygamma(1, y)
        step = value * (1 - value / x) / polygamma(2, y)
        y = y + step
        if np.max(-step / y, initial=0.0) < 1e-8:
            break
    return y


def _able(table: np.ndarray, *, deterministic: bool) -> bool:
    replicates, images = table.shape
    return images >= 2 and (replicates >= MIN_REPLICATES or (deterministic and replicates == 1))


def _moderated_by_group(of: list[Parts], groups: list[Hashable]) -> Parts:
    """One entry a cell; only cells of the same group are moderated together."""
    stacked = Parts(*(np.array(column, float) for column in zip(*of, strict=True)))
    result = Parts(*(column.copy() for column in stacked))
    for group in dict.fromkeys(groups):
        own = [k for k, of_cell in enumerate(groups) if of_cell == group]
        for column, value in zip(result, moderated(Parts(*(c[own] for c in stacked))), strict=True):
            column[own] = value
    return result

"""A number with its 95 % interval and the p-value of any other number, from whatever it was measured with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import fdtr, fdtrc, fdtri, stdtr, stdtrit

from bench.analysis.statistics import MIN_REPLICATES, ends, p_different, parts

ALPHA = 0.05
NORMAL = 1e12
"""Degrees of freedom at which Student's t is the normal distribution."""
ROUNDING = 1e-12
"""Standard errors up to this are of equal numbers."""


@dataclass(frozen=True)
class Uncertain:
    """A number that was measured.

    Attributes:
        low, high: ends of its plain 95 % interval; None where it has none, and then nothing is decided by it.
        p: the two-sided p-value of the truth being some other number.
    """

    value: float
    low: float | None
    high: float | None
    p: Callable[[float], float]

    def p_above(self, number: float) -> float:
        """The one-sided p-value of the truth being at most `number`."""
        p = self.p(number)
        return p / 2 if self.value > number else 1 - p / 2

    def p_below(self, number: float) -> float:
        """The one-sided p-value of the truth being at least `number`."""
        p = self.p(number)
        return p / 2 if self.value < number else 1 - p / 2

    def p_within(self, number: float, margin: float) -> float:
        """The p-value of the truth being `margin` or more from `number`, from two one-sided tests."""
        return max(self.p_above(number - margin), self.p_below(number + margin))


def unsure(value: float) -> Uncertain:
    """A number without an interval."""
    return Uncertain(value, None, None, lambda number: 1.0)


def exact(value: float) -> Uncertain:
    """A number that is the same whenever it is counted."""
    return Uncertain(value, value, value, lambda number: float(number == value))


def of_scores(table: ArrayLike, deterministic: bool, bound: float) -> Uncertain:
    """The mean of a table of scores (R replicates, N images), for new replicates and new images alike, with
    the interval of a contrast (`bench.analysis.statistics`).

    Args:
        deterministic: one replicate that would be the same if repeated.
        bound: the scores lie between - bound and bound.
    """
    table = np.asarray(table, float)
    if table.shape[1] < 2 or len(table) < MIN_REPLICATES and not (deterministic and len(table) == 1):
        return unsure(float(table.mean()))
    of = parts(table)
    low, high = ends(of, ALPHA, (-bound, bound))

    def p(number: float) -> float:
        return float(p_different(of._replace(estimate=of.estimate - number)))

    return Uncertain(float(of.estimate), float(low), float(high), p)


def of_values(values: Sequence[float] | np.ndarray) -> Uncertain:
    """The mean of values, one a replicate, by Student's t; no interval of fewer than 3."""
    values = np.asarray(values, float)
    if len(values) < MIN_REPLICATES:
        return unsure(float(values.mean()))
    return of_t(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), len(values) - 1)


def of_t(value: float, error: float, freedom: float) -> Uncertain:
    """A number with its standard error and the degrees of freedom of that; no interval where it is 0, as
    equal values do not tell how far others would be."""
    if not error > ROUNDING:
        return unsure(value)
    reach = float(stdtrit(freedom, 1 - ALPHA / 2)) * error

    def p(number: float) -> float:
        return float(2 * stdtr(freedom, -abs(value - number) / error))

    return Uncertain(value, value - reach, value + reach, p)


def difference(first: tuple[float, float, float], second: tuple[float, float, float]) -> Uncertain:
    """The difference of two independent numbers, each with its standard error and degrees of freedom, by
    Welch's t."""
    (a, error_a, freedom_a), (b, error_b, freedom_b) = first, second
    variance = error_a**2 + error_b**2
    if not variance > ROUNDING**2:
        return unsure(a - b)
    return of_t(a - b, variance**0.5, variance**2 / (error_a**4 / freedom_a + error_b**4 / freedom_b))


def of_two_samples(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> Uncertain:
    """The difference of the means of two independent samples, by Welch's t; no interval where one has fewer
    than 3 values."""
    a, b = (np.asarray(values, float) for values in (first, second))
    if min(len(a), len(b)) < MIN_REPLICATES:
        return unsure(float(a.mean() - b.mean()))
    sides = [(float(v.mean()), float(v.std(ddof=1)) / len(v) ** 0.5, len(v) - 1.0) for v in (a, b)]
    return difference(sides[0], sides[1])


def of_spreads(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> Uncertain:
    """The logarithm of the ratio of two standard deviations, by the F distribution of their squares'."""
    a, b = (np.asarray(values, float) for values in (first, second))
    spreads = [values.std(ddof=1) if len(values) > 1 else 0.0 for values in (a, b)]
    if min(len(a), len(b)) < MIN_REPLICATES or min(spreads) <= 0:
        return unsure(float(np.log(spreads[0] / spreads[1])) if min(spreads) > 0 else float("nan"))
    ratio = (spreads[0] / spreads[1]) ** 2
    freedom = len(a) - 1, len(b) - 1
    low, high = (0.5 * float(np.log(ratio / fdtri(*freedom, tail))) for tail in (1 - ALPHA / 2, ALPHA / 2))

    def p(number: float) -> float:
        under = ratio / np.exp(2 * number)
        return float(min(2 * min(fdtr(*freedom, under), fdtrc(*freedom, under)), 1.0))

    return Uncertain(0.5 * float(np.log(ratio)), low, high, p)


def of_shares(k_a: int, n_a: int, k_b: int, n_b: int) -> Uncertain:
    """The difference of two independent shares, k of n each: the estimate plain, interval and p-values with a
    success and a failure added to each (A. Agresti and B. Caffo, 2000, "Simple and effective confidence
    intervals for proportions and differences of proportions", Am. Stat. 54, 280-288)."""
    if min(n_a, n_b) < MIN_REPLICATES:
        return unsure(k_a / n_a - k_b / n_b)
    a, b = (k_a + 1) / (n_a + 2), (k_b + 1) / (n_b + 2)
    error = (a * (1 - a) / (n_a + 2) + b * (1 - b) / (n_b + 2)) ** 0.5
    number = of_t(a - b, error, NORMAL)
    assert number.low is not None and number.high is not None
    low, high = max(number.low, -1.0), min(number.high, 1.0)
    return replace(number, value=k_a / n_a - k_b / n_b, low=low, high=high)


def pseudo_values(statistic: Callable[[list[int]], np.ndarray], replicates: int) -> np.ndarray:
    """Scores (R replicates, N images) of a number that is computed from several replicates at once, for
    `of_scores`: the jackknife over replicates and images alike. Those of replicate r are R times the scores
    from all replicates less R - 1 times those without it (J. W. Tukey, 1958); of a mean over replicates they
    are the scores themselves. One row of fewer than 3 replicates, which have no interval.

    Args:
        statistic: gives the score of every image (N,) from some of the replicates 0, 1, ..., at least two.
    """
    every = list(range(replicates))
    value = statistic(every)
    if replicates < MIN_REPLICATES:
        return value[None]
    without = np.stack([statistic(every[:r] + every[r + 1 :]) for r in every])
    scores: np.ndarray = replicates * value - (replicates - 1) * without
    return scores


def line(x: ArrayLike, y: ArrayLike) -> tuple[float, float, float]:
    """Slope and intercept of the least-squares line through three points or more, and the standard error of
    the slope, with two degrees of freedom fewer than points."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    rest = y - y.mean() - slope * centred
    error = float(np.sqrt(rest @ rest / (len(x) - 2) / (centred @ centred)))
    return slope, float(y.mean() - slope * x.mean()), error

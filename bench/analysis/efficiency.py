"""Accuracy as a function of the number of training images per class.

Sizes are images per class, and every interpolation is linear in accuracy over the logarithm of the size.
Accuracies are fractions; times 100 they are points. Trials from scratch and pretrained ones are different
models here: a curve holds one of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar, nnls

from bench.analysis.statistics import Contrast, Estimate, mean_interval

MIN_POWER_LAW_SIZES = 5
MAX_EXTRAPOLATION = 2.0


@dataclass(frozen=True)
class Curve:
    """Accuracy of one model at rising sizes, with the interval of each."""

    sizes: tuple[float, ...]
    points: tuple[Estimate, ...]

    def _array(self, name: str) -> NDArray:
        values = [getattr(point, name) for point in self.points]
        return np.array([np.nan if value is None else value for value in values])

    @property
    def estimate(self) -> NDArray:
        return self._array("estimate")

    @property
    def low(self) -> NDArray:
        """NaN where a size has too few replicates for an interval."""
        return self._array("low")

    @property
    def high(self) -> NDArray:
        """NaN where a size has too few replicates for an interval."""
        return self._array("high")


@dataclass(frozen=True)
class Needed:
    """Images per class for a target accuracy: more than `low`, at most `high`; None where that end is open.

    "reached": the whole interval is at or above the target at some measured size, `high`. "not reached": it
    is below at the largest one. "inconclusive": neither. `point` is where the measured curve first crosses
    the target from `low` on, None where it does not or where it starts above it.
    """

    status: Literal["reached", "not reached", "inconclusive"]
    low: float | None
    high: float | None
    point: float | None


@dataclass(frozen=True)
class Crossing:
    """Model `leader` is better at size `low`, the other one at size `high`."""

    low: float
    high: float
    point: float
    leader: Literal["a", "b"]


@dataclass(frozen=True)
class Crossover:
    """All changes of the better model that verdicts support; usually there is at most one."""

    status: Literal["crossover", "none in the measured range", "inconclusive"]
    crossings: tuple[Crossing, ...] = ()


@dataclass(frozen=True)
class PowerLaw:
    """error = a n^-b + c, fitted without the largest size and judged on it.

    `holds`: the predicted accuracy lies in the interval at the held-out size; None where that has no
    interval.
    """

    a: float
    b: float
    c: float
    smallest: float
    held_out: float
    predicted: float
    observed: float
    holds: bool | None

    @property
    def limit(self) -> float:
        """The largest size it may be drawn to, dashed beyond the held-out one."""
        return MAX_EXTRAPOLATION * self.held_out

    def error(self, sizes: ArrayLike) -> NDArray:
        """The fitted error. Raises ValueError outside the measured range by more than the extrapolation
        allowed (twice the largest size; nothing below the smallest)."""
        sizes = np.asarray(sizes, float)
        if not (sizes.min() >= self.smallest and sizes.max() <= self.limit):
            raise ValueError(f"the fit holds for {self.smallest:g} to {self.limit:g} images per class only")
        return self.a * sizes**-self.b + self.c


@dataclass(frozen=True)
class Sensitivity:
    """How far the learning rate can be off: `decades` from `low` to `high` lose less than delta.

    `bounded` is False where that range touches an end of the grid: it is then "at least" so many decades.
    """

    best_rate: float
    best: float
    decades: float
    low: float
    high: float
    bounded: bool


def curve(scores: Mapping[float, ArrayLike], *, alpha: float = 0.05) -> Curve:
    """Accuracy against size, from scores (R, N) at each size.

    The intervals are those of `mean_interval` (two-way variance, replicates and images both random), each of
    level 1 - alpha alone. A t interval over replicates alone would be shorter, but would speak only about
    these test images, while verdicts speak about new ones as well.
    """
    sizes = _rising(sorted(scores))
    points = (mean_interval(scores[n], alpha=alpha) for n in sizes)
    return Curve(tuple(map(float, sizes)), tuple(points))


def area_scores(scores: Mapping[float, ArrayLike]) -> NDArray:
    """The normalised area under the curve, of every replicate and image (R, N).

    Area = integral of accuracy over log2(size) from the smallest to the largest size by the trapezoidal rule,
    divided by the length of that range: the average accuracy over doublings of the data, in [0, 1]. It is
    linear in the scores, so the areas of two models over the same sizes are compared by `contrast` as
    accuracies are. Raises ValueError unless every size has the same replicates and images.
    """
    sizes = _rising(sorted(scores))
    tables = [np.asarray(scores[n], float) for n in sizes]
    if len(sizes) < 2 or len({table.shape for table in tables}) > 1:
        raise ValueError("an area needs two sizes or more, with the same replicates and images at each")
    x = np.log2(sizes)
    weights = np.convolve(np.diff(x), [0.5, 0.5]) / (x[-1] - x[0])
    return np.tensordot(weights, np.stack(tables), 1)


def area(scores: Mapping[float, ArrayLike], *, alpha: float = 0.05) -> Estimate:
    """The normalised area under one model's curve with its interval; see `area_scores`."""
    return mean_interval(area_scores(scores), alpha=alpha)


def images_needed(measured: Curve, target: float) -> Needed:
    """The size at which the accuracy reaches `target`, by inverting the band.

    More data is taken not to hurt; nothing else is assumed of the curve between two measured sizes, so the
    interval ends on measured sizes: above every size at which the band is below the target, and at or below
    the first at which it is not. A band that is below the target after having been above contradicts that,
    and is "inconclusive" with both ends open.
    """
    sizes, low, high = np.array(measured.sizes), measured.low, measured.high
    below, above = np.flatnonzero(high < target), np.flatnonzero(low >= target)
    if len(below) and len(above) and below[-1] > above[0]:
        return Needed("inconclusive", None, None, None)
    start = below[-1] if len(below) else 0
    point = _first_reached(sizes[start:], measured.estimate[start:], target)
    floor = float(sizes[below[-1]]) if len(below) else None
    if len(above):
        return Needed("reached", floor, float(sizes[above[0]]), point)
    status = "not reached" if floor == sizes[-1] else "inconclusive"
    return Needed(status, floor, None, point)


def crossover(sizes: Sequence[float], contrasts: Sequence[Contrast]) -> Crossover:
    """Where the better of models a and b changes, from their contrasts at rising sizes.

    Claimed only between a size at which one is better and a larger one at which the other is; the interval
    runs between the nearest two such sizes, the point is where the interpolated difference is zero (the
    middle one of several). The verdicts have to allow for all sizes, and a wrong claim then needs a wrong
    verdict. "none in the measured range": at every size the same model is better, or the two are equivalent.
    """
    sizes = _rising(sizes)
    if len(sizes) != len(contrasts):
        raise ValueError(f"{len(sizes)} sizes and {len(contrasts)} contrasts do not match")
    decided = [k for k, c in enumerate(contrasts) if c.verdict in ("better", "worse")]
    changes = [
        (i, j)
        for i, j in zip(decided, decided[1:], strict=False)
        if contrasts[i].verdict != contrasts[j].verdict
    ]
    if changes:
        return Crossover("crossover", tuple(_crossing(sizes, contrasts, i, j) for i, j in changes))
    settled = all(c.verdict in ("better", "worse", "equivalent") for c in contrasts)
    return Crossover("none in the measured range" if settled else "inconclusive")


def power_law(measured: Curve) -> PowerLaw | None:
    """Fit error = a n^-b + c to all sizes but the largest, by least squares with a, c >= 0 and 0.01 <= b <=
    10, and judge it on the largest. None with fewer than five sizes."""
    if len(measured.sizes) < MIN_POWER_LAW_SIZES:
        return None
    sizes, error = np.array(measured.sizes), 1.0 - measured.estimate
    relative = sizes[:-1] / sizes[0]

    def fit(log_b: float) -> tuple[NDArray, float]:
        """For a given exponent the rest is linear."""
        columns = np.stack([relative ** -np.exp(log_b), np.ones(len(relative))], 1)
        return nnls(columns, error[:-1])

    grid = np.linspace(np.log(0.01), np.log(10.0), 141)
    k = int(np.argmin([fit(log_b)[1] for log_b in grid]))
    around = (grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)])
    log_b = minimize_scalar(lambda x: fit(x)[1], bounds=around, method="bounded", options={"xatol": 1e-9}).x
    (a, c), b = fit(log_b)[0], float(np.exp(log_b))
    a = float(a * sizes[0] ** b)
    predicted = float(1.0 - (a * sizes[-1] ** -b + c))
    last = measured.points[-1]
    holds = None if last.low is None or last.high is None else bool(last.low <= predicted <= last.high)
    return PowerLaw(a, b, float(c), float(sizes[0]), float(sizes[-1]), predicted, float(last.estimate), holds)


def generalisation_gap(train: ArrayLike, val: ArrayLike) -> NDArray:
    """Train minus val of each replicate (R,), for accuracy or NLL at one size; `spread` describes it.
    Raises ValueError where they are not paired."""
    train, val = np.asarray(train, float), np.asarray(val, float)
    if train.shape != val.shape or train.ndim != 1:
        raise ValueError(f"expected the same replicates, not shapes {train.shape} and {val.shape}")
    return train - val


def learning_rate_sensitivity(rates: ArrayLike, scores: ArrayLike, delta: float = 0.01) -> Sensitivity:
    """How many decades of learning rate around the best one stay within `delta` of its score.

    `rates` are distinct and positive, `scores` the mean accuracy at each, diverged trials at chance. Between
    two rates the score is interpolated over log10(rate). Of equal scores the smallest rate counts as best.
    """
    rates, scores = np.asarray(rates, float), np.asarray(scores, float)
    if rates.shape != scores.shape:
        raise ValueError(f"{rates.size} rates and {scores.size} scores do not match")
    order = np.argsort(rates)
    x, y = _rising(rates[order]), scores[order]
    best = int(np.argmax(y))
    floor = y[best] - delta
    left = _first_reached(1 / x[best::-1], -y[best::-1], -floor, strict=True)
    right = _first_reached(x[best:], -y[best:], -floor, strict=True)
    low, high = 1 / left if left else float(x[0]), right or float(x[-1])
    bounded = left is not None and right is not None
    return Sensitivity(float(x[best]), float(y[best]), float(np.log10(high / low)), low, high, bounded)


def _rising(sizes: Sequence[float] | NDArray) -> NDArray:
    sizes = np.asarray(sizes, float)
    if sizes.ndim != 1 or not sizes.size or not (sizes[0] > 0 and (np.diff(sizes) > 0).all()):
        raise ValueError(f"expected positive, rising values, not {sizes.tolist()}")
    return sizes


def _between(sizes: NDArray, values: NDArray, k: int, target: float) -> float:
    """Where the line from point k to k + 1 over the log axis meets the target."""
    share = (target - values[k]) / (values[k + 1] - values[k])
    return float(sizes[k] * (sizes[k + 1] / sizes[k]) ** share)


def _first_reached(sizes: NDArray, values: NDArray, target: float, *, strict: bool = False) -> float | None:
    """Where the interpolated values first reach (strict: exceed) the target; None if never or from the
    start."""
    reached = values > target if strict else values >= target
    k = int(np.argmax(reached))
    return _between(sizes, values, k - 1, target) if k > 0 else None


def _crossing(sizes: NDArray, contrasts: Sequence[Contrast], i: int, j: int) -> Crossing:
    differences = np.array([c.estimate for c in contrasts])
    signs = np.sign(differences)
    zeros = [float(sizes[k]) for k in range(i, j) if signs[k] == 0]
    zeros += [_between(sizes, differences, k, 0.0) for k in range(i, j) if signs[k] * signs[k + 1] < 0]
    leader = "a" if contrasts[i].verdict == "better" else "b"
    return Crossing(float(sizes[i]), float(sizes[j]), sorted(zeros)[len(zeros) // 2], leader)

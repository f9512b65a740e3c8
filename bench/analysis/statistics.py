"""What may be claimed from scores, and what only describes them.

Scores are tables of R replicates x N test images with values in [0, 1]: 1 where the image was classified
correctly, 0 where not, and chance for every image of a diverged trial. All results are fractions; times 100
they are points. Verdicts come from one interval, `contrast`. Everything under "Descriptive" speaks about the
networks that were trained and about nothing else, and is never a verdict.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit
from scipy.stats import binom, norm

Verdict = Literal["better", "worse", "equivalent", "inconclusive", "none"]

MIN_REPLICATES = 3
"""Fewer replicates than this give an estimate, but neither an interval nor a verdict."""

_FLAT = 1e-20
"""Mean squares of scores in [0, 1] below this are rounding errors, not variation."""


@dataclass(frozen=True)
class Estimate:
    """The mean of a table of scores with its interval; the interval is None where none can be given."""

    estimate: float
    low: float | None
    high: float | None
    half_width: float | None
    se: float | None
    replicates: int
    images: int


@dataclass(frozen=True)
class Contrast(Estimate):
    """The mean difference between two models, and what may be said about it."""

    verdict: Verdict
    delta: float
    alpha: float
    comparisons: int


class Intervals(NamedTuple):
    """Arrays of one shape: one entry for each table of a stack."""

    estimate: NDArray
    low: NDArray
    high: NDArray
    se: NDArray


def chance_scores(classes: int, images: int) -> NDArray:
    """The scores of a diverged trial: a guess is right once in `classes` times, on each of N images."""
    if classes < 1 or images < 1:
        raise ValueError(f"classes and images must be at least 1, not {classes} and {images}")
    return np.full(images, 1.0 / classes)


def mean_squares(tables: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """MS_rep, MS_img, MS_res of the two-way analysis of variance without replication of tables (..., R,
    N)."""
    tables = np.asarray(tables)
    replicates, images = tables.shape[-2:]
    if replicates < 2 or images < 2:
        raise ValueError(f"mean squares need 2 replicates and 2 images, not {replicates} and {images}")
    centred = tables - tables.mean((-2, -1), dtype=float, keepdims=True)
    ss_rep = images * np.square(centred.mean(-1)).sum(-1)
    ss_img = replicates * np.square(centred.mean(-2)).sum(-1)
    ss_res = np.maximum(np.einsum("...rn,...rn->...", centred, centred) - ss_rep - ss_img, 0.0)
    return (
        ss_rep / (replicates - 1),
        ss_img / (images - 1),
        ss_res / ((replicates - 1) * (images - 1)),
    )


def intervals(
    tables: ArrayLike,
    *,
    alpha: float = 0.05,
    comparisons: int = 1,
    bounds: tuple[float, float] = (-1.0, 1.0),
) -> Intervals:
    """Two-sided intervals for the means of a stack of tables (..., R, N), replicates and images both random.

    The mean has variance (a + b) / (R N), with a = max(MS_rep, MS_res) and b = max(MS_img - MS_res, 0). Its
    half-width H is that of Howe: the half-widths of independent parts, each with the quantile of Student's t
    for its own degrees of freedom, add up like standard errors (W. G. Howe, 1974, "Approximate confidence
    limits on the mean of X + Y where X and Y are two tabled independent random variables", JASA 69,
    789-794). With t_k for k degrees of freedom,

        R N H^2 = max(t_{R-1}^2 MS_rep, t_{(R-1)(N-1)}^2 MS_res) + t_{N-1}^2 b.

    The maximum is the floor of a, at the degrees of freedom of what it is made of: replicates that agree by
    luck cannot make the interval shorter than the residuals alone allow. Degrees of freedom estimated for the
    sum (Satterthwaite) are many just when MS_rep is small by luck, and claim too much. Each interval has
    level 1 - alpha / comparisons (Bonferroni), for all of them to hold together with probability 1 - alpha;
    `simulation` measures how often they do.

    A table of equal values d has no variation to estimate a variance from, and a width of zero would claim
    too much. If a share p of all images is different, N images miss it with probability (1 - p)^N; the
    largest p that is missed with probability alpha / (2 comparisons) could move the mean to d - p (d - lower
    bound) or d + p (upper bound - d), and these are the ends (SE 0).

    Raises ValueError for fewer than 3 replicates or 2 images, and for values that are not within the bounds.
    """
    tables = np.asarray(tables)
    replicates, images = tables.shape[-2:]
    if replicates < MIN_REPLICATES or images < 2:
        raise ValueError(f"an interval needs 3 replicates and 2 images, not {replicates} and {images}")
    _check(tables, bounds)
    tail = _tail(alpha, comparisons)
    ms_rep, ms_img, ms_res = mean_squares(tables)
    a, b = np.maximum(ms_rep, ms_res), np.maximum(ms_img - ms_res, 0.0)
    flat = a + b < _FLAT
    se = np.where(flat, 0.0, np.sqrt((a + b) / (replicates * images)))
    freedom = np.array([replicates - 1, images - 1, (replicates - 1) * (images - 1)])
    t_rep, t_img, t_res = np.square(stdtrit(freedom, 1.0 - tail))
    reach = np.sqrt((np.maximum(t_rep * ms_rep, t_res * ms_res) + t_img * b) / (replicates * images))
    unseen = 1.0 - tail ** (1.0 / images)
    estimate = tables.mean((-2, -1), dtype=float)
    low = estimate - np.where(flat, unseen * (estimate - bounds[0]), reach)
    high = estimate + np.where(flat, unseen * (bounds[1] - estimate), reach)
    return Intervals(estimate, low, high, se)


def verdicts(low: ArrayLike, high: ArrayLike, delta: float) -> NDArray[np.str_]:
    """What intervals say: "better" or "worse" (0 is outside), else "equivalent" (within +-delta), else
    "inconclusive". Ends that lie exactly on 0 or on +-delta claim nothing."""
    low, high = np.asarray(low), np.asarray(high)
    inside = (low > -delta) & (high < delta)
    return np.select([low > 0, high < 0, inside], ["better", "worse", "equivalent"], "inconclusive")


def mean_interval(scores: ArrayLike, *, alpha: float = 0.05, comparisons: int = 1) -> Estimate:
    """Accuracy of one model, for new replicates and new images alike, from its scores (R, N).

    The interval is cut at 0 and 1. It is None with fewer than 3 replicates or 2 images.
    """
    table = _table(scores)
    if not _enough(table):
        _check(table, (0.0, 1.0))
        return Estimate(float(table.mean()), None, None, None, None, *table.shape)
    found = intervals(table, alpha=alpha, comparisons=comparisons, bounds=(0.0, 1.0))
    return _estimate(found._replace(low=np.maximum(found.low, 0), high=np.minimum(found.high, 1)), table)


def contrast(
    scores_a: ArrayLike,
    scores_b: ArrayLike | None = None,
    *,
    alpha: float = 0.05,
    comparisons: int = 1,
    delta: float = 0.01,
) -> Contrast:
    """Whether model a scores higher than model b, paired replicate by replicate and image by image.

    Both are tables (R, N); or the first holds the differences, a minus b, and there is no second.
    `comparisons` is the number of primary contrasts of the suite (1 for an exploratory contrast, which is not
    adjusted), `delta` the difference that was declared negligible. See `intervals` for the formula and for
    tables without variation. With fewer than 3 replicates or 2 images the verdict is "none" and there is no
    interval. Raises ValueError for shapes that differ, and for values that are not scores.
    """
    if not delta > 0:
        raise ValueError(f"delta must be above 0, not {delta}")
    table = _table(scores_a)
    if scores_b is not None:
        other = _table(scores_b)
        if other.shape != table.shape:
            raise ValueError(f"scores must be paired: shapes {table.shape} and {other.shape} differ")
        _check(table, (0.0, 1.0))
        _check(other, (0.0, 1.0))
        table = table - other
    declared = {"delta": delta, "alpha": alpha, "comparisons": comparisons}
    if not _enough(table):
        _check(table, (-1.0, 1.0))
        mean = float(table.mean())
        return Contrast(mean, None, None, None, None, *table.shape, verdict="none", **declared)
    found = intervals(table, alpha=alpha, comparisons=comparisons)
    verdict = str(verdicts(found.low, found.high, delta))
    return Contrast(**vars(_estimate(found, table)), verdict=verdict, **declared)


# Descriptive: about the networks that were trained, never a verdict.


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1) over n replicates, `diverged` of them scored at chance."""

    mean: float
    sd: float | None
    n: int
    diverged: int = 0


@dataclass(frozen=True)
class McNemar:
    """Images that only one of two trained networks got right, and the exact two-sided p-value."""

    only_a: int
    only_b: int
    p: float


def spread(values: ArrayLike, diverged: int = 0) -> Spread:
    """Describe one number a replicate (n,); one replicate has no standard deviation."""
    values = np.asarray(values, float)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"expected one value a replicate, not shape {values.shape}")
    sd = float(values.std(ddof=1)) if values.size > 1 else None
    return Spread(float(values.mean()), sd, values.size, diverged)


def wilson(k: int, n: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """Wilson's score interval for k of n test images, of one trained network."""
    if not 0 <= k <= n or n < 1:
        raise ValueError(f"expected 0 <= k <= n and n >= 1, not k = {k} and n = {n}")
    z = norm.isf(alpha / 2)
    centre = (k + z**2 / 2) / (n + z**2)
    reach = z / (n + z**2) * np.sqrt(k * (n - k) / n + z**2 / 4)
    return float(max(centre - reach, 0.0)), float(min(centre + reach, 1.0))


def bootstrap_per_class(
    correct: ArrayLike, labels: ArrayLike, *, draws: int = 2000, seed: int = 0, alpha: float = 0.05
) -> tuple[float, float, float]:
    """Mean per-class accuracy of one trained network, with a percentile interval from resampling its images
    (N,) within each class. Drawing n of n images of which k are correct, with replacement, finds a
    Binomial(n, k / n) number of correct ones, so no image is actually drawn. Returns (mean, low, high)."""
    correct, labels = np.asarray(correct, bool), np.asarray(labels)
    if correct.shape != labels.shape or correct.ndim != 1 or not correct.size:
        raise ValueError(f"expected one label an image, not shapes {correct.shape} and {labels.shape}")
    _, members, n = np.unique(labels, return_inverse=True, return_counts=True)
    share = np.bincount(members, weights=correct) / n
    means = (np.random.default_rng(seed).binomial(n, share, (draws, n.size)) / n).mean(1)
    low, high = np.quantile(means, [alpha / 2, 1 - alpha / 2])
    return float(share.mean()), float(low), float(high)


def mcnemar(correct_a: ArrayLike, correct_b: ArrayLike) -> McNemar:
    """McNemar's exact test of two trained networks on the same images (N,): of the images that only one of
    them got right, half would be a's by chance. Without such images p is 1."""
    a, b = np.asarray(correct_a, bool), np.asarray(correct_b, bool)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"expected the same images, not shapes {a.shape} and {b.shape}")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    p = min(1.0, 2 * float(binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)))
    return McNemar(only_a, only_b, p)


def _table(scores: ArrayLike) -> NDArray:
    """Scores as floats (R, N)."""
    table = np.asarray(scores, float)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"expected a table of replicates x images, not shape {table.shape}")
    return table


def _check(tables: NDArray, bounds: tuple[float, float]) -> None:
    """NaN fails the comparison too."""
    if not (tables.min() >= bounds[0] - 1e-9 and tables.max() <= bounds[1] + 1e-9):
        raise ValueError(f"expected values between {bounds[0]:g} and {bounds[1]:g}")


def _tail(alpha: float, comparisons: int) -> float:
    if not (0 < alpha < 1 and comparisons >= 1):
        raise ValueError(f"expected 0 < alpha < 1 and comparisons >= 1, not {alpha} and {comparisons}")
    return alpha / (2 * comparisons)


def _enough(table: NDArray) -> bool:
    return table.shape[0] >= MIN_REPLICATES and table.shape[1] >= 2


def _estimate(found: Intervals, table: NDArray) -> Estimate:
    mean, low, high, se = (float(value) for value in found)
    return Estimate(mean, low, high, (high - low) / 2, se, *table.shape)

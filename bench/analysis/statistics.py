"""What may be claimed from scores, and what only describes them.

Scores are tables of R replicates x N test images with values in [0, 1]: 1 where the image was classified
correctly, 0 where not, and chance for every image of a diverged trial. All results are fractions; times 100
they are points. Here are the variance of a mean difference, its interval and its p-values; `decisions` has
what several contrasts of a suite say together. Everything under "Descriptive" speaks about the networks that
were trained and about nothing else, and is never a verdict.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from bench.metrics.accuracy import at_chance

Verdict = Literal["better", "worse", "equivalent", "inconclusive", "none"]

MIN_REPLICATES = 3
"""Fewer replicates than this give an estimate, but neither an interval nor a verdict."""

_FLAT = 1e-20
"""Mean squares of scores in [0, 1] below this are rounding errors, not variation."""


@dataclass(frozen=True)
class Estimate:
    """The mean of a table of scores with its 95 % interval; the interval is None where none can be given."""

    estimate: float
    low: float | None
    high: float | None
    half_width: float | None
    se: float | None
    replicates: int
    images: int


@dataclass(frozen=True)
class Needs:
    """What would decide a contrast: replicates with the test images that there are, or else test images with
    the replicates that there are; None where a hundred times as many would not. `equivalent` says that what
    they would show is that the two are equivalent, not which is better."""

    replicates: int | None = None
    images: int | None = None
    equivalent: bool = False


@dataclass(frozen=True)
class Contrast(Estimate):
    """The mean difference between two models, and what may be said about it.

    `p_adjusted` (of no difference) and `p_equivalent` (of a difference of delta or more) are Holm's, over
    `comparisons` contrasts; None where there is no verdict. `images_only`: the interval is about new test
    images alone. `needs`: what would decide an inconclusive one. `looks`: how often it was judged for a
    verdict, which spent `alpha_spent` of alpha.
    """

    verdict: Verdict
    delta: float
    alpha: float
    comparisons: int = 1
    p_adjusted: float | None = None
    p_equivalent: float | None = None
    images_only: bool = False
    needs: Needs | None = None
    looks: int = 0
    alpha_spent: float = 0.0

    @property
    def excludes_0(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


class Parts(NamedTuple):
    """What tables of scores say of their means: arrays that broadcast to one shape, an entry a table.

    The variance of a mean is (max(rep, res) + img) / (replicates x images): `rep` is MS_rep with `freedom`
    degrees of freedom, `res` MS_res, and `img` what MS_img has above MS_res.
    """

    estimate: np.ndarray
    rep: np.ndarray
    img: np.ndarray
    res: np.ndarray
    freedom: np.ndarray
    replicates: np.ndarray
    images: np.ndarray

    @property
    def flat(self) -> np.ndarray:
        """Tables of equal values, which have no variation to estimate a variance from."""
        flat: np.ndarray = np.maximum(self.rep, self.res) + self.img < _FLAT
        return flat

    @property
    def se(self) -> np.ndarray:
        """The standard error of the mean; 0 of a flat table."""
        variance = (np.maximum(self.rep, self.res) + self.img) / (self.replicates * self.images)
        return np.where(self.flat, 0.0, np.sqrt(variance))


def chance_scores(classes: int, images: int) -> np.ndarray:
    """The scores of a diverged trial: a guess is right once in `classes` times, on each of N images."""
    if classes < 1 or images < 1:
        raise ValueError(f"classes and images must be at least 1, not {classes} and {images}")
    return np.full(images, at_chance(classes)["top1"])


def by_group(scores: ArrayLike, groups: np.ndarray) -> np.ndarray:
    """Scores (..., N) of images that belong together as one score a group, (..., G), with the same mean.

    Images of one patient are alike, and N of them say less of new patients than N independent images. The
    mean over images is the ratio of two sums over groups, sum(t_g) / sum(n_g), of scores and of images, and
    t_g - mean n_g over the mean size of a group is what each group moves it by (W. G. Cochran, 1977,
    "Sampling techniques", 3rd edition, section 6.3); this, plus the mean, is the score of a group. It may
    leave [0, 1] where a group is larger than others. Differences of such scores are scores of differences.

    Args:
        groups: int (N,), equal for images that belong together.
    """
    table = np.asarray(scores, float)
    _, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if table.shape[-1:] != members.shape:
        raise ValueError(f"expected one group an image, not shapes {table.shape} and {members.shape}")
    mean = table.mean(-1, keepdims=True)
    sums = np.apply_along_axis(lambda row: np.bincount(members, weights=row), -1, table)
    moved: np.ndarray = mean + (sums - mean * sizes) / sizes.mean()
    return moved


def mean_squares(tables: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def parts(tables: ArrayLike) -> Parts:
    """The parts of the variance of tables (..., R, N) of 3 replicates or more.

    One replicate is a deterministic run, the same however often it is repeated: only its images are random.
    Raises ValueError for two replicates and for fewer than 2 images.
    """
    tables = np.asarray(tables)
    replicates, images = tables.shape[-2:]
    if images < 2 or 1 < replicates < MIN_REPLICATES or not replicates:
        raise ValueError(f"an interval needs 3 replicates and 2 images, not {replicates} and {images}")
    estimate = tables.mean((-2, -1), dtype=float)
    if replicates == 1:
        rep = res = np.zeros_like(estimate)
        img = tables[..., 0, :].var(-1, ddof=1, dtype=float)
    else:
        rep, ms_img, res = mean_squares(tables)
        img = np.maximum(ms_img - res, 0.0)
    return Parts(estimate, rep, img, res, *map(np.asarray, (max(replicates - 1, 1), replicates, images)))


def half_width(of: Parts, tail: ArrayLike) -> np.ndarray:
    """The half-width H of an interval that misses on each side with probability `tail`, below 0.5.

    Replicates and images are both random, and H is that of Howe: the half-widths of independent parts, each
    with the quantile of Student's t for its own degrees of freedom, add up like standard errors (W. G. Howe,
    1974, "Approximate confidence limits on the mean of X + Y where X and Y are two tabled independent random
    variables", JASA 69, 789-794). With t_k for k degrees of freedom,

        R N H^2 = max(t_freedom^2 rep, t_{(R-1)(N-1)}^2 res) + t_{N-1}^2 img.

    The maximum is the floor of the first part, at the degrees of freedom of what it is made of: replicates
    that agree by luck cannot make the interval shorter than the residuals alone allow. Degrees of freedom
    estimated for the sum (Satterthwaite) are many just when rep is small by luck, and claim too much.
    """
    rest = np.maximum((of.replicates - 1) * (of.images - 1), 1)
    t_rep, t_img, t_res = (stdtrit(k, tail) for k in (of.freedom, of.images - 1, rest))
    over = np.maximum(np.abs(t_rep) * np.sqrt(of.rep), np.abs(t_res) * np.sqrt(of.res))
    width: np.ndarray = np.hypot(over, t_img * np.sqrt(of.img)) / np.sqrt(of.replicates * of.images)
    return width


def ends(
    of: Parts, alpha: float = 0.05, bounds: tuple[float, float] = (-1.0, 1.0)
) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of two-sided intervals of level 1 - alpha. They are not cut at the bounds of the mean.

    A flat table of equal values d would have an interval of no width, which claims too much. If a share p of
    all images is different, N images miss it with probability (1 - p)^N; the largest p that is missed with
    probability alpha / 2 could move the mean to d - p (d - lower bound) or d + p (upper bound - d), and these
    are the ends.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"expected 0 < alpha < 1, not {alpha}")
    unseen = 1.0 - (alpha / 2) ** (1.0 / of.images)
    reach = half_width(of, alpha / 2)
    low = of.estimate - np.where(of.flat, unseen * (of.estimate - bounds[0]), reach)
    high = of.estimate + np.where(of.flat, unseen * (bounds[1] - of.estimate), reach)
    return low, high


def p_different(of: Parts) -> np.ndarray:
    """Two-sided p-values of no difference: the alpha at which an end of the interval is 0."""
    size = np.abs(of.estimate)
    p: np.ndarray = np.minimum(2 * _tail(of, size, size / (1 + size)), 1.0)
    return p


def p_equivalent(of: Parts, delta: float) -> np.ndarray:
    """P-values of a difference of delta or more, from two one-sided tests (D. J. Schuirmann, 1987, "A
    comparison of the two one-sided tests procedure and the power approach", J. Pharmacokin. Biopharm. 15,
    657-680): small where intervals of level 1 - 2 alpha lie within +-delta."""
    if not delta > 0:
        raise ValueError(f"delta must be above 0, not {delta}")
    room = delta - np.abs(of.estimate)
    return _tail(of, room, room / (1 - np.abs(of.estimate) + 1e-300))


def _tail(of: Parts, distance: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The `tail` at which the half-width is `distance`, by bisection of its logarithm. Of a flat table: the
    probability that no image shows what moves the mean so far, which must be a `share` of all images."""
    distance, share, flat = np.broadcast_arrays(distance, share, of.flat)
    low, high = np.full(distance.shape, -300.0), np.full(distance.shape, np.log(0.5))
    for _ in range(45):
        middle = (low + high) / 2
        short = half_width(of, np.exp(middle)) < np.abs(distance)
        low, high = np.where(short, low, middle), np.where(short, middle, high)
    unseen = np.power(1.0 - np.clip(share, 0.0, 1.0), of.images)
    tail: np.ndarray = np.where(flat, unseen, np.where(distance < 0, 1.0 - np.exp(high), np.exp(high)))
    return tail


def mean_interval(
    scores: ArrayLike, variance: Callable[[np.ndarray], Parts] = parts, *, alpha: float = 0.05
) -> Estimate:
    """Accuracy of one model, for new replicates and new images alike, from its scores (R, N).

    The interval is cut at 0 and 1. It is None with fewer than 3 replicates or 2 images.

    Args:
        variance: gives the parts of the variance, as `parts` or `kfold.parts_in` do.
    """
    table = as_table(scores, (0.0, 1.0))
    if table.shape[0] < MIN_REPLICATES or table.shape[1] < 2:
        return Estimate(float(table.mean()), None, None, None, None, *table.shape)
    of = variance(table)
    lower, upper = ends(of, alpha, (0.0, 1.0))
    low, high = max(float(lower), 0.0), min(float(upper), 1.0)
    return Estimate(float(of.estimate), low, high, (high - low) / 2, float(of.se), *table.shape)


def as_table(scores: ArrayLike, bounds: tuple[float, float]) -> np.ndarray:
    """Scores as floats (R, N). Raises ValueError for another shape, and for replicates whose mean is outside
    the bounds: scores themselves are within them, but for those of groups of unequal size."""
    table = np.asarray(scores, float)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"expected a table of replicates x images, not shape {table.shape}")
    # Written so that NaN fails it too.
    means = table.mean(1)
    if not (means.min() >= bounds[0] - 1e-9 and means.max() <= bounds[1] + 1e-9):
        raise ValueError(f"expected values with means between {bounds[0]:g} and {bounds[1]:g}")
    return table


# Descriptive: about the networks that were trained, never a verdict.


@dataclass(frozen=True)
class McNemar:
    """Images that only one of two trained networks got right, and the exact two-sided p-value."""

    only_a: int
    only_b: int
    p: float


def wilson(k: int, n: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """Wilson's score interval for k of n test images, of one trained network."""
    from scipy.stats import binomtest  # loads in half a second; reports do without

    ends = binomtest(k, n).proportion_ci(1 - alpha, method="wilson")
    return max(float(ends.low), 0.0), min(float(ends.high), 1.0)


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
    from scipy.stats import binomtest

    a, b = np.asarray(correct_a, bool), np.asarray(correct_b, bool)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"expected the same images, not shapes {a.shape} and {b.shape}")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    n = only_a + only_b
    return McNemar(only_a, only_b, float(binomtest(only_a, n).pvalue) if n else 1.0)


def share_interval(
    correct: ArrayLike, groups: np.ndarray | None = None, *, alpha: float = 0.05
) -> tuple[float, float]:
    """The interval of the accuracy of one trained network, from its images (N,), for others like these:
    Wilson's, or, where images belong together in groups (N,), that of Student's t over groups."""
    right = np.asarray(correct, bool)
    if groups is None:
        return wilson(int(right.sum()), len(right), alpha=alpha)
    scores = by_group(right[None], groups)
    if scores.shape[1] < 2:
        return 0.0, 1.0
    low, high = ends(parts(scores), alpha, (0.0, 1.0))
    return max(float(low), 0.0), min(float(high), 1.0)


def pair_p(correct_a: ArrayLike, correct_b: ArrayLike, groups: np.ndarray | None = None) -> float:
    """The p-value of no difference between two trained networks on the same images (N,): McNemar's, or, where
    images belong together in groups (N,), that of Student's t over groups."""
    if groups is None:
        return mcnemar(correct_a, correct_b).p
    difference = by_group(np.asarray(correct_a, float)[None] - np.asarray(correct_b, float), groups)
    return float(p_different(parts(difference))) if difference.shape[1] > 1 else 1.0

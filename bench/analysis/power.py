"""How many replicates and test images a verdict needs, from what some replicates and images have shown.

The variances between runs, between images and of the rest are taken to be as they were estimated, and each
contrast to be the hardest of all that are judged together (Bonferroni); what cells lend each other
(`decisions.moderated`) is left out. All three make the numbers a little too large.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaincinv, ndtr

from bench.analysis.statistics import MIN_REPLICATES, Needs, Parts, half_width

POWER = 0.8
MOST = 1000
"""The most replicates, and times as many test images, that are thought of."""
ENDLESS = 1e12
_MIDDLES = (np.arange(200) + 0.5) / 200
"""Probabilities in the middle of equal steps, to average over a distribution."""


@dataclass(frozen=True)
class Sizes:
    """What a true difference needs to be found with probability `POWER`.

    Attributes:
        power: the probability with the replicates and test images that there are.
        replicates: how many it needs with these test images; None where more than `MOST`.
        images: how many it needs with these replicates; None where more than `MOST` times as many.
        limited_by: "images" where no number of replicates suffices with these, and "replicates" likewise.
    """

    power: float
    replicates: int | None
    images: int | None
    limited_by: tuple[str, ...]


def sizes(of: Parts, difference: float, alpha: float) -> Sizes | None:
    """What a true difference above 0 needs, in one cell; None where its scores do not vary.

    Args:
        of: the parts of its variance; one replicate is a deterministic run, of which there is no second.
        alpha: of its two-sided test.
    """
    if of.flat:
        return None

    def enough(replicates: ArrayLike, images: ArrayLike) -> np.ndarray:
        suffices: np.ndarray = power(of, difference, replicates, images, alpha) >= POWER
        return suffices

    once = of.replicates == 1
    replicates = np.array([1.0]) if once else np.arange(float(MIN_REPLICATES), MOST + 1)
    images = np.unique(np.ceil(float(of.images) * np.geomspace(10 / float(of.images), MOST, 1000)))
    limits = {
        "images": not enough(1 if once else ENDLESS, of.images),
        "replicates": not enough(of.replicates, ENDLESS),
    }
    return Sizes(
        float(power(of, difference, of.replicates, of.images, alpha)),
        _first(replicates, enough(replicates, of.images)),
        _first(images, enough(of.replicates, images)),
        tuple(name for name, limited in limits.items() if limited),
    )


def _first(numbers: np.ndarray, suffice: np.ndarray) -> int | None:
    return int(numbers[np.argmax(suffice)]) if suffice.any() else None


def power(of: Parts, difference: float, replicates: ArrayLike, images: ArrayLike, alpha: float) -> np.ndarray:
    """The probability that a true difference above 0 is found with so many replicates and test images.

    The mean of the tables is normal, and finds it where it is above the half-width of its interval. That
    varies with MS_rep, over whose chi-squared distribution it is averaged; MS_img and MS_res have many
    degrees of freedom and are taken to be as expected.
    """
    more = Parts(*(np.asarray(column)[..., None] for column in expected(of, replicates, images)))
    varied = more._replace(rep=more.rep * gammaincinv(more.freedom / 2, _MIDDLES) * 2 / more.freedom)
    found: np.ndarray = ndtr((difference - half_width(varied, alpha / 2)) / more.se).mean(-1)
    return found


def expected(of: Parts, replicates: ArrayLike, images: ArrayLike) -> Parts:
    """The parts to be expected of tables with so many replicates and test images, like one whose parts are
    known."""
    replicates, images = np.broadcast_arrays(np.asarray(replicates, float), np.asarray(images, float))
    run = np.maximum(of.rep - of.res, 0.0) / of.images  # variances: between runs, between images, of the rest
    image = of.img / of.replicates
    freedom = np.maximum(of.freedom * (replicates - 1) / np.maximum(of.replicates - 1, 1), 1.0)
    rep = np.where(replicates > 1, images * run + of.res, 0.0)
    return Parts(of.estimate, rep, replicates * image, of.res, freedom, replicates, images)


def what_would_decide(
    of: Parts, delta: float, comparisons: int, alpha: float = 0.05, images_a_column: float = 1.0
) -> Needs:
    """How many replicates, or else how many test images, would give a verdict on one cell, if its difference
    is as it was measured, too; at most a hundred times as much of either. Where columns are groups of test
    images, groups are taken to stay as large as they are."""
    share = alpha / comparisons

    def first(replicates: ArrayLike, images: ArrayLike) -> tuple[int, bool] | None:
        """The first that decides, and whether it finds the two equivalent."""
        more = expected(of, replicates, images)
        size = np.abs(of.estimate)
        different, equivalent = half_width(more, share / 2) < size, size + half_width(more, share) < delta
        enough = different | equivalent
        at = int(np.argmax(enough))
        return (at, bool(equivalent[at] and not different[at])) if enough.any() else None

    if of.replicates > 1:
        replicates = np.arange(float(of.replicates) + 1, 101)
        if found := first(replicates, of.images):
            return Needs(replicates=int(replicates[found[0]]), equivalent=found[1])
    images = float(of.images) * np.geomspace(1, 100, 200)
    if found := first(of.replicates, images):
        number = float(f"{images[found[0]] * images_a_column:.2g}")
        return Needs(images=int(number), equivalent=found[1])
    return Needs()

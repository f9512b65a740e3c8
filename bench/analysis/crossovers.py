"""Where the better of two models changes with the number of training images per class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.analysis.contrasts import Finding
from bench.analysis.statistics import Contrast


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


def crossover(sizes: Sequence[float], contrasts: Sequence[Contrast]) -> Crossover:
    """Where the better of models a and b changes, from their contrasts at rising sizes (images per class).

    Claimed only between a size at which one is better and a larger one at which the other is; the interval
    runs between the nearest two such sizes, the point is where the difference, interpolated over the
    logarithm of the size, is zero (the middle one of several). The verdicts have to allow for all sizes, and
    a wrong claim then needs a wrong verdict. "none in the measured range": at every size the same model is
    better, or the two are equivalent.

    Raises:
        ValueError: sizes that are not positive and rising, or not one for each contrast.
    """
    at = np.asarray(sizes, float)
    if at.ndim != 1 or not at.size or not (at[0] > 0 and (np.diff(at) > 0).all()):
        raise ValueError(f"expected positive, rising sizes, not {at.tolist()}")
    if len(at) != len(contrasts):
        raise ValueError(f"{len(at)} sizes and {len(contrasts)} contrasts do not match")
    decided = [k for k, c in enumerate(contrasts) if c.verdict in ("better", "worse")]
    changes = [
        (i, j)
        for i, j in zip(decided, decided[1:], strict=False)
        if contrasts[i].verdict != contrasts[j].verdict
    ]
    if changes:
        return Crossover("crossover", tuple(_crossing(at, contrasts, i, j) for i, j in changes))
    settled = all(c.verdict in ("better", "worse", "equivalent") for c in contrasts)
    return Crossover("none in the measured range" if settled else "inconclusive")


def crossover_of(findings: list[Finding]) -> Crossover | None:
    """Whether the better model of one primary pair changes with the size, by the verdicts at the sizes at
    which both were trained; None with fewer than two of these, and for exploratory pairs, of which nothing is
    claimed."""
    usable = [(f, f.result) for f in findings if f.result and not f.untrained]
    by_size = {f.images_per_class: result for f, result in usable}  # 10 shots may be the whole split
    if len(by_size) < 2 or not all(f.pair.primary for f, _ in usable):
        return None
    sizes = sorted(by_size)
    return crossover(sizes, [by_size[size] for size in sizes])


def _crossing(sizes: np.ndarray, contrasts: Sequence[Contrast], i: int, j: int) -> Crossing:
    differences = np.array([c.estimate for c in contrasts])
    signs = np.sign(differences)
    zeros = [float(sizes[k]) for k in range(i, j) if signs[k] == 0]
    zeros += [_zero(sizes, differences, k) for k in range(i, j) if signs[k] * signs[k + 1] < 0]
    leader: Literal["a", "b"] = "a" if contrasts[i].verdict == "better" else "b"
    return Crossing(float(sizes[i]), float(sizes[j]), sorted(zeros)[len(zeros) // 2], leader)


def _zero(sizes: np.ndarray, differences: np.ndarray, k: int) -> float:
    """Where the line from point k to k + 1 over the logarithm of the size crosses zero."""
    share = differences[k] / (differences[k] - differences[k + 1])
    return float(sizes[k] * (sizes[k + 1] / sizes[k]) ** share)

"""Whether two models fail on different images, and what averaging them gains over averaging twins.

Averaging any two networks helps, so two different models are set beside two runs of the same one. Runs of
different replicates also saw different training images where subsets were drawn: pairs of different models
are therefore formed from different replicates too, or the twins would have seen more labels than the pair
they are compared with. Pairs from one replicate, which share their training images, are reported separately.
"""

from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Kind = Literal["a + b", "a + b, same replicate", "a + a", "b + b"]


@dataclass(frozen=True)
class Overlap:
    """Shares of the test images by which of two networks got them right."""

    both_right: float
    only_a: float
    only_b: float
    both_wrong: float

    @property
    def oracle(self) -> float:
        """The accuracy of always choosing the right one of the two: a bound, not a method."""
        return 1.0 - self.both_wrong

    @property
    def error_overlap(self) -> float | None:
        """Images that both got wrong, of those that either got wrong; None where there are none."""
        wrong = self.only_a + self.only_b + self.both_wrong
        return self.both_wrong / wrong if wrong > 0 else None

    @property
    def independent(self) -> float:
        """The share that both would get wrong if their errors had nothing to do with each other."""
        return (self.only_b + self.both_wrong) * (self.only_a + self.both_wrong)


@dataclass(frozen=True)
class Pairing:
    """Means over all pairs of one kind; `members` is the mean accuracy of the networks in them."""

    kind: Kind
    pairs: int
    members: float
    ensemble: float
    oracle: float
    both_wrong: float
    error_overlap: float | None

    @property
    def gain(self) -> float:
        """What averaging adds to the mean accuracy of its members."""
        return self.ensemble - self.members


def overlap(correct_a: ArrayLike, correct_b: ArrayLike) -> Overlap:
    """Compare the errors of two trained networks on the same images (N,)."""
    a, b = np.asarray(correct_a, bool), np.asarray(correct_b, bool)
    if a.shape != b.shape or a.ndim != 1 or not a.size:
        raise ValueError(f"expected the same images, not shapes {a.shape} and {b.shape}")
    return Overlap(*(float(x.mean()) for x in (a & b, a & ~b, ~a & b, ~a & ~b)))


def ensemble_accuracy(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Accuracy of the mean of the probabilities (K networks, N images, C classes), labels (N,)."""
    mean = np.asarray(probabilities).mean(0, dtype=float)
    return float((mean.argmax(-1) == np.asarray(labels)).mean())


def pairings(a: ArrayLike, b: ArrayLike, labels: ArrayLike) -> list[Pairing]:
    """Every kind of pair that the replicates allow, of models a and b.

    `a` and `b` are probabilities (R, N, C), replicates in the same order, without those that diverged in
    either model; labels (N,). With one replicate there is only the pair from the same replicate. Raises
    ValueError for shapes that do not match.
    """
    a, b, labels = np.asarray(a), np.asarray(b), np.asarray(labels)
    if a.shape != b.shape or a.ndim != 3 or labels.shape != a.shape[1:2] or not a.size:
        raise ValueError(f"probabilities {a.shape}, {b.shape} and labels {labels.shape} do not match")
    runs = range(len(a))
    kinds: dict[Kind, tuple[NDArray, NDArray, list[tuple[int, int]]]] = {
        "a + b": (a, b, list(permutations(runs, 2))),
        "a + b, same replicate": (a, b, [(r, r) for r in runs]),
        "a + a": (a, a, list(combinations(runs, 2))),
        "b + b": (b, b, list(combinations(runs, 2))),
    }
    return [_mean(kind, first, second, ij, labels) for kind, (first, second, ij) in kinds.items() if ij]


def _mean(kind: Kind, first: NDArray, second: NDArray, ij: list[tuple[int, int]], labels: NDArray) -> Pairing:
    right_first, right_second = ((x.argmax(-1) == labels) for x in (first, second))
    overlaps = [overlap(right_first[i], right_second[j]) for i, j in ij]
    shared = [o.error_overlap for o in overlaps if o.error_overlap is not None]
    return Pairing(
        kind=kind,
        pairs=len(ij),
        members=float(np.mean([(right_first[i].mean() + right_second[j].mean()) / 2 for i, j in ij])),
        ensemble=float(np.mean([ensemble_accuracy([first[i], second[j]], labels) for i, j in ij])),
        oracle=float(np.mean([o.oracle for o in overlaps])),
        both_wrong=float(np.mean([o.both_wrong for o in overlaps])),
        error_overlap=float(np.mean(shared)) if shared else None,
    )

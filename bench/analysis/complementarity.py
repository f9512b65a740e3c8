"""Whether two models fail on different images, and what averaging them gains over averaging twins.

Averaging any two networks helps, so two different models are set beside two runs of the same one. Runs of
different replicates also saw different training images where subsets were drawn: pairs of different models
are therefore formed from different replicates too, or the twins would have seen more labels than the pair
they are compared with. Pairs from one replicate, which share their training images, are reported separately.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Kind = Literal["a + b", "a + b, same replicate", "a + a", "b + b"]
Network = tuple[Literal["a", "b"], int]
"""A model and the place of its replicate."""


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
    def largest_overlap(self) -> float | None:
        """What `error_overlap` would be if the errors of one were all errors of the other as well: two
        networks of unequal accuracy cannot share all of them."""
        few, many = sorted((self.only_a + self.both_wrong, self.only_b + self.both_wrong))
        return few / many if many > 0 else None

    @property
    def independent(self) -> float:
        """The share that both would get wrong if their errors had nothing to do with each other."""
        return (self.only_b + self.both_wrong) * (self.only_a + self.both_wrong)


@dataclass(frozen=True)
class Pairing:
    """Means over all pairs of one kind; `members` is the mean accuracy of the networks in them, `ensemble`
    that of the averages of two, None where it was not measured."""

    kind: Kind
    pairs: int
    members: float
    ensemble: float | None
    oracle: float
    both_wrong: float
    error_overlap: float | None
    largest_overlap: float | None

    @property
    def gain(self) -> float | None:
        """What averaging adds to the mean accuracy of its members."""
        return None if self.ensemble is None else self.ensemble - self.members


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


def pairings(
    a: ArrayLike, b: ArrayLike, averaged: Callable[[Network, Network], float | None]
) -> list[Pairing]:
    """Every kind of pair that the replicates allow, of models a and b.

    `a` and `b` say which images were classified correctly (R, N), replicates in the same order, without those
    that diverged in either model; `averaged` gives the accuracy of the averaged probabilities of two
    networks, None where it was not measured. With one replicate there is only the pair from the same
    replicate. Raises ValueError for shapes that do not match.
    """
    correct = {"a": np.asarray(a, bool), "b": np.asarray(b, bool)}
    if correct["a"].shape != correct["b"].shape or correct["a"].ndim != 2 or not correct["a"].size:
        raise ValueError(f"runs {correct['a'].shape} and {correct['b'].shape} do not match")
    runs = range(len(correct["a"]))
    kinds: dict[Kind, list[tuple[Network, Network]]] = {
        "a + b": [(("a", i), ("b", j)) for i, j in permutations(runs, 2)],
        "a + b, same replicate": [(("a", i), ("b", i)) for i in runs],
        "a + a": [(("a", i), ("a", j)) for i, j in combinations(runs, 2)],
        "b + b": [(("b", i), ("b", j)) for i, j in combinations(runs, 2)],
    }

    def right(network: Network) -> np.ndarray:
        return correct[network[0]][network[1]]

    found = []
    for kind, pairs in kinds.items():
        if not pairs:
            continue
        overlaps = [overlap(right(one), right(other)) for one, other in pairs]
        wrong = [o for o in overlaps if o.error_overlap is not None]
        both = [averaged(one, other) for one, other in pairs]
        found.append(
            Pairing(
                kind=kind,
                pairs=len(pairs),
                members=float(
                    np.mean([(right(one).mean() + right(other).mean()) / 2 for one, other in pairs])
                ),
                ensemble=None if None in both else float(np.mean(both)),
                oracle=float(np.mean([o.oracle for o in overlaps])),
                both_wrong=float(np.mean([o.both_wrong for o in overlaps])),
                error_overlap=float(np.mean([o.error_overlap for o in wrong])) if wrong else None,
                largest_overlap=float(np.mean([o.largest_overlap for o in wrong])) if wrong else None,
            )
        )
    return found

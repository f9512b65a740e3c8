"""Whether two models fail on different images, and what averaging them gains over averaging twins.

Averaging any two networks helps, so two different models are set beside two runs of the same one. Runs of
different replicates also saw different training images where subsets were drawn: pairs of different models
are therefore formed from different replicates too, or the twins would have seen more labels than the pair
they are compared with. Pairs from one replicate, which share their training images, are reported separately.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Kind = Literal["a + b", "a + b, same replicate", "a + a", "b + b"]
Model = Literal["a", "b"]
Network = tuple[Model, int]
"""A model and the position of its replicate."""


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


def overlaps(correct_a: ArrayLike, correct_b: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compare the errors of every network of one model (R, N) with those of every one of another (S, N).

    Returns, each (R, S): the share of the images that both got wrong; that share of those that either got
    wrong; and what this would be if the errors of one were all errors of the other as well, as two networks
    of unequal accuracy cannot share all of them. The last two are NaN where neither made an error.
    """
    wrong_a, wrong_b = (1.0 - np.asarray(correct, float) for correct in (correct_a, correct_b))
    both = wrong_a @ wrong_b.T / wrong_a.shape[1]
    one, other = np.meshgrid(wrong_a.mean(1), wrong_b.mean(1), indexing="ij")
    either = np.where(one + other > 0, one + other - both, np.nan)
    return (
        both,
        both / either,
        np.minimum(one, other) / np.where(one + other > 0, np.maximum(one, other), np.nan),
    )


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
    correct: dict[Model, np.ndarray] = {"a": np.asarray(a, bool), "b": np.asarray(b, bool)}
    if correct["a"].shape != correct["b"].shape or correct["a"].ndim != 2 or not correct["a"].size:
        raise ValueError(f"runs {correct['a'].shape} and {correct['b'].shape} do not match")
    replicates = len(correct["a"])
    different, twins = ~np.eye(replicates, dtype=bool), np.triu_indices(replicates, 1)
    kinds: list[tuple[Kind, Model, Model, tuple[np.ndarray, ...]]] = [
        ("a + b", "a", "b", np.nonzero(different)),
        ("a + b, same replicate", "a", "b", np.nonzero(~different)),
        ("a + a", "a", "a", twins),
        ("b + b", "b", "b", twins),
    ]
    made = []
    for kind, one, other, at in kinds:
        if not at[0].size:
            continue
        both, shared, most = (values[at] for values in overlaps(correct[one], correct[other]))
        accuracies = correct[one].mean(1)[at[0]], correct[other].mean(1)[at[1]]
        made.append(
            Pairing(
                kind=kind,
                pairs=at[0].size,
                members=float(np.mean(accuracies)),
                ensemble=_mean_if_all(
                    averaged((one, int(i)), (other, int(j))) for i, j in zip(*at, strict=True)
                ),
                oracle=float(1 - both.mean()),
                both_wrong=float(both.mean()),
                error_overlap=_mean_of_known(shared),
                largest_overlap=_mean_of_known(most),
            )
        )
    return made


def _mean_if_all(values: Iterable[float | None]) -> float | None:
    """Their mean; None from the first that was not measured on."""
    measured = []
    for value in values:
        if value is None:
            return None
        measured.append(value)
    return float(np.mean(measured))


def _mean_of_known(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None

"""Whether a network's confidence can be believed: reliability diagram, expected calibration error, NLL."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Reliability:
    """Bins of equal width over confidence; mean confidence and accuracy are NaN in an empty bin."""

    edges: NDArray
    count: NDArray
    confidence: NDArray
    accuracy: NDArray
    ece: float

    @property
    def bins(self) -> int:
        """ECE depends on it, and is printed with it."""
        return len(self.count)


def reliability(confidence: ArrayLike, correct: ArrayLike, *, bins: int = 15) -> Reliability:
    """The reliability diagram of one trained network, and its expected calibration error.

    `confidence` (N,) is the probability of the predicted class, `correct` (N,) whether it was right. Bins
    hold their right edge, the first one its left edge too. ECE = sum over bins of count / N * |accuracy -
    confidence| (Guo et al., 2017, equation 5). Raises ValueError for no images and for no probabilities.
    """
    confidence, correct = np.asarray(confidence, float), np.asarray(correct, bool)
    if confidence.shape != correct.shape or confidence.ndim != 1 or not confidence.size or bins < 1:
        raise ValueError(
            f"expected one confidence an image, not shapes {confidence.shape} and {correct.shape}"
        )
    if not (confidence.min() >= 0 and confidence.max() <= 1):
        raise ValueError("confidence must lie between 0 and 1")
    edges = np.linspace(0, 1, bins + 1)
    member = np.searchsorted(edges[1:-1], confidence)
    count = np.bincount(member, minlength=bins)
    sums = [np.bincount(member, weights=values, minlength=bins) for values in (confidence, correct)]
    mean_confidence, accuracy = (
        np.divide(total, count, out=np.full(bins, np.nan), where=count > 0) for total in sums
    )
    ece = float(np.abs(sums[0] - sums[1]).sum() / confidence.size)
    return Reliability(edges, count, mean_confidence, accuracy, ece)


def nll(log_prob: ArrayLike) -> float:
    """Mean negative log-likelihood in nats, from the log-probability of the true class of each image (N,)."""
    log_prob = np.asarray(log_prob, float)
    if not log_prob.size or not log_prob.max() <= 0:
        raise ValueError("expected log-probabilities: at least one, none above 0")
    return float(-log_prob.mean())

"""Whether a network's confidence can be believed: reliability diagram and expected calibration error."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Bins of equal width over confidence.
BINS = 15


def expected_calibration_error(confidence: NDArray, correct: NDArray, bins: int = BINS) -> float:
    """Mean over images of the gap between accuracy and confidence in the image's bin.

    Guo et al., 2017, arXiv 1706.04599, equation 5.

    Args:
        confidence: probability of the predicted class, in 0..1, shape (n,).
        correct: whether it was right, bool, shape (n,).
    """
    gaps = np.bincount(_bin_of(confidence, bins), correct - confidence, bins)
    return float(np.abs(gaps).sum() / len(confidence))


def calibration_errors(confidence: NDArray, correct: NDArray, bins: int = BINS) -> NDArray:
    """What each image adds to the expected calibration error, which is their mean, shape (n,).

    In bins that are right more often than they say it is correct - confidence, in others the opposite. Their
    variance is that of the error for other test images, to first order.
    """
    members, gaps = _bin_of(confidence, bins), correct - confidence
    errors: NDArray = np.sign(np.bincount(members, gaps, bins))[members] * gaps
    return errors


def _bin_of(confidence: NDArray, bins: int) -> NDArray:
    """The bin of every image; bins hold their right edge, the first one its left edge too."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


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


def reliability(confidence: ArrayLike, correct: ArrayLike, *, bins: int = BINS) -> Reliability:
    """The reliability diagram of one trained network, and its expected calibration error.

    `confidence` (N,) is the probability of the predicted class, `correct` (N,) whether it was right. Bins
    hold their right edge, the first one its left edge too. Raises ValueError for no images and for no
    probabilities.
    """
    confidence, correct = np.asarray(confidence, float), np.asarray(correct, bool)
    if confidence.shape != correct.shape or confidence.ndim != 1 or not confidence.size or bins < 1:
        raise ValueError(
            f"expected one confidence an image, not shapes {confidence.shape} and {correct.shape}"
        )
    if not (confidence.min() >= 0 and confidence.max() <= 1):
        raise ValueError("confidence must lie between 0 and 1")
    edges = np.linspace(0, 1, bins + 1)
    member = _bin_of(confidence, bins)
    count = np.bincount(member, minlength=bins)
    sums = [np.bincount(member, weights=values, minlength=bins) for values in (confidence, correct)]
    mean_confidence, accuracy = (
        np.divide(total, count, out=np.full(bins, np.nan), where=count > 0) for total in sums
    )
    ece = expected_calibration_error(confidence, correct, bins)
    return Reliability(edges, count, mean_confidence, accuracy, ece)

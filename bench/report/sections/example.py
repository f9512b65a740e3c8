"""One verdict worked by hand, for a reader with a pocket calculator."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from bench.report.blocks import Details, Prose

IMAGES = 2000
ONLY_FIRST = (190, 150, 170)
ONLY_SECOND = (110, 110, 110)
COMPARISONS = 4


def example_table() -> NDArray:
    """The differences of the example (3, 2000): 1 where only the first model is right, -1 where only the
    second is; they are the same images in each replicate as far as the counts allow."""
    table = np.zeros((len(ONLY_FIRST), IMAGES))
    for row, first, second in zip(table, ONLY_FIRST, ONLY_SECOND, strict=True):
        row[:first] = 1
        row[IMAGES - second :] = -1
    return table


def five_numbers() -> tuple[float, float, float, float, float]:
    """Mean, error over replicates, error over images, half-width, and p for four comparisons; fractions."""
    table = example_table()
    replicates = table.shape[0]
    by_run, by_image = table.mean(1), table.mean(0)
    rest = table - by_run[:, None] - by_image + table.mean()
    noise = np.square(rest).sum() / ((replicates - 1) * (IMAGES - 1)) / replicates
    over_runs = by_run.std(ddof=1) / np.sqrt(replicates)
    over_images = np.sqrt((by_image.var(ddof=1) - noise) / IMAGES)
    half = np.hypot(stdtrit(replicates - 1, 0.975) * over_runs, stdtrit(IMAGES - 1, 0.975) * over_images)
    return float(table.mean()), float(over_runs), float(over_images), float(half), _p(over_runs, over_images)


def _p(over_runs: float, over_images: float) -> float:
    """Twice the tail whose quantiles of t make the half-width as large as the difference, times four."""
    mean, low, high = example_table().mean(), 0.0, 100.0
    for _ in range(100):  # t with 2 degrees of freedom is tried, and that of the images follows
        t = (low + high) / 2
        tail = stdtr(2, -t)
        reach = np.hypot(t * over_runs, stdtrit(IMAGES - 1, tail) * over_images)
        low, high = (t, high) if reach < mean else (low, t)
    return float(min(1.0, COMPARISONS * 2 * stdtr(2, -low)))


def worked_example() -> Details:
    """The five numbers, one after the other."""
    mean, over_runs, over_images, half, p = five_numbers()
    differences = ", ".join(
        f"{100 * (a - b) / IMAGES:+.1f}" for a, b in zip(ONLY_FIRST, ONLY_SECOND, strict=True)
    )
    pairs = ", ".join(f"{a} and {b}" for a, b in zip(ONLY_FIRST, ONLY_SECOND, strict=True))
    text = (
        f"Two models, three replicates, {IMAGES:,} test images. Images that only the first model gets "
        "right, and "
        f"only the second: {pairs}. (1) The differences of the replicates are {differences} points, their "
        "mean "
        f"{100 * mean:+.2f}. (2) Their standard deviation divided by the square root of 3 is the error over "
        f"training runs: {100 * over_runs:.2f} points. (3) Average each image over its three replicates; the "
        "standard deviation of these averages, without the part that changes from run to run, divided by the "
        f"square root of {IMAGES:,} is the error over test images: {100 * over_images:.2f} points. (4) Each "
        "error "
        "times its quantile of Student's t, 4.30 for three replicates and 1.96 for the images, squared, "
        "added, "
        f"and the root taken: the half-width, {100 * half:.2f} points. The 95 % interval is "
        f"{100 * (mean - half):+.2f} to {100 * (mean + half):+.2f}. (5) The interval of level 1 - p that "
        "just "
        f"touches 0 has p = {p / COMPARISONS:.3f}; as the smallest p of {COMPARISONS} comparisons it counts "
        f"{COMPARISONS} times (Holm): {p:.3f}. "
    )
    leaves_out = mean > half
    text += (
        "At most 0.05 would be a verdict. "
        + ("The interval leaves out 0, and yet " if leaves_out and p > 0.05 else "")
        + ("the first model is better." if p <= 0.05 else "this contrast is inconclusive.")
        + " With three contrasts or more in a comparison, the error over training runs also borrows a little "
        "from the other contrasts, and its t has some more degrees of freedom."
    )
    return Details("One verdict worked by hand", (Prose(text.replace(",000", "\u202f000")),))

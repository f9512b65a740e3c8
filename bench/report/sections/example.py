"""One verdict worked step by step, for a reader with a pocket calculator."""

import numpy as np
from numpy.typing import NDArray

from bench.analysis.statistics import half_width, p_different, parts
from bench.report.blocks import Details
from bench.report.text import count

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
    of = parts(example_table())
    over_runs, over_images = np.sqrt([of.rep, of.img]) / np.sqrt(of.replicates * of.images)
    p = min(1.0, COMPARISONS * float(p_different(of)))
    return float(of.estimate), float(over_runs), float(over_images), float(half_width(of, 0.025)), p


def worked_example() -> Details:
    """The five numbers, one after the other."""
    mean, over_runs, over_images, half, p = five_numbers()
    counts = list(zip(ONLY_FIRST, ONLY_SECOND, strict=True))
    differences = ", ".join(f"{100 * (a - b) / IMAGES:+.1f}" for a, b in counts)
    verdict = "the first model is better." if p <= 0.05 else "this contrast is inconclusive."
    return Details.of(
        "One verdict worked by hand",
        f"Two models, three replicates, {count(IMAGES)} test images. Images that only the first model gets "
        f"right, and only the second: {', '.join(f'{a} and {b}' for a, b in counts)}. (1) The differences of "
        f"the replicates are {differences} points, their mean {100 * mean:+.2f}. (2) Their standard "
        "deviation divided by the square root of 3 is the error over training runs: "
        f"{100 * over_runs:.2f} points. (3) Average each image over its three replicates; the standard "
        "deviation of these averages, without the part that changes from run to run, divided by the square "
        f"root of {count(IMAGES)} is the error over test images: {100 * over_images:.2f} points. (4) Each "
        "error times its quantile of Student's t, 4.30 for three replicates and 1.96 for the images, "
        f"squared, added, and the root taken: the half-width, {100 * half:.2f} points. The 95 % interval is "
        f"{100 * (mean - half):+.2f} to {100 * (mean + half):+.2f}. (5) The interval of level 1 - p that "
        f"just touches 0 has p = {p / COMPARISONS:.3f}; as the smallest p of {COMPARISONS} comparisons it "
        f"counts {COMPARISONS} times (Holm): {p:.3f}. At most 0.05 would be a verdict. "
        f"{'The interval leaves out 0, and yet ' if mean > half and p > 0.05 else ''}{verdict} With three "
        "contrasts or more in a comparison, the error over training runs also borrows a little from the "
        "other contrasts, and its t has some more degrees of freedom.",
    )

"""Test results that never happened, with a known truth: correct or not, by model, replicate and image.

A model classifies an image correctly when a sum of normal effects is positive: how good the model is at this
size, how hard the image is (for every model, and for this one), how lucky the draw of training images was
(for every model and size at once, as subsets are shared and nested), how lucky this training run was, and a
rest. Normal effects make the expected accuracy exact: Phi(mean / sd of the sum). Unlike the analysis, the
model is not additive in accuracy, and its errors are neither normal nor of equal variance.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

SHARED_DIFFICULTY, OWN_DIFFICULTY, REST = np.sqrt([0.6, 0.15, 0.25])
"""Standard deviations of the effects of images, common and of one model, and of the rest; 1 together."""

STEPS, REACH = 256, 8
PROBABILITY = ndtr(np.arange(-REACH * STEPS, REACH * STEPS + 1) / STEPS).astype(np.float32)
"""That the rest is below -8, ..., 8 of its standard deviations, in steps of 1/256. To look this up and draw
whether it was takes half of the time that it takes to draw the rest."""


@dataclass(frozen=True)
class World:
    """The truth: expected accuracies of M models in C cells (sizes, datasets, resolutions), as fractions.

    `replicate_sd` and `draw_sd` are standard deviations of the accuracy, to first order, over training runs
    (one for all, one a model, or one a cell and model) and over draws of training images. A run diverges with
    probability `diverged` (of each model, or one for all) and then scores 1 / classes on every image.
    """

    accuracy: tuple[tuple[float, ...], ...]
    replicate_sd: float | tuple[float, ...] | tuple[tuple[float, ...], ...] = 0.01
    draw_sd: float = 0.0
    diverged: float | tuple[float, ...] = 0.0
    classes: int = 100

    @property
    def truth(self) -> np.ndarray:
        """Expected scores (C, M), diverged runs included."""
        lost = np.asarray(self.diverged)
        truth: np.ndarray = np.array(self.accuracy) * (1 - lost) + lost / self.classes
        return truth

    def scores(self, suites: int, replicates: int, images: int, rng: np.random.Generator) -> np.ndarray:
        """Scores of independent suites (suites, C, M, R, N). All cells of a suite share their test images."""
        quantile = ndtri(np.array(self.accuracy))
        slope = np.exp(-(quantile**2) / 2) / np.sqrt(2 * np.pi)  # of the normal distribution
        run_sd = np.broadcast_to(np.asarray(self.replicate_sd) / slope, quantile.shape)
        draw_sd = self.draw_sd / slope
        mean = quantile * np.sqrt(1 + run_sd**2 + draw_sd**2)
        cells, models = quantile.shape

        def normal(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape, dtype=np.float32)

        luck = run_sd[..., None] * normal(suites, cells, models, replicates)
        luck += draw_sd[..., None] * normal(suites, 1, 1, replicates)
        level = ((mean[..., None] + luck) / REST).astype(np.float32)
        difficulty: np.ndarray = np.float32(SHARED_DIFFICULTY / REST) * normal(suites, 1, 1, 1, images)
        difficulty = difficulty + np.float32(OWN_DIFFICULTY / REST) * normal(suites, 1, models, 1, images)
        sure = level[..., None] + difficulty  # in standard deviations of the rest
        sure += REACH
        sure *= STEPS
        np.clip(sure, 0, 2 * REACH * STEPS, out=sure)
        chance = PROBABILITY[np.rint(sure, out=sure).astype(np.int16)]
        scores: np.ndarray = (rng.random(chance.shape, dtype=np.float32) < chance).astype(np.float32)
        lost = rng.random((suites, cells, models, replicates)) < np.asarray(self.diverged)[..., None]
        scores[lost] = 1 / self.classes
        return scores

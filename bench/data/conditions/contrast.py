"""Less contrast: every colour comes nearer to its mean over the image."""

import numpy as np

from bench.data.corruption import SEVERITIES, as_uint8, constant

TITLE = "Contrast"
UNIT = "severity"
LEVELS = ALLOWED = SEVERITIES
# What is left of a distance from the mean.
CIFAR_C = (0.75, 0.5, 0.4, 0.3, 0.15)
IMAGENET_C = (0.4, 0.3, 0.2, 0.1, 0.05)


def apply(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """See `bench.data.conditions`."""
    mean = image.mean((0, 1))
    return as_uint8((mean + (image - mean) * constant(image, level, CIFAR_C, IMAGENET_C)) / 255)

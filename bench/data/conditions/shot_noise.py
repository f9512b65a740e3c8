"""Poisson noise, of light that comes in few photons."""

import numpy as np

from bench.data.corruption import SEVERITIES, as_uint8, constant

TITLE = "Shot noise"
UNIT = "severity"
LEVELS = ALLOWED = SEVERITIES
# Photons of a white pixel.
CIFAR_C = (500, 250, 100, 75, 50)
IMAGENET_C = (60, 25, 12, 5, 3)


def apply(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """See `bench.data.conditions`."""
    photons = constant(image, level, CIFAR_C, IMAGENET_C)
    return as_uint8(rng.poisson(image / 255 * photons) / photons)

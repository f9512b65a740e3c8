"""Salt and pepper: some values, each colour on its own, are set to 0 or to the most."""

import numpy as np

from bench.data.corruption import SEVERITIES, constant

TITLE = "Impulse noise"
UNIT = "severity"
LEVELS = ALLOWED = SEVERITIES
# Share of the values.
CIFAR_C = (0.01, 0.02, 0.03, 0.05, 0.07)
IMAGENET_C = (0.03, 0.06, 0.09, 0.17, 0.27)


def apply(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """See `bench.data.conditions`."""
    hit = rng.random(image.shape) < constant(image, level, CIFAR_C, IMAGENET_C)
    salt = rng.random(image.shape) < 0.5
    return np.where(hit, np.where(salt, 255, 0), image).astype(np.uint8)

"""Normal noise on every value, as in the dark."""

import numpy as np

from bench.data.corruption import SEVERITIES, as_uint8, constant

TITLE = "Gaussian noise"
UNIT = "severity"
LEVELS = ALLOWED = SEVERITIES
# Standard deviation, of pixels in 0..1.
CIFAR_C = (0.04, 0.06, 0.08, 0.09, 0.10)
IMAGENET_C = (0.08, 0.12, 0.18, 0.26, 0.38)


def apply(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """See `bench.data.conditions`."""
    return as_uint8(image / 255 + rng.normal(0, constant(image, level, CIFAR_C, IMAGENET_C), image.shape))

"""More light: the value of every pixel, as in HSV, is raised; hue and saturation stay."""

import numpy as np

from bench.data.corruption import SEVERITIES, as_uint8, constant

TITLE = "Brightness"
UNIT = "severity"
LEVELS = ALLOWED = SEVERITIES
# What is added, to values in 0..1.
CIFAR_C = (0.05, 0.1, 0.15, 0.2, 0.3)
IMAGENET_C = (0.1, 0.2, 0.3, 0.4, 0.5)


def apply(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """See `bench.data.conditions`."""
    value = image.max(2, keepdims=True) / 255
    brighter = np.minimum(value + constant(image, level, CIFAR_C, IMAGENET_C), 1)
    # Black has no hue, and becomes grey.
    colour = np.divide(image / 255, value, out=np.ones(image.shape), where=value > 0)
    return as_uint8(colour * brighter)

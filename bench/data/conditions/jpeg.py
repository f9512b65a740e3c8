"""Compressed as JPEG, by Pillow."""

from io import BytesIO

import numpy as np
from PIL import Image

from bench.data.corruption import SEVERITIES, constant

TITLE = "JPEG compression"
UNIT = "severity"
LEVELS = ALLOWED = SEVERITIES
# Quality of 100.
CIFAR_C = (80, 65, 58, 50, 40)
IMAGENET_C = (25, 18, 15, 10, 7)


def apply(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """See `bench.data.conditions`."""
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=constant(image, level, CIFAR_C, IMAGENET_C))
    return np.asarray(Image.open(file))

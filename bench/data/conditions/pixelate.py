"""Made smaller and large again, so that pixels show."""

import numpy as np
from PIL import Image

from bench.data.corruption import SEVERITIES, constant

TITLE = "Pixelation"
UNIT = "severity"
LEVELS = ALLOWED = SEVERITIES
# The smaller side, as a share.
CIFAR_C = (0.95, 0.9, 0.85, 0.75, 0.65)
IMAGENET_C = (0.6, 0.5, 0.4, 0.3, 0.25)


def apply(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """See `bench.data.conditions`."""
    side = len(image)
    small = int(side * constant(image, level, CIFAR_C, IMAGENET_C))
    picture = Image.fromarray(image)
    for size in (small, side):
        picture = picture.resize((size, size), Image.Resampling.BOX)
    return np.asarray(picture)

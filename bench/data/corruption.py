"""What the corruptions of Hendrycks and Dietterich (2019, arXiv 1903.12261) have in common.

Each has five severities, with constants for images of 32 px (those of CIFAR-10-C) and others for images of
224 px (those of ImageNet-C). Pixels are rounded to whole levels, where the originals were cut off; images are
not compressed afterwards, as those of ImageNet-C were.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

SEVERITIES = range(1, 6)
# The largest side in px that has the constants of CIFAR-10-C; beyond it are those of ImageNet-C.
SMALL = 64

Constant = TypeVar("Constant")


def constant(
    image: np.ndarray, severity: int, cifar_c: Sequence[Constant], imagenet_c: Sequence[Constant]
) -> Constant:
    """The constant of a severity 1..5 for an image of its size, uint8 (s, s, 3)."""
    return (cifar_c if len(image) <= SMALL else imagenet_c)[severity - 1]


def as_uint8(pixels: np.ndarray) -> np.ndarray:
    """Pixels 0..1 as whole levels 0..255; what is outside is cut off."""
    return np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)

"""A camera out of focus: every point becomes a disk."""

import numpy as np

from bench.data.corruption import SEVERITIES, as_uint8, constant

TITLE = "Defocus blur"
UNIT = "severity"
LEVELS = ALLOWED = SEVERITIES
# Radius of the disk in px, and standard deviation of the smoothing of its rim.
CIFAR_C = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))
IMAGENET_C = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))


def apply(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """See `bench.data.conditions`."""
    from scipy.signal import fftconvolve  # loads in a second, and a report only names the condition

    kernel = disk(*constant(image, level, CIFAR_C, IMAGENET_C))
    pad = len(kernel) // 2
    framed = np.pad(image / 255, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
    return as_uint8(fftconvolve(framed, kernel[:, :, None], mode="valid", axes=(0, 1)))


def disk(radius: float, sigma: float) -> np.ndarray:
    """What each pixel around a point has of it: shape (n, n), n odd, with a sum of 1."""
    from scipy.ndimage import gaussian_filter

    side, reach = max(8, int(radius)), 2 if radius > 8 else 1
    steps = np.arange(-side, side + 1)
    inside = (steps[:, None] ** 2 + steps**2 <= radius**2).astype(float)
    return gaussian_filter(inside / inside.sum(), sigma, mode="mirror", radius=reach)

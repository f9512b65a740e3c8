"""A camera that moves: every point leaves a trace that fades, at most 45 degrees from the horizontal."""

import numpy as np

from bench.data.corruption import SEVERITIES, as_uint8, constant

TITLE = "Motion blur"
UNIT = "severity"
LEVELS = ALLOWED = SEVERITIES
# Half the length of the trace in px, and the standard deviation of its fading.
CIFAR_C = ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))
IMAGENET_C = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))


def apply(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """See `bench.data.conditions`."""
    radius, sigma = constant(image, level, CIFAR_C, IMAGENET_C)
    return trace(image, radius, sigma, rng.uniform(-45, 45))


def trace(image: np.ndarray, radius: int, sigma: float, degrees: float) -> np.ndarray:
    """An image, uint8 (s, s, 3), averaged along a line of 2 * radius + 1 pixels."""
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    angle = np.deg2rad(degrees)
    down, across = (np.ceil(steps * part - 0.5).astype(int) for part in (np.sin(angle), np.cos(angle)))
    pad, side = 2 * radius, len(image)
    framed = np.pad(image / 255, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
    total = np.zeros(image.shape)
    for weight, top, left in zip(weights / weights.sum(), down + pad, across + pad, strict=True):
        total += weight * framed[top : top + side, left : left + side]
    return as_uint8(total)

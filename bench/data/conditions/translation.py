"""Moved by some pixels in one of eight directions; the pixels at the edge are repeated."""

import numpy as np

TITLE = "Translation"
UNIT = "shift (px)"
LEVELS = (1, 2, 4, 8)
ALLOWED = range(1, 65)
DIRECTIONS = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]


def misfit(input_size: int, level: int) -> str | None:
    """See `bench.data.conditions`."""
    return "the shift should be less than half the side" if 2 * level >= input_size else None


def apply(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """See `bench.data.conditions`."""
    down, across = level * rng.choice(DIRECTIONS)
    framed = np.pad(image, ((level, level), (level, level), (0, 0)), mode="edge")
    side = len(image)
    return framed[level - down : level - down + side, level - across : level - across + side]

"""Some patches, drawn at random, have the mean colour of the image; those of a level are among the next's.

Their grid is moved by a random offset for each image, and goes on at the other edge: a ViT whose tokens lay
exactly under them would lose whole tokens and keep the others as they are, which no CNN can.
"""

import numpy as np

from bench.data.corruption import SMALL

TITLE = "Occlusion"
UNIT = "patches hidden (%)"
LEVELS = (15, 30, 45, 60, 75)
ALLOWED = range(1, 76)


def patch_side(input_size: int) -> int:
    """The side of a patch in px: that of a ViT for small images, or of one for large images."""
    return 4 if input_size <= SMALL else 16


def misfit(input_size: int, level: int) -> str | None:
    """See `bench.data.conditions`."""
    side = patch_side(input_size)
    return f"it hides patches of {side} px, which do not divide the side" if input_size % side else None


def apply(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """See `bench.data.conditions`."""
    side = patch_side(len(image))
    across = len(image) // side
    hidden = rng.permutation(across**2) < round(across**2 * level / 100)
    mask = np.kron(hidden.reshape(across, across), np.ones((side, side), dtype=bool))
    mask = np.roll(mask, rng.integers(side, size=2), (0, 1))
    return np.where(mask[:, :, None], np.rint(image.mean((0, 1))), image).astype(np.uint8)

"""The image is cut into a grid of squares, which change places at random."""

import numpy as np

TITLE = "Patch shuffling"
UNIT = "squares a side"
LEVELS = (2, 4, 7, 8, 14)
ALLOWED = range(2, 15)
UNCHANGED = 1


def misfit(input_size: int, level: int) -> str | None:
    """See `bench.data.conditions`."""
    fitting = ", ".join(str(number) for number in ALLOWED if input_size % number == 0)
    return f"{level} does not divide the side; {fitting} do" if input_size % level else None


def apply(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """See `bench.data.conditions`."""
    side = len(image) // level
    squares = image.reshape(level, side, level, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    shuffled = squares[rng.permutation(level**2)].reshape(level, level, side, side, 3)
    return shuffled.swapaxes(1, 2).reshape(image.shape)

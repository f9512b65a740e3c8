"""Which batch size would have fit, where one did not."""

from collections.abc import Callable


def largest_that_fits(batch_size: int, fits: Callable[[int], bool]) -> int:
    """The largest of batch_size / 2, / 4, ... that `fits`; 0 where none does."""
    while (batch_size := batch_size // 2) > 0:
        if fits(batch_size):
            return batch_size
    return 0

"""Another input size: images are decoded and networks made for it; position embeddings are resampled."""

from bench.spec.recipe import LARGEST_SIDE

TITLE = "Resolution"
UNIT = "input size (px)"
LEVELS = (64, 96, 128, 160, 192, 224, 256, 320, 384)
ALLOWED = range(8, LARGEST_SIDE + 1)


def input_size(level: int) -> int:
    """See `bench.data.conditions`."""
    return level


def misfit(input_size: int, level: int) -> str | None:
    """See `bench.data.conditions`."""
    return "that is the clean condition" if level == input_size else None

"""How long fine-tuning takes, its search included."""

from dataclasses import dataclass

BATCH = 32
PASSES = 3  # forward passes that a training step costs
SEARCHED = 2.5  # trainings: five learning rates for a fifth of the budget, the better three for half of it


@dataclass(frozen=True)
class Length:
    """Of a training: epochs, but at least so many steps of BATCH images."""

    epochs: int
    min_steps: int


# The first for which there is time is taken. A shorter one would show networks that are not trained.
LENGTHS = (Length(30, 500), Length(10, 200))
SHORTEST = LENGTHS[-1]


def tuning_images(length: Length, train_images: int, replicates: int) -> float:
    """Images passed forward by a search and so many trainings, backward passes counted as two."""
    images = max(length.epochs * train_images, length.min_steps * min(BATCH, train_images))
    return PASSES * images * (SEARCHED + replicates)

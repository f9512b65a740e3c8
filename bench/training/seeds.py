"""Every random number of a trial follows from its seed, what it is for, and the step.

Nothing is carried from one step to the next, so an interrupted trial goes on exactly as it would have.
"""

import numpy as np
import torch

ORDER, BATCH, NETWORK = 1, 2, 3


def derive(seed: int, purpose: int, number: int) -> int:
    """A 63-bit seed for one purpose at one step or epoch."""
    state = np.random.SeedSequence((seed, purpose, number)).generate_state(2, np.uint32)
    return int(state[0]) << 31 | int(state[1]) >> 1


def epoch_order(seed: int, epoch: int, images: int, repeats: int = 1) -> np.ndarray:
    """The order of the images in one epoch, shape (images,); with `repeats`, each so many times in a row."""
    order = np.random.default_rng(derive(seed, ORDER, epoch)).permutation(images)
    return np.repeat(order, repeats)[:images]


def seed_step(seed: int, step: int, generator: torch.Generator, device: str) -> None:
    """Set `generator` (augmentation) and PyTorch's global ones (dropout, stochastic depth) for a step.

    `torch.manual_seed` would do the latter for devices that are not in use as well, with a stack trace for
    each: on a CPU, a millisecond at every step.
    """
    generator.manual_seed(derive(seed, BATCH, step))
    number = derive(seed, NETWORK, step)
    torch.default_generator.manual_seed(number)
    if device == "cuda":
        torch.cuda.manual_seed_all(number)
    elif device == "mps":
        torch.mps.manual_seed(number)

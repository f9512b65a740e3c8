"""With how many threads a job computes on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.spec.job import EvaluateJob, TrainJob, Trial

# Networks that are trained on images of at most so many px gain nothing from a second thread.
SMALL_INPUT = 64


def is_small(trial: Trial) -> bool:
    """Whether a second thread would gain it nothing."""
    return not trial.recipe.frozen and trial.input_size <= SMALL_INPUT


@contextmanager
def threads_of(job: TrainJob | EvaluateJob, device: str) -> Iterator[None]:
    """One thread on a CPU for a small trial, else as many as the process has.

    Sums are rounded in another order with another number of threads: so a small trial gives the same numbers
    however many are done at once.
    """
    if device != "cpu" or not is_small(job.training.trial):
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

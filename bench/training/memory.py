"""Out of memory as an answer: which batch size would have fit."""

import torch

from bench.training.batch_size import largest_that_fits
from bench.training.step import TrainingStep

# Of the CPU's allocator; of CUDA outside PyTorch's allocator; of cuBLAS; of cuDNN from version 9 on.
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED", "ALLOCATION_FAILED")


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether PyTorch failed for want of memory, on a GPU or on the CPU."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(words in text for words in OUT_OF_MEMORY)


def largest_fitting_batch(step: TrainingStep, batch_size: int, input_size: int) -> int:
    """The largest of batch_size / 2, / 4, ... for which training on random images fits; 0 where none does.

    The step's network is of no use afterwards.
    """

    def fits(count: int) -> bool:
        step.optimizer.zero_grad(set_to_none=True)
        if step.device == "cuda":
            torch.cuda.empty_cache()
        try:
            for _ in range(2):  # only in the second the optimizer's state is there from the beginning
                images = torch.randn(count, 3, input_size, input_size, device=step.device)
                step(images, torch.zeros(count, dtype=torch.int64, device=step.device))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True

    return largest_that_fits(batch_size, fits)

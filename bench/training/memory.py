"""Out of memory as an answer: which batch size would have fit."""

import torch
import torch.nn.functional as F
from torch import nn

from bench.training.step import autocast

# Of the CPU's allocator; of CUDA outside PyTorch's allocator; of cuBLAS; of cuDNN from version 9 on.
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED", "ALLOCATION_FAILED")


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether PyTorch failed for want of memory, on a GPU or on the CPU."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(words in text for words in OUT_OF_MEMORY)


def largest_fitting_batch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch_size: int,
    input_size: int,
    device: str,
    *,
    precision: str = "fp32",
) -> int:
    """The largest of batch_size / 2, / 4, ... for which training on random images fits; 0 where none does.

    Two steps: only in the second the optimizer's state is there from the beginning. `network` is of no use
    afterwards.
    """
    while (batch_size := batch_size // 2) > 0:
        network.zero_grad(set_to_none=True)
        if device != "cpu":
            torch.cuda.empty_cache()
        try:
            for _ in range(2):
                images = torch.randn(batch_size, 3, input_size, input_size, device=device)
                with autocast(precision, device):
                    output = network(images)
                target = torch.zeros(batch_size, dtype=torch.int64, device=device)
                F.cross_entropy(output.float(), target).backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            continue
        return batch_size
    return 0

"""Small tensors on their way to a GPU, without the host waiting for it."""

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A CPU tensor on `device`.

    A copy from ordinary memory makes the host wait until the GPU has done all that is queued; one from
    pinned memory does not. PyTorch keeps the pinned memory until the copy is over.
    """
    if str(device) == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)

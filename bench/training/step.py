"""One training step, and the form in which a network is trained: for trials and for measuring them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import nn

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def trained_form(network: nn.Module, memory_format: str) -> nn.Module:
    """The network in its layout (a card's `memory_format`), without operations that cost training a copy."""
    for module in network.modules():
        if isinstance(module, nn.Hardtanh):  # and ReLU6
            module.inplace = False  # its gradient needs its input, which autograd would copy for it
    return network.to(memory_format=FORMATS[memory_format])


def set_backends(device: str, *, tf32: bool = False) -> None:
    """How matrix products and convolutions are done: TF32 only where asked for; cuDNN looks for its fastest
    algorithm for each shape on a GPU."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = device != "cpu"


def autocast(precision: str, device: str) -> AbstractContextManager:
    """Mixed precision for `bf16`; nothing for `fp32`, which is never TF32."""
    set_backends(device)
    return torch.autocast(device, torch.bfloat16) if precision == "bf16" else nullcontext()


def training_step(
    network: nn.Module,
    inputs: torch.Tensor,
    target: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    precision: str,
    clip_grad: float | None,
    forward: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor:
    """Forward, loss in fp32, backward, clipping of the gradient's norm, update; returns the loss, detached.

    Args:
        inputs: shape (n, 3, size, size).
        target: classes, shape (n,), or shares of them, shape (n, outputs).
        forward: the compiled network, where it is to be used.
    """
    with autocast(precision, inputs.device.type):
        output = (forward or network)(inputs)
    loss = F.cross_entropy(output.float(), target)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if clip_grad is not None:
        nn.utils.clip_grad_norm_(network.parameters(), clip_grad)
    optimizer.step()
    return loss.detach()

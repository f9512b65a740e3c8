"""How much memory training and evaluating a network take, estimated without a device."""

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

# Weights, gradients, the two moments of Adam, and one copy that a fused step or a checkpoint makes.
COPIES = 5
# The activations that are kept, and as much again for their gradients and for what kernels take.
BACKWARD = 2
# Without gradients only a few layers' outputs are there at once, and the largest count.
FORWARD = 4


def step_memory(network: nn.Module, input_size: int, trained: int, evaluated: int) -> int:
    """Bytes in fp32 that steps with batches of so many images take, more rather than less; not what CUDA
    takes for itself.

    Args:
        network: on the device "meta"; it is passed two images, as batch normalisation needs two.
        trained, evaluated: images of a batch; no training where `trained` is 0.
    """
    kept: dict[int, Tensor] = {}  # the tensors are held, so that no other gets the address of their storage

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        network.train()(torch.empty(2, 3, input_size, input_size, device="meta"))
    for weight in network.parameters():
        kept.pop(weight.untyped_storage()._cdata, None)
    activations = [tensor.untyped_storage().nbytes() / 2 for tensor in kept.values()]
    weights = sum(weight.numel() * 4 for weight in network.parameters())
    training = BACKWARD * sum(activations) * trained + COPIES * weights if trained else 0
    return int(max(training, FORWARD * max(activations) * evaluated + weights))

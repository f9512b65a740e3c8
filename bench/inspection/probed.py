"""A network whose last layer is a linear probe of its frozen features."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import InputError
from bench.networks.weight_file import head_names
from bench.training.features import penultimate
from bench.training.probe import LinearProbe

TOLERANCE = 1e-4  # of logits, relative to their length


class UnitLengthLinear(nn.Linear):
    """A linear layer that brings what it reads, shape (..., width), to unit length first."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(functional.normalize(features, dim=-1))


def with_probe(network: nn.Module, probe: LinearProbe, *, name: str, size: int) -> nn.Module:
    """The network of timm with the probe in place of its last layer, which is replaced.

    Args:
        network: on the CPU, with as many outputs as the probe has; it is brought to evaluation mode.
        name: of the network, for messages.
        size: side of its images in px.

    Raises:
        InputError: it has no single linear last layer, or one that reads something else than the frozen
            features.
    """
    heads = head_names(network)
    if len(heads) != 1:
        raise InputError(f"{name}: has {len(heads)} last layers, where a linear probe would be one")
    if not isinstance(head := network.get_submodule(heads[0]), nn.Linear):
        raise InputError(
            f"{name}: its last layer is a {type(head).__name__}, where a linear probe would be Linear"
        )
    classes, width = probe.weight.shape
    layer = UnitLengthLinear(width, classes)
    layer.load_state_dict(probe.tensors())
    parent, _, own = heads[0].rpartition(".")
    setattr(network.get_submodule(parent), own, layer)
    network.eval()
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        given, expected = network(images).numpy(), probe.logits(penultimate(network)(images).numpy())
    error = np.linalg.norm(given - expected) / max(float(np.linalg.norm(expected)), 1e-30)
    if given.shape != expected.shape or not error <= TOLERANCE:
        raise InputError(f"{name}: its last layer does not read the features that the probe was fitted to")
    return network

"""A trained network that another one learns from."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.data.augment import Pipeline
from bench.training.step import autocast


class Teacher:
    """Gives the logits of a network, in evaluation mode, for images as its student sees them.

    Args:
        own: how images are normalised for the network.
        student: how they are for its student.
        precision: in which the network is evaluated.
        facts: of the network and its training, for the record of the student.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        own: Pipeline,
        student: Pipeline,
        precision: str,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.network, self.precision, self.facts = network.eval(), precision, dict(facts or {})
        self._scale = (student.std / own.std).view(-1, 1, 1)
        self._bias = ((student.mean - own.mean) / own.std).view(-1, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """Logits in fp32, shape (n, outputs), of inputs (n, 3, size, size) of the student; no gradients."""
        if self._scale.device != images.device:
            self._scale, self._bias = self._scale.to(images.device), self._bias.to(images.device)
        with torch.no_grad(), autocast(self.precision, images.device.type):
            logits: Tensor = self.network(images * self._scale + self._bias)
        return logits.float()

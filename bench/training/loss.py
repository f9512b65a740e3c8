"""What training minimises."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.spec.recipe import Recipe
from bench.training.mix import mix_batch


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy to labels that are smoothed and mixed as a recipe says.

    A loss that follows a teacher has the same two methods: it is given the images as well.

    Args:
        recipe: None leaves images and labels as they are.
        outputs: width of the network's last layer.
    """

    recipe: Recipe | None = None
    outputs: int = 0

    def targets(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The images to train on and what the network should say of them: see `mix_batch`."""
        if self.recipe is None:
            return images, labels
        return mix_batch(images, labels, self.outputs, self.recipe, generator)

    def __call__(self, outputs: Tensor, targets: Tensor, images: Tensor) -> Tensor:
        """The mean loss over a batch, in fp32.

        Args:
            outputs: of the network, shape (n, outputs).
            targets: classes, shape (n,), or shares of them, shape (n, outputs).
            images: the network's inputs, shape (n, 3, size, size).
        """
        return F.cross_entropy(outputs.float(), targets)

"""What training minimises: the distance to labels, and to what a teacher says."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.spec.recipe import Distill, Recipe
from bench.training.mix import mix_batch
from bench.training.teacher import Teacher


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy to labels that are smoothed and mixed as a recipe says.

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


@dataclass(frozen=True, kw_only=True)
class Distillation(CrossEntropy):
    """A share of cross-entropy and a share of the distance to a teacher: see `bench.spec.recipe.Distill`."""

    distill: Distill
    teacher: Teacher

    def __call__(self, outputs: Tensor | tuple[Tensor, Tensor], targets: Tensor, images: Tensor) -> Tensor:
        """As for cross-entropy; of two heads the first follows the labels and the second the teacher."""
        by_labels, by_teacher = outputs if isinstance(outputs, tuple) else (outputs, outputs)
        labelled = super().__call__(by_labels, targets, images)
        taught = distance_to_teacher(by_teacher.float(), self.teacher(images), self.distill)
        return torch.lerp(labelled, taught, self.distill.weight)


def loss_of(recipe: Recipe, outputs: int, teacher: Teacher | None) -> CrossEntropy:
    """The loss of a recipe, which has a teacher if it says how to learn from one."""
    if recipe.distill is None:
        return CrossEntropy(recipe, outputs)
    if teacher is None:
        raise ValueError(f'the recipe "{recipe.name}" needs a teacher')
    return Distillation(recipe, outputs, distill=recipe.distill, teacher=teacher)


def distance_to_teacher(outputs: Tensor, taught: Tensor, distill: Distill) -> Tensor:
    """The mean over a batch; `outputs` and the teacher's `taught` are logits, shape (n, outputs), in fp32."""
    if distill.kind == "hard":
        return F.cross_entropy(outputs, taught.argmax(1))
    heat = distill.temperature
    wanted, given = ((logits / heat).log_softmax(1) for logits in (taught, outputs))
    return heat**2 * F.kl_div(given, wanted, reduction="batchmean", log_target=True)

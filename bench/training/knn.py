"""k nearest neighbours on frozen features: nothing is fitted, so that nothing can be fitted badly.

The k training images whose features are at the smallest angle each vote for their class with the weight
exp(cos / temperature), cos the cosine of that angle (Wu et al., 2018, arXiv 1805.01978, as DINO evaluates its
features: Caron et al., 2021, arXiv 2104.14294). One vote of average weight more is spread evenly over all
classes, so that no class has the probability 0; it changes no order of classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.spec.recipe import Knn
from bench.training.observer import Stopped
from bench.training.probe import multiplications_per_s, unit_length

ROWS = 256  # images whose neighbours are looked for at once


@dataclass(frozen=True)
class NearestNeighbours:
    """The images that vote: `logits(features)` for features of shape (n, width).

    An image that is itself among those that vote is its own nearest neighbour: accuracy on the training
    subset says nothing.

    Attributes:
        features: float32, shape (images, width), of unit length.
        labels: int64, shape (images,).
        classes: number of outputs.
        k: how many vote: that of the recipe, or all images where there are fewer.
        temperature: see above.
        should_stop: see `logits`.
    """

    features: np.ndarray
    labels: np.ndarray
    classes: int
    k: int
    temperature: float
    device: str = "cpu"
    should_stop: Callable[[], bool] = lambda: False

    @classmethod
    def of(
        cls,
        features: np.ndarray,
        labels: np.ndarray,
        classes: int,
        recipe: Knn,
        *,
        device: str = "cpu",
        should_stop: Callable[[], bool] = lambda: False,
    ) -> "NearestNeighbours":
        """With features of any length, shape (images, width)."""
        k = min(recipe.k, len(labels))
        return cls(
            unit_length(features),
            labels.astype(np.int64),
            classes,
            k,
            recipe.temperature,
            device=device,
            should_stop=should_stop,
        )

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Logarithms of the classes' probabilities, float32, shape (n, classes).

        Raises:
            Stopped: `should_stop`, asked several times a second, said so.
        """
        voters = torch.from_numpy(self.features).to(self.device)
        labels = torch.from_numpy(self.labels).to(self.device)
        parts = torch.from_numpy(unit_length(features)).split(ROWS)
        return np.concatenate([self._votes(part.to(self.device), voters, labels) for part in parts])

    def _votes(self, part: Tensor, voters: Tensor, labels: Tensor) -> np.ndarray:
        if self.should_stop():
            raise Stopped
        cosines, nearest = (part @ voters.T).topk(self.k)
        weights = (cosines.double() / self.temperature).softmax(1) * self.k  # their sum is k
        votes = weights.new_full((len(part), self.classes), 1 / self.classes)
        votes.scatter_add_(1, labels[nearest], weights)
        return (votes / (self.k + 1)).log().float().cpu().numpy()

    def tensors(self) -> Mapping[str, Tensor]:
        """What is stored of it."""
        return {"features": torch.from_numpy(self.features), "labels": torch.from_numpy(self.labels)}


def expected_seconds(images: int, voters: int, width: int) -> float:
    """Rough seconds of finding the neighbours of `images` images among `voters` with features of `width`."""
    return 2 * images * voters * width / multiplications_per_s()

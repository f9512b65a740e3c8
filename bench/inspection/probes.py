"""Linear probes at every depth: how well the classes of a dataset can be read there."""

from dataclasses import dataclass

import numpy as np
import torch

from bench.data import Dataset
from bench.inspection.images import positions_of
from bench.inspection.receptive import feature_maps
from bench.inspection.tokens import NotShown, after_blocks
from bench.inspection.view import View
from bench.spec.recipe import Probe
from bench.training import probe

BATCH = 16


@dataclass(frozen=True)
class Probes:
    """Fits probes to some train images of a dataset and scores them on some val images.

    Attributes:
        images: how many of each at most; train images are taken class by class in turn.
    """

    opened: Dataset
    images: int

    @property
    def dataset(self) -> str:
        """Its name."""
        return self.opened.name

    @property
    def train_images(self) -> int:
        """How many images probes are fitted to."""
        return min(self.images, len(self.opened.splits["train"]))

    @property
    def val_images(self) -> int:
        """How many images they are scored on."""
        return min(self.images, len(positions_of(self.opened, "val")))

    @property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return 1 / len(self.opened.class_names)

    def what(self, view: View) -> str:
        """What is probed, in words."""
        try:
            return view.tokens.reader
        except NotShown:
            return "mean over the positions"

    def accuracy(self, view: View) -> np.ndarray:
        """Top-1 on val by depth, fractions, (layers,)."""
        train, val = (self._chosen(split) for split in ("train", "val"))
        labels = self.opened.labels
        fitted = [
            probe.fit(features, labels[train], len(self.opened.class_names), Probe(cv_from=10**9), seed=0)
            for features in self._features(view, train)
        ]
        scored = zip(fitted, self._features(view, val), strict=True)
        return np.array([float((one.logits(x).argmax(1) == labels[val]).mean()) for one, x in scored])

    def _chosen(self, split: str) -> np.ndarray:
        """Positions of images of a split, every class in turn."""
        positions = positions_of(self.opened, split)
        positions = np.random.default_rng(0).permutation(positions)
        own = self.opened.labels[positions]
        turn = np.zeros(len(own), dtype=int)
        for one in np.unique(own):
            turn[own == one] = np.arange((own == one).sum())
        return positions[np.argsort(turn, kind="stable")][: self.images]

    def _features(self, view: View, positions: np.ndarray) -> list[np.ndarray]:
        """Features by depth, each (images, width)."""
        parts: list[list[np.ndarray]] = []
        with torch.no_grad():
            for start in range(0, len(positions), BATCH):
                some = [self.opened.read(int(k)) for k in positions[start : start + BATCH]]
                parts.append(
                    [one.float().cpu().numpy() for one in self._pooled(view, view.model.inputs(some))]
                )
        return [np.concatenate(layer) for layer in zip(*parts, strict=True)]

    def _pooled(self, view: View, images: torch.Tensor) -> list[torch.Tensor]:
        network = view.model.network
        try:
            return [view.tokens.read(one) for one in after_blocks(network, images)]
        except NotShown:
            return [one.mean((2, 3)) for one in feature_maps(network, images)]

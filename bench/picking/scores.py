"""How well frozen features tell classes apart, by cross-validation: a linear probe and nearest neighbours."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from bench.data.subsets import fold_of
from bench.errors import DataError
from bench.spec.recipe import Knn
from bench.training import probe
from bench.training.knn import NearestNeighbours

FOLDS = 5
ENOUGH = 2000  # images held out, after which no further fold is looked at
# Of L-BFGS for one strength. On 1,020 images of Flowers102 and features of EfficientNet-Lite0 1,000 of them
# changed one prediction of 5,100 and took 30 times as long.
ITERATIONS = 30
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)  # of L2, from hardly any to where all classes look alike


@dataclass(frozen=True)
class Score:
    """Which held-out images were classified correctly.

    Attributes:
        probe, knn: bool (n,), by a logistic regression and by nearest neighbours, in the order of `held_out`.
        held_out: int64 (n,), which of the images were held out once, ascending.
        l2: the strength of the regression whose held-out images had the lowest NLL.
        groups: int64 (n,), which of them belong together; None where each stands for itself.
    """

    probe: np.ndarray
    knn: np.ndarray
    held_out: np.ndarray
    l2: float
    groups: np.ndarray | None = None

    @property
    def top1(self) -> float:
        """The probe's accuracy."""
        return float(self.probe.mean())


def cross_validated(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    *,
    groups: np.ndarray | None = None,
    device: str = "cpu",
    should_stop: Callable[[], bool] = lambda: False,
) -> Score:
    """Score features on images that the probe was not fitted to.

    Images are divided into FOLDS folds by their labels alone, so that every model is held out on the same.
    The strength is chosen on the very images that are held out, one of five values by NLL, for every model
    alike.

    Args:
        features: float32 (n, width).
        labels: int64 (n,).
        groups: int64 (n,), of images that are in one fold; None where each is one of its own.
        should_stop: asked several times a second.

    Raises:
        Stopped: `should_stop` asked for it.
        DataError: there are fewer than two groups, or no class has two images.
    """
    if np.bincount(labels).max() < 2:
        raise DataError("every class has one training image: at least two are needed, to hold one out")
    folds = FOLDS
    if groups is not None:
        folds = min(FOLDS, len(np.unique(groups)), int(np.bincount(labels).max()))
    if folds < 2:
        raise DataError("all sampled training images are of one group; at least two groups are needed")
    right: list[dict[float, np.ndarray]] = []
    neighbours: list[np.ndarray] = []
    held: list[np.ndarray] = []
    nll = dict.fromkeys(STRENGTHS, 0.0)
    for fold in range(folds):
        kept, left = fold_of(labels, fold, folds, 0, groups)
        if not len(left) or sum(map(len, held)) >= ENOUGH:
            continue
        y, unseen, truth = labels[kept], features[left], labels[left]
        by_strength = {}
        path = fit_path(features[kept], y, classes, device=device, should_stop=should_stop)
        for l2, regression in path:
            logits = regression.logits(unseen)
            by_strength[l2] = logits.argmax(1).numpy() == truth
            nll[l2] += float(functional.cross_entropy(logits, torch.from_numpy(truth), reduction="sum"))
        right.append(by_strength)
        knn = NearestNeighbours.of(features[kept], y, classes, Knn(), device=device, should_stop=should_stop)
        neighbours.append(knn.logits(unseen).argmax(1) == truth)
        held.append(left)
    best = min(nll, key=lambda l2: (nll[l2], -l2))
    positions = np.concatenate(held)
    order = np.argsort(positions)
    return Score(
        np.concatenate([one[best] for one in right])[order],
        np.concatenate(neighbours)[order],
        positions[order],
        best,
        None if groups is None else groups[positions[order]],
    )


def operations(images: int, width: int, classes: int) -> float:
    """Floating-point operations of `cross_validated`, about."""
    kept = images * (FOLDS - 1) / FOLDS
    rank = min(kept, width)
    return FOLDS * (4 * kept * rank * classes * ITERATIONS * len(STRENGTHS) + 10 * kept * width * rank)


@dataclass(frozen=True)
class Fitted:
    """A regression on frozen features: `logits(features)` for features of shape (n, width).

    Attributes:
        weight, bias: float32 (classes, width) and (classes,), for features of unit length.
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def logits(self, features: np.ndarray) -> torch.Tensor:
        """Float32 (n, classes)."""
        unit = torch.from_numpy(probe.unit_length(features)).to(self.weight.device)
        return torch.addmm(self.bias, unit, self.weight.T).cpu()


def fit_path(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    strengths: Sequence[float] = STRENGTHS,
    *,
    device: str = "cpu",
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[float, Fitted]]:
    """Regressions by strength, from the strongest on, each going on from the one before.

    Args:
        features: float32 (n, width).
        labels: int64 (n,).

    Raises:
        Stopped: `should_stop` asked for it.
    """
    x = torch.from_numpy(probe.unit_length(features)).to(device)
    y = torch.from_numpy(labels.astype(np.int64)).to(device)
    centre = x.mean(0)
    axes = probe.principal_axes(x - centre, should_stop)
    regression = probe.Regression((x - centre) @ axes.T, y, classes, should_stop=should_stop)
    for l2 in sorted(strengths, reverse=True):
        solution = regression.solve(l2, probe.FOLD_TOLERANCE, ITERATIONS)
        weight = solution[:, :-1] @ axes
        yield l2, Fitted(weight, solution[:, -1] - weight @ centre)

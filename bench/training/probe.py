"""Linear probes: logistic regression on frozen features, its L2 strength chosen by cross-validation.

The objective, over standardised features x (zero mean, unit variance over the subset), is

    mean cross-entropy(W x + b, y) + l2 / 2 * ||W||^2

with the bias b not penalised: scikit-learn's LogisticRegression with C = 1 / (n * l2).
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold

from bench.recipe import Probe

# L-BFGS stops when no entry of the gradient is larger than this, or after this many iterations.
GRADIENT_TOLERANCE = 1e-5
ITERATIONS = 300


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe: `logits(features)` for features of shape (n, width)."""

    mean: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    l2: float
    cross_validation: dict[str, float] | None

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Logits, float32, shape (n, classes)."""
        return ((features - self.mean) / self.scale) @ self.weight.T + self.bias


def fit(features: np.ndarray, labels: np.ndarray, classes: int, recipe: Probe, *, seed: int) -> LinearProbe:
    """Fit a probe on a subset.

    Args:
        features: float32, shape (n, width).
        labels: shape (n,).
        classes: number of outputs.
        recipe: candidate strengths, and from how many images per class they are compared.
        seed: draws the folds.

    Returns:
        The probe fitted on the whole subset with the strength of best mean accuracy over the folds (the
        stronger of equals), or with `l2_fixed` where the smallest class has fewer than `cv_from` images.
    """
    mean, scale = features.mean(0), features.std(0)
    scale = np.where(scale > 1e-6, scale, 1.0).astype(np.float32)
    x = torch.from_numpy(((features - mean) / scale).astype(np.float32))
    y = torch.from_numpy(labels.astype(np.int64))
    smallest = int(np.bincount(labels, minlength=classes).min())
    strengths = sorted(recipe.l2, reverse=True)
    scores: dict[str, float] | None = None
    l2 = recipe.l2_fixed
    if smallest >= max(recipe.cv_from, recipe.folds):
        accuracy = np.zeros(len(strengths))
        folds = StratifiedKFold(recipe.folds, shuffle=True, random_state=seed).split(features, labels)
        for kept, held in folds:
            solution = None
            for number, strength in enumerate(strengths):
                solution = solve(x[kept], y[kept], classes, strength, start=solution)
                predicted = (x[held] @ solution[:, :-1].T + solution[:, -1]).argmax(1)
                accuracy[number] += float((predicted == y[held]).float().mean()) / recipe.folds
        best = int(accuracy.argmax())
        l2 = strengths[best]
        scores = {f"{strength:g}": float(value) for strength, value in zip(strengths, accuracy, strict=True)}
    solution = solve(x, y, classes, l2).numpy()
    return LinearProbe(mean, scale, solution[:, :-1], solution[:, -1], l2, scores)


def solve(
    x: torch.Tensor, y: torch.Tensor, classes: int, l2: float, *, start: torch.Tensor | None = None
) -> torch.Tensor:
    """Minimise the objective above by L-BFGS; returns weights and bias as one array (classes, width + 1).

    Args:
        x: standardised features, float32 or float64, shape (n, width).
        start: where to begin, such as the solution for a neighbouring strength.
    """
    width = x.shape[1]
    solution = torch.zeros(classes, width + 1, dtype=x.dtype) if start is None else start.clone()
    solution.requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [solution],
        max_iter=ITERATIONS,
        max_eval=2 * ITERATIONS,
        history_size=10,
        tolerance_grad=GRADIENT_TOLERANCE,
        tolerance_change=1e-9,
        line_search_fn="strong_wolfe",
    )

    def objective() -> torch.Tensor:
        optimizer.zero_grad()
        weight, bias = solution[:, :-1], solution[:, -1]
        loss = torch.nn.functional.cross_entropy(x @ weight.T + bias, y) + l2 / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    return solution.detach()

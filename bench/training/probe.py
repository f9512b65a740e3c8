"""Linear probes: logistic regression on frozen features, its L2 strength chosen by cross-validation.

Features are brought to unit length, image by image, so that nothing about them is estimated from the subset.
A scale per feature, taken from a handful of images, blows up features that are zero in most of them: those
behind a ReLU, that is, those of CNNs. Over features x of unit length the objective is

    sum of cross-entropies(W x + b, y) + l2 / 2 * ||W||^2

with the bias b not penalised: scikit-learn's make_pipeline(Normalizer(), LogisticRegression(C=1 / l2)). It is
the sum, and not the mean, because l2 then means the same for few images and for many: in a fold and in all.
"""

import math
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold
from torch.nn import functional

from bench.data.subsets import group_folds
from bench.spec.recipe import Probe
from bench.training.observer import Stopped

TOLERANCE = 1e-3  # a solution's distance from the minimum, relative to ||W||, is not larger than this
FOLD_TOLERANCE = 0.1  # enough to choose among strengths
ITERATIONS = 1000  # of L-BFGS, for one strength
ROWS = 2048  # images between two looks at whether to stop
HELD_OUT = 2000  # images whose NLL tells strengths apart: with so many, further folds are not looked at
PAST_BEST = 2  # weaker strengths are not tried after so many in a row whose NLL was not the best


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe: `logits(features)` for features of shape (n, width).

    Attributes:
        weight, bias: float32, shapes (classes, width) and (classes,), for features of unit length.
        l2: the strength; this and what follows is None for one that was read from its weights.
        cross_validation: NLL in nats per held-out image by strength, over the folds; only the strengths that
            were tried. None where the strength was not chosen.
        gradient: norm of the objective's gradient over l2 * ||W||, where the fit ended. As the objective is
            strongly convex, no smaller than the relative distance of the weights from the minimum.
    """

    weight: np.ndarray
    bias: np.ndarray
    l2: float | None = None
    cross_validation: dict[str, float] | None = None
    gradient: float | None = None

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Logits, float32, shape (n, classes)."""
        return unit_length(features) @ self.weight.T + self.bias

    def tensors(self) -> dict[str, torch.Tensor]:
        """What is stored of it."""
        return {"weight": torch.from_numpy(self.weight), "bias": torch.from_numpy(self.bias)}


def unit_length(features: np.ndarray) -> np.ndarray:
    """Every row divided by its Euclidean norm, float32; a row of zeros stays as it is."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.where(norms > 0, norms, 1)).astype(np.float32)


def fit(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    recipe: Probe,
    *,
    seed: int,
    groups: np.ndarray | None = None,
    device: str = "cpu",
    should_stop: Callable[[], bool] = lambda: False,
) -> LinearProbe:
    """Fit a probe on a subset.

    Args:
        features: float32, shape (n, width).
        labels: shape (n,).
        classes: number of outputs.
        recipe: candidate strengths, and from how many images on they are compared.
        seed: draws the folds.
        groups: int64 (n,), of images that are in one fold; None where each is one of its own.
        should_stop: asked several times a second.

    Returns:
        The probe fitted on the whole subset with the strength of lowest NLL over the held-out images of all
        folds (the stronger of equals), or with `l2_fixed` (see `bench.spec.recipe.Probe`).

    Raises:
        Stopped: `should_stop` asked for it.
    """
    x = torch.from_numpy(unit_length(features)).to(device)
    y = torch.from_numpy(labels.astype(np.int64)).to(device)
    centre = x.mean(0)
    x -= centre  # moves the bias alone
    axes = principal_axes(x, should_stop)
    x = x @ axes.T
    scores, start, l2 = None, None, recipe.l2_fixed
    splits = _splits(labels, classes, recipe, seed, groups)
    if splits:
        l2, scores, start = _choose(x, y, classes, recipe.l2, splits, should_stop)
    whole = Regression(x, y, classes, should_stop=should_stop, dtype=torch.float64)
    if start is not None:
        whole.solution = start.double()
    solution = whole.solve(l2, TOLERANCE)
    weight = solution[:, :-1] @ axes.double()
    bias = solution[:, -1] - weight @ centre.double()
    return LinearProbe(
        weight.float().cpu().numpy(), bias.float().cpu().numpy(), l2, scores, float(f"{whole.gradient:.3g}")
    )


def _splits(
    labels: np.ndarray, classes: int, recipe: Probe, seed: int, groups: np.ndarray | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions to fit to and to hold out, for each fold that is used; none where l2 is not chosen."""
    folds, used = _folds(len(labels), classes, recipe)
    if not used:
        return []
    if groups is not None:
        folds = min(folds, len(np.unique(groups)))
        held = group_folds(labels, groups, folds, seed)[:used] if folds > 1 else []
        return [(np.setdiff1d(np.arange(len(labels)), one), one) for one in held]
    with warnings.catch_warnings():  # a class with fewer images than folds is missing in some: no harm
        warnings.simplefilter("ignore", UserWarning)
        splits = StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)
        return list(splits)[:used]


def _folds(images: int, classes: int, recipe: Probe) -> tuple[int, int]:
    """Number of folds, and how many of them are used: of large subsets only as many as hold out HELD_OUT."""
    if images < max(recipe.cv_from, 2 * classes):
        return 0, 0
    folds = min(recipe.folds, images // classes)
    return folds, min(folds, -(-HELD_OUT * folds // images))


def _choose(
    x: torch.Tensor,
    y: torch.Tensor,
    classes: int,
    strengths: tuple[float, ...],
    splits: list[tuple[np.ndarray, np.ndarray]],
    should_stop: Callable[[], bool],
) -> tuple[float, dict[str, float], torch.Tensor]:
    """The strength of lowest NLL, the NLL of all that were tried, and where the fit to all images may begin.

    From the strongest on; each solution is where the next begins, and the path ends when NLL has turned.
    """
    regressions, held = [], []
    for kept, left in splits:
        rows = torch.from_numpy(kept).to(x.device)
        regressions.append(Regression(x, y, classes, rows=rows, should_stop=should_stop))
        held.append(torch.from_numpy(left).to(x.device))
    scores: dict[str, float] = {}
    lowest, worse = math.inf, 0
    for l2 in sorted(strengths, reverse=True):
        solutions = [regression.solve(l2, FOLD_TOLERANCE) for regression in regressions]
        nll = sum(
            regression.nll(solution, rows)
            for regression, solution, rows in zip(regressions, solutions, held, strict=True)
        ) / sum(map(len, held))
        if not scores or nll < lowest:
            lowest, best, start, worse = nll, l2, torch.stack(solutions).mean(0), 0
        else:
            worse += 1
        scores[f"{l2:g}"] = nll
        if worse == PAST_BEST:
            break
    return best, scores, start


class Regression:
    """The objective on some images, minimised for one strength after the other.

    Along the principal axes of the features its Hessian is close to diagonal. With coordinates divided by the
    root of that diagonal L-BFGS takes tens of steps, where it would take hundreds; penalty and minimum stay.
    """

    def __init__(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        classes: int,
        *,
        rows: torch.Tensor | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Take centred features along their principal axes.

        Args:
            x: float32 or float64, shape (n, width).
            y: int64, shape (n,).
            rows: which images; None takes all.
            dtype: of the sums and the solution.
        """
        self.x, self.y, self.classes, self.should_stop = x, y, classes, should_stop
        self.rows = torch.arange(len(x), device=x.device) if rows is None else rows
        self.variance = x.square().mean(0).to(dtype)
        self.solution = torch.zeros(classes, x.shape[1] + 1, dtype=dtype, device=x.device)
        self.gradient = float("inf")

    def solve(self, l2: float, tolerance: float, iterations: int = ITERATIONS) -> torch.Tensor:
        """Weights and bias in one array (classes, width + 1), from the last solution on.

        It ends when the gradient's norm is at most `tolerance` * l2 * ||W||, or after so many iterations.
        """
        ones = self.variance.new_ones(1)
        diagonal = self._curvature() * torch.cat([self.variance, ones]) + l2 * torch.cat(
            [torch.ones_like(self.variance), 0 * ones]
        )
        scale = diagonal.rsqrt()
        position = (self.solution / scale).requires_grad_(True)
        optimizer = torch.optim.LBFGS(
            [position],
            max_iter=iterations,
            max_eval=2 * iterations,
            history_size=10,
            tolerance_grad=0,
            tolerance_change=0,
            line_search_fn="strong_wolfe",
        )

        def objective() -> float:
            self.solution = position.detach() * scale
            value, gradient = self._objective(l2)
            norm = float(self.solution[:, :-1].norm())
            self.gradient = float(gradient.norm()) / (l2 * norm) if norm else float("inf")
            if self.gradient <= tolerance:
                raise _Converged
            position.grad = gradient * scale
            return value

        try:
            optimizer.step(objective)
        except _Converged:
            return self.solution
        self.solution = position.detach() * scale  # the last that was tried need not be the one kept
        return self.solution

    def nll(self, solution: torch.Tensor, rows: torch.Tensor) -> float:
        """Sum of the cross-entropies of some images, in nats."""
        outputs = self._outputs(solution, rows)
        return sum(-float(logs.gather(1, y[:, None]).double().sum()) for _, y, logs in outputs)

    def _curvature(self) -> float:
        """Mean over the classes of p (1 - p), summed over the images, at the present solution."""
        outputs = self._outputs(self.solution, self.rows)
        total = sum(float((1 - logs.exp().square().sum(1)).sum()) for _, _, logs in outputs)
        # Where every image is fitted perfectly there is next to none left; the penalty then is all there is.
        return max(total / self.classes, 1e-6)

    def _objective(self, l2: float) -> tuple[float, torch.Tensor]:
        weight = self.solution[:, :-1]
        value = l2 / 2 * float(weight.double().square().sum())
        gradient = torch.zeros_like(self.solution)
        gradient[:, :-1] = l2 * weight
        for x, y, logs in self._outputs(self.solution, self.rows):
            own = torch.arange(len(y), device=y.device), y
            right = logs[own]
            residual = logs.exp_()
            residual[own] = 0
            others = residual.sum(1)  # 1 - p, where p may be too close to 1 to be subtracted from it
            residual[own] = -others
            value += float(torch.where(others < 0.5, -torch.log1p(-others), -right).double().sum())
            gradient[:, :-1].addmm_(residual.T, x)
            gradient[:, -1] += residual.sum(0)
        return value, gradient

    def _outputs(
        self, solution: torch.Tensor, rows: torch.Tensor
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Features, labels and log-probabilities of some images, ROWS at a time."""
        for part in rows.split(ROWS):
            if self.should_stop():
                raise Stopped
            x = self.x[part].to(solution.dtype)
            logits = torch.addmm(solution[:, -1], x, solution[:, :-1].T)
            yield x, self.y[part], functional.log_softmax(logits, 1)


class _Converged(Exception):
    """Raised from within L-BFGS, whose own conditions to end know nothing of the strength."""


def principal_axes(x: torch.Tensor, should_stop: Callable[[], bool] = lambda: False) -> torch.Tensor:
    """Orthonormal rows that span centred features (n, width): along them their covariance is diagonal.

    Raises:
        Stopped: `should_stop` asked for it.
    """

    def axes() -> torch.Tensor:
        if len(x) <= x.shape[1]:
            return torch.linalg.svd(x, full_matrices=False)[2]
        return torch.linalg.eigh(x.T @ x)[1].T

    return _while_watching(axes, should_stop)


def _while_watching(work: Callable[[], torch.Tensor], should_stop: Callable[[], bool]) -> torch.Tensor:
    """The result of one long call of LAPACK, unless it is to stop: such a call cannot be broken off, so it is
    left behind in a thread of its own."""
    result: list = []
    threads = torch.get_num_threads()

    def run() -> None:
        torch.set_num_threads(threads)  # OpenMP keeps the number by thread
        try:
            result.append(work())
        except Exception as error:
            result.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.05)
        if should_stop():
            raise Stopped
    if isinstance(result[0], Exception):
        raise result[0]
    return result[0]


# Passes over all images of a fold and of the last fit (in double precision: they count twice), about, as the
# published probes took them; and the part of a fit that does not grow with the number of images, in seconds.
PASSES_FOLD, PASSES_FINAL, OVERHEAD_S = 120, 250, 0.2


def expected_seconds(images: int, width: int, classes: int, recipe: Probe) -> float:
    """Rough seconds of a fit on this machine's processor, within a factor of about two.

    Args:
        images, width, classes: of the subset, its features and its outputs.
    """
    _, folds = _folds(images, classes, recipe)
    passes = PASSES_FINAL + PASSES_FOLD * folds
    rank = min(images, width)
    products = 4 * images * rank * classes * passes + 2 * images * width * rank + 10 * rank**3
    return OVERHEAD_S + products / multiplications_per_s()


@cache
def multiplications_per_s() -> float:
    """Floating-point operations per second of a float32 product like those of a fit."""
    a, b = torch.ones(ROWS, 256), torch.ones(256, 64)
    a @ b
    began = time.perf_counter()
    for _ in range(10):
        a @ b
    return 10 * 2 * a.numel() * b.shape[1] / (time.perf_counter() - began)

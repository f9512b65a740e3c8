"""How often verdicts from repeated k-fold are wrong where the truth is known.

    nox -s simulate -- --kfold

Two models are tested on N images by R repeats of k folds, and three rules judge their difference: `folds`,
the one that is used (`bench.analysis.kfold`); `repeats`, the rule of all other tables, which knows nothing of
folds; and `corrected t` (C. Nadeau, Y. Bengio, 2003, "Inference for the generalization error", Machine
Learning 52, 239-281), a t test of the R k differences of folds whose variance counts 1 / (R k) + 1 / (k - 1)
times. With one repeat `repeats` has no answer, and `folds` is the t test of the k folds.

What is true is the difference of networks trained on so many of these images, which is what an interval of
k-fold is about. The worlds called "other images to train on" ask for more: there the truth is that of
training images drawn anew, too, of which all networks have seen nearly the same. No rule holds in them, and
they show how much a claim about other training images would be worth.

What came of 2,000 pairs a row stands in simulated_kfold.csv beside this file.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from bench.analysis.kfold import fold_parts
from bench.analysis.simulation.synthetic import OWN_DIFFICULTY, REST, SHARED_DIFFICULTY
from bench.analysis.statistics import Parts, ends, p_different, p_equivalent, parts

ALPHA, DELTA = 0.05, 0.05
"""A difference of DELTA or more is never equivalent."""
PAIRS = 2000
CHUNK = 1_000_000  # scores held at once
SLACK = 3.0
STORED = Path(__file__).with_name("simulated_kfold.csv")


@dataclass(frozen=True)
class FoldWorld:
    """The truth of two models.

    A network classifies an image correctly when a sum of normal effects is positive, as in `synthetic`. Its
    luck is its own (`network_sd`, the standard deviation of its accuracy, one a model), and that of the
    images it was trained on: each has an effect on each model, and those in a training set add up
    (`training_sd`, of the accuracy over training sets drawn anew). So networks that share training images
    are alike.

    Attributes:
        anew: whether the truth is that of training sets drawn anew. If not, it is that of sets of these
            images, whose effects add up to 0 over all images.
        diverged: the probability that a network diverges; its repeat then scores 1 / classes on all images.
    """

    name: str
    accuracy: tuple[float, float] = (0.8, 0.8)
    network_sd: tuple[float, float] = (0.01, 0.01)
    training_sd: float = 0.0
    anew: bool = False
    diverged: float = 0.0
    classes: int = 5

    def truth(self, folds: int) -> float:
        """The expected difference of the two."""
        lost = 1 - (1 - self.diverged) ** folds
        return (self.accuracy[0] - self.accuracy[1]) * (1 - lost)

    def scores(
        self, pairs: int, fold_of: np.ndarray, folds: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores of independent pairs of models (pairs, 2, R, N) where images lie in folds `fold_of` (R, N),
        and which repeats of a pair lost a network (pairs, 2, R)."""
        repeats, images = fold_of.shape
        quantile = ndtri(np.array(self.accuracy))
        slope = np.exp(-(quantile**2) / 2) / np.sqrt(2 * np.pi)  # of the normal distribution
        own, shared = np.array(self.network_sd) / slope, self.training_sd / slope
        inside = (fold_of[..., None] == np.arange(folds)).astype(np.float32)  # (R, N, k)
        effect = rng.standard_normal((pairs, 2, images), dtype=np.float32)
        if not self.anew:
            effect -= effect.mean(-1, keepdims=True)
        trained = effect.sum(-1)[..., None, None] - np.einsum("pmn,rnk->pmrk", effect, inside)
        trained /= np.sqrt(images - inside.sum(1))
        luck = own[:, None, None] * rng.standard_normal((pairs, 2, repeats, folds))
        luck += shared[:, None, None] * trained
        # The variance of all luck, so that the expected accuracy is exact.
        variance = own**2 + shared**2 * (1.0 if self.anew else 1 / folds)
        level = (quantile * np.sqrt(1 + variance))[:, None, None] + luck
        sure = np.einsum("pmrk,rnk->pmrn", level.astype(np.float32), inside)
        sure += SHARED_DIFFICULTY * rng.standard_normal((pairs, 1, 1, images), dtype=np.float32)
        sure += OWN_DIFFICULTY * rng.standard_normal((pairs, 2, 1, images), dtype=np.float32)
        sure += REST * rng.standard_normal(sure.shape, dtype=np.float32)
        scores = (sure > 0).astype(float)
        lost = np.any(rng.random((pairs, 2, repeats, folds)) < self.diverged, axis=-1)
        scores[lost] = 1 / self.classes
        return scores, lost


WORLDS = (
    FoldWorld("equal, networks alike", network_sd=(0.0, 0.0)),
    FoldWorld("equal, networks 2 points apart", network_sd=(0.02, 0.02)),
    FoldWorld("equal, networks 5 points apart", network_sd=(0.05, 0.05)),
    FoldWorld("equal, networks 10 points apart", (0.6, 0.6), (0.1, 0.1)),
    FoldWorld("equal, networks 0.5 and 5 points apart", network_sd=(0.005, 0.05)),
    FoldWorld("equal near 1", (0.97, 0.97)),
    FoldWorld("equal, training images that matter by 4 points", training_sd=0.04),
    FoldWorld("equal, one network in fifty diverges", diverged=0.02),
    FoldWorld("5 points apart", (0.8, 0.75), (0.02, 0.02)),
    FoldWorld("10 points apart", (0.8, 0.7), (0.02, 0.02)),
    FoldWorld("equal, other images to train on, by 1 point", training_sd=0.01, anew=True),
    FoldWorld("equal, other images to train on, by 2 points", training_sd=0.02, anew=True),
    FoldWorld("equal, other images to train on, by 4 points", training_sd=0.04, anew=True),
)


def study(
    pairs: int = PAIRS,
    seed: int = 0,
    *,
    repeats: Sequence[int] = (1, 3, 5, 10),
    folds: Sequence[int] = (3, 5, 10),
    images: Sequence[int] = (60, 150, 600),
    worlds: Sequence[FoldWorld] = WORLDS,
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Simulate `pairs` pairs of models in every world, and judge them by every rule.

    One row a world, rule, R, k and N: rates with their Monte Carlo standard errors. `false_claims` are
    *better* and *worse* that are not so, `false_equivalents` those of differences of DELTA or more; `power`
    is how often a true difference was found. `holds` says whether both are at most 5 % within `SLACK`
    standard errors; it is empty where the truth is that of other training images.
    """
    rows = []
    for world in worlds:
        for r in repeats:
            for k in folds:
                for n in images:
                    progress(f"{world.name}, {r} repeats of {k} folds, {n} images")
                    rng = np.random.default_rng([seed, zlib.crc32(world.name.encode()), r, k, n])
                    judged = _joined(list(_judged(world, pairs, r, k, n, rng)))
                    for rule, of in judged.items():
                        where = {"world": world.name, "rule": rule, "repeats": r, "folds": k, "images": n}
                        rows.append(where | _summary(of, world, k))
    return pd.DataFrame(rows)


def stored() -> pd.DataFrame:
    """The study in the file beside this one, with the version and the command that made it."""
    return pd.read_csv(STORED)


def make_folds(repeats: int, folds: int, images: int, rng: np.random.Generator) -> np.ndarray:
    """Images divided at random into folds of one size, as far as that goes (R, N)."""
    return np.stack([rng.permutation(np.arange(images) % folds) for _ in range(repeats)])


def corrected_t(tables: np.ndarray, fold_of: np.ndarray) -> Parts:
    """The corrected resampled t test of tables (..., R, N), as a variance with its degrees of freedom."""
    (repeats, images), folds = fold_of.shape, int(fold_of.max()) + 1
    means = np.concatenate(
        [[tables[..., r, fold_of[r] == f].mean(-1) for f in range(folds)] for r in range(repeats)]
    )
    variance = (1 / len(means) + 1 / (folds - 1)) * means.var(0, ddof=1)
    return _one_part(tables, repeats * images * variance, len(means) - 1)


def of_one_repeat(tables: np.ndarray, fold_of: np.ndarray) -> Parts:
    """The t test of the means of k folds, of tables (..., 1, N); a variance below that within folds is raised
    to it."""
    folds, images = int(fold_of.max()) + 1, fold_of.shape[1]
    inside = [tables[..., 0, fold_of[0] == f] for f in range(folds)]
    means = np.stack([own.mean(-1) for own in inside])
    within = sum(own.var(-1) * own.shape[-1] for own in inside) / (images - folds)
    between = images / folds * means.var(0, ddof=1)
    return _one_part(tables, np.maximum(between, within), folds - 1)


def _one_part(tables: np.ndarray, mean_square: np.ndarray, freedom: int) -> Parts:
    shape, (repeats, images) = mean_square.shape, tables.shape[-2:]
    numbers = (np.full(shape, float(one)) for one in (freedom, repeats, images))
    return Parts(tables.mean((-2, -1)), mean_square, np.zeros(shape), np.zeros(shape), *numbers)


def _judged(
    world: FoldWorld, pairs: int, repeats: int, folds: int, images: int, rng: np.random.Generator
) -> Iterator[dict[str, Parts]]:
    """The parts of a chunk of pairs, by rule."""
    step = max(1, CHUNK // (repeats * images))
    for start in range(0, pairs, step):
        fold_of = make_folds(repeats, folds, images, rng)
        scores, lost = world.scores(min(step, pairs - start), fold_of, folds, rng)
        tables = scores[:, 0] - scores[:, 1]
        rules = {"corrected t": corrected_t(tables, fold_of)}
        if repeats == 1:
            yield rules | {"folds": of_one_repeat(tables, fold_of)}
            continue
        plain, own = (_whole(of) for of in (parts(tables), fold_parts(tables, fold_of)))
        # A repeat that diverged is at chance as a whole, and then repeats are what differs.
        any_lost = lost.any((-2, -1))
        chosen = Parts(*(np.where(any_lost, *both) for both in zip(plain, own, strict=True)))
        yield rules | {"repeats": plain, "folds": chosen}


def _whole(of: Parts) -> Parts:
    return Parts(*(np.broadcast_to(column, of.estimate.shape).astype(float) for column in of))


def _joined(chunks: list[dict[str, Parts]]) -> dict[str, Parts]:
    return {
        rule: Parts(*(np.concatenate(column) for column in zip(*(c[rule] for c in chunks), strict=True)))
        for rule in chunks[0]
    }


def _summary(of: Parts, world: FoldWorld, folds: int) -> dict[str, object]:
    truth, number = world.truth(folds), len(of.estimate)
    low, high = ends(of, ALPHA)
    claimed = p_different(of) <= ALPHA
    equivalent = ~claimed & (p_equivalent(of, DELTA) <= ALPHA)
    false = claimed & (of.estimate * truth <= 0)
    beyond = equivalent & (abs(truth) > DELTA - 1e-12)
    covered = (low <= truth) & (truth <= high)

    def error(hits: np.ndarray) -> float:
        return float(hits.std() / np.sqrt(number))

    most = ALPHA + SLACK * np.sqrt(ALPHA * (1 - ALPHA) / number)
    return {
        "pairs": number,
        "stated": ALPHA,
        "false_claims": float(false.mean()),
        "false_claims_error": error(false),
        "false_equivalents": float(beyond.mean()),
        "holds": None if world.anew else bool(max(false.mean(), beyond.mean()) <= most),
        "coverage": float(covered.mean()),
        "coverage_error": error(covered),
        "power": float((claimed & ~false).mean()) if truth else np.nan,
        "half_width": float(((high - low) / 2).mean()),
    }

"""The variance of a mean difference where every image is tested once a repeat, by the network of its fold.

A table of R repeats x N images comes from R x k networks, and the images of one fold share the luck of one
network. What the networks within repeats differ by tells the same as what whole repeats differ by, with many
more degrees of freedom: R (k - 1) beside R - 1, with 3 repeats of 5 folds 12 beside 2.

All folds are trained on nearly the same images. The interval is about new networks trained on as many of
these images, and about new test images; that other images to train on might favour another model, no division
of the same images can show.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from bench.analysis.statistics import Parts, mean_squares, parts


def fold_mean_square(tables: ArrayLike, fold_of: ArrayLike) -> np.ndarray:
    """MS_fold of tables (..., R, N): how far the means of folds lie apart, less those of repeats and images.

    With e the residuals of the two-way analysis of variance, n the images of a fold and s the sum of its e,

        MS_fold = sum of s^2 / n over all folds of all repeats, divided by (R - 1) (k - 1).

    Where networks have a variance v of their own and single scores a variance w, it is expected to be
    w + n (1 - 1 / R) v. Images and folds cross at random, so that it has about R (k - 1) degrees of freedom.

    Args:
        fold_of: the fold of each image in each repeat, whole numbers from 0 (R, N), R at least 2.
    """
    tables, fold_of = np.asarray(tables, float), np.asarray(fold_of)
    if fold_of.shape != tables.shape[-2:]:
        raise ValueError(f"expected the fold of each score, not shapes {fold_of.shape} and {tables.shape}")
    centred = tables - tables.mean(-1, keepdims=True) - tables.mean(-2, keepdims=True)
    centred += tables.mean((-2, -1), keepdims=True)
    total = np.zeros(tables.shape[:-2])
    for repeat, own in enumerate(fold_of):
        for fold in np.unique(own):
            inside = own == fold
            total += np.square(centred[..., repeat, inside].sum(-1)) / inside.sum()
    repeats, folds = len(fold_of), int(fold_of.max()) + 1
    square: np.ndarray = total / ((repeats - 1) * (folds - 1))
    return square


def fold_parts(tables: ArrayLike, fold_of: ArrayLike) -> Parts:
    """The parts of the variance of tables (..., R, N) of 3 repeats or more, for `statistics.half_width`.

    MS_rep is pooled with what folds say of the same, w + n v, each weighted by its degrees of freedom; where
    MS_rep alone is larger, it stays, with the degrees of freedom of both.
    """
    plain = parts(tables)
    _, _, res = mean_squares(tables)
    repeats, folds = len(np.asarray(fold_of)), int(np.max(fold_of)) + 1
    by_fold = np.maximum(res + (fold_mean_square(tables, fold_of) - res) * repeats / (repeats - 1), 0.0)
    freedom = repeats * folds - 1
    pooled = (repeats * (folds - 1) * by_fold + (repeats - 1) * plain.rep) / freedom
    return plain._replace(rep=np.maximum(pooled, plain.rep), freedom=np.asarray(freedom))


def parts_in(fold_of: ArrayLike | None) -> Callable[[ArrayLike], Parts]:
    """What gives the parts of the variance of a table: `fold_parts` where there are folds, else `parts`."""
    return parts if fold_of is None else partial(fold_parts, fold_of=fold_of)

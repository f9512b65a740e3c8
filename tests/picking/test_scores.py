"""Cross-validated scores against scikit-learn and against counting."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from bench.data.subsets import fold_of
from bench.errors import DataError
from bench.picking.scores import FOLDS, STRENGTHS, cross_validated, fit_path

CLASSES, WIDTH = 4, 12


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(3)
    labels = np.arange(160) % CLASSES
    centres = random.normal(size=(CLASSES, WIDTH))
    return (centres[labels] + 1.5 * random.normal(size=(160, WIDTH))).astype(np.float32), labels


def test_the_probe_is_that_of_scikit_learn(data):
    features, labels = data
    score = cross_validated(features, labels, CLASSES)
    unit = normalize(features)
    right, nll = {}, {}
    for l2 in STRENGTHS:
        right[l2], nll[l2] = np.zeros(len(labels), bool), 0.0
        for fold in range(FOLDS):
            kept, left = fold_of(labels, fold, FOLDS, 0)
            model = LogisticRegression(C=1 / l2, max_iter=10_000, tol=1e-8).fit(unit[kept], labels[kept])
            right[l2][left] = model.predict(unit[left]) == labels[left]
            with np.errstate(divide="ignore"):
                logs = model.predict_log_proba(unit[left])
            nll[l2] -= logs[np.arange(len(left)), labels[left]].sum()
    best = min(nll, key=nll.get)
    assert score.l2 == best
    assert (score.probe == right[best]).mean() > 0.98
    assert np.array_equal(score.held_out, np.arange(len(labels)))  # each once


def test_neighbours_are_those_of_a_loop(data):
    features, labels = data
    unit = normalize(features).astype(np.float64)
    expected = np.zeros(len(labels), bool)
    for fold in range(FOLDS):
        kept, left = fold_of(labels, fold, FOLDS, 0)
        for image in left:
            cosines = unit[kept] @ unit[image]
            nearest = np.argsort(-cosines)[:20]
            votes = np.bincount(labels[kept][nearest], np.exp(cosines[nearest] / 0.07), CLASSES)
            expected[image] = votes.argmax() == labels[image]
    assert np.array_equal(cross_validated(features, labels, CLASSES).knn, expected)


def test_labels_that_say_nothing_score_at_chance(data):
    features, labels = data
    shuffled = np.random.default_rng(1).permutation(labels)
    score = cross_validated(features, shuffled, CLASSES)
    assert score.top1 < 0.4 and score.knn.mean() < 0.4


def test_groups_are_never_on_both_sides(data):
    """Copies of an image in one group: with them on both sides every one would be found again."""
    random = np.random.default_rng(5)
    originals = random.normal(size=(40, WIDTH)).astype(np.float32)
    features, labels = np.repeat(originals, 4, axis=0), np.repeat(np.arange(40) % CLASSES, 4)
    groups = np.repeat(np.arange(40), 4)
    assert cross_validated(features, labels, CLASSES).knn.mean() > 0.9
    assert cross_validated(features, labels, CLASSES, groups=groups).knn.mean() < 0.5


def test_a_single_group_is_refused(data):
    with pytest.raises(DataError, match="one group"):
        cross_validated(*data, CLASSES, groups=np.zeros(160, np.int64))


def test_a_class_with_one_image_is_held_out_and_missed():
    random = np.random.default_rng(0)
    features = random.normal(size=(11, 3)).astype(np.float32)
    labels = np.array([0] * 5 + [1] * 5 + [2])
    score = cross_validated(features, labels, 3)
    assert len(score.held_out) == 11 and not score.probe[10]


def test_a_regression_is_of_features_of_unit_length(data):
    features, labels = data
    [(_, one)] = fit_path(features, labels, CLASSES, [1e-2])
    [(_, other)] = fit_path(features * 7, labels, CLASSES, [1e-2])
    assert np.allclose(one.logits(features), other.logits(features * 0.1), atol=1e-3)


def test_one_image_of_every_class_is_refused():
    with pytest.raises(DataError, match="every class has one training image"):
        cross_validated(np.eye(4, dtype=np.float32), np.arange(4), 4)

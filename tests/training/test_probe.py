"""Linear probes against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.recipe import Probe
from bench.training.probe import fit, solve


@pytest.fixture(scope="module")
def blobs():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 20)
    centres = random.normal(size=(6, 15))
    features = centres[labels] + 1.5 * random.normal(size=(120, 15)) * random.uniform(0.5, 4, 15)
    return features.astype(np.float32), labels


@pytest.mark.parametrize("l2", [1e-3, 1e-1])
def test_the_solution_is_that_of_scikit_learn(blobs, l2):
    features, labels = blobs
    x = (features - features.mean(0)) / features.std(0)
    ours = solve(torch.from_numpy(x).double(), torch.from_numpy(labels), 6, l2).numpy()
    theirs = LogisticRegression(C=1 / (len(x) * l2), tol=1e-10, max_iter=10_000).fit(x.astype(float), labels)
    np.testing.assert_allclose(ours[:, :-1], theirs.coef_, atol=2e-3)
    bias = ours[:, -1] - ours[:, -1].mean()
    np.testing.assert_allclose(bias, theirs.intercept_ - theirs.intercept_.mean(), atol=2e-3)


def test_the_strength_is_the_best_of_scikit_learns_cross_validation(blobs):
    features, labels = blobs
    recipe = Probe(l2=(1e-3, 1e-2, 1e-1, 1.0, 10.0))
    probe = fit(features, labels, 6, recipe, seed=3)
    x = (features - features.mean(0)) / features.std(0)
    folds = StratifiedKFold(recipe.folds, shuffle=True, random_state=3)
    for l2, ours in probe.cross_validation.items():
        kept = len(x) * (recipe.folds - 1) / recipe.folds
        model = LogisticRegression(C=1 / (kept * float(l2)), tol=1e-8, max_iter=10_000)
        assert ours == pytest.approx(cross_val_score(model, x, labels, cv=folds).mean(), abs=0.02)
    assert probe.cross_validation[f"{probe.l2:g}"] == max(probe.cross_validation.values())


def test_logits_are_those_of_a_scikit_learn_pipeline(blobs):
    features, labels = blobs
    probe = fit(features, labels, 6, Probe(l2_fixed=0.05, cv_from=100), seed=0)
    assert probe.l2 == 0.05 and probe.cross_validation is None
    reference = make_pipeline(
        StandardScaler(), LogisticRegression(C=1 / (len(features) * 0.05), tol=1e-10, max_iter=10_000)
    ).fit(features, labels)
    logits = probe.logits(features)
    ours = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(ours, reference.predict_proba(features), atol=2e-3)


def test_constant_features_do_no_harm(blobs):
    features, labels = blobs
    widened = np.concatenate([features, np.full((len(features), 2), 7, np.float32)], 1)
    probe = fit(widened, labels, 6, Probe(cv_from=100), seed=0)
    assert np.isfinite(probe.logits(widened)).all()

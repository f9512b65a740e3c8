"""Labels that are likely wrong."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.analysis.suspects import stored_probabilities, suspects


def test_planted_errors_come_first():
    rng = np.random.default_rng(0)
    true = np.repeat(np.arange(4), 50)
    logits = rng.normal(size=(200, 4)) + 7 * np.eye(4)[true]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = true.copy()
    planted = rng.choice(200, 12, replace=False)
    labels[planted] = (labels[planted] + 1 + rng.integers(0, 3, 12)) % 4
    table = suspects(labels, probabilities)
    assert sorted(table["position"]) == list(range(200))
    marked = table[table["suspect"]]
    assert table.index[table["suspect"]].tolist() == list(range(len(marked)))
    assert len(set(planted) & set(marked["position"])) >= 10 and len(marked) <= 13
    assert set(table.sort_values("self_confidence")["position"][:12]) == set(planted)
    assert marked["self_confidence"].is_monotonic_increasing
    first = table.iloc[0]
    assert first["label"] == labels[first["position"]] and first["suggested"] == true[first["position"]]
    assert first["self_confidence"] == probabilities[first["position"], first["label"]]


def test_right_labels_are_not_suspect():
    true = np.repeat(np.arange(3), 20)
    table = suspects(true, 0.1 / 3 + 0.9 * np.eye(3)[true])
    assert not table["suspect"].any()


def test_heads_wider_than_the_classes_are_cut_to_them():
    data = SimpleNamespace(fingerprint="f", split_id="s", train_images=9, classes=2)
    kept = {"own": np.array([[0.9, 0.1], [0.4, 0.6]]), "wide": np.array([[0.3, 0.1, 0.6], [0.2, 0.8, 0.0]])}
    store = SimpleNamespace(
        each_result=lambda: [SimpleNamespace(id=run, data=data, outcome="finished") for run in kept],
        has_probabilities=lambda run: True,
        probabilities=lambda run: kept[run].astype(np.float32),
    )
    mean, runs = stored_probabilities(store, "f", "s")
    assert runs == ["own", "wide"] and mean.dtype == np.float64
    assert mean == pytest.approx(np.array([[1.2 / 1.4, 0.2 / 1.4], [0.3, 0.7]]))

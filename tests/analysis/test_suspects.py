"""Labels that are likely wrong."""

import numpy as np

from bench.analysis.suspects import suspects


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

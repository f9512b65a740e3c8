from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, jaccard_score

from bench.analysis.complementarity import ensemble_accuracy, overlaps, pairings

masks = st.integers(1, 40).flatmap(lambda n: st.tuples(arrays(bool, n), arrays(bool, n)))


@given(masks)
def test_overlap_matches_counting(pair):
    a, b = pair
    both, shared, most = (values.item() for values in overlaps(a[None], b[None]))
    assert both == pytest.approx(np.mean([not (x or y) for x, y in zip(a, b, strict=True)]))
    if (~a | ~b).any():
        assert shared == pytest.approx(jaccard_score(~a, ~b))
        assert shared <= most + 1e-12
        assert most == pytest.approx(jaccard_score(np.sort(~a), np.sort(~b)))
    else:
        assert np.isnan(shared) and np.isnan(most)


def test_every_network_is_compared_with_every_other(runs):
    a, b, _ = correct(runs)
    _, shared, _ = overlaps(a, b[:2])
    assert shared.shape == (3, 2)
    assert shared[2, 1] == pytest.approx(jaccard_score(~a[2], ~b[1]))


@pytest.fixture
def runs():
    """Two models of three replicates each, 60 images, 5 classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 60)
    logits = rng.normal(0, 1, (2, 3, 60, 5)) + 1.2 * np.eye(5)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return probabilities[0], probabilities[1], labels


def correct(runs):
    """Which images each run of both models classified correctly, and the averages of two runs."""
    a, b, labels = runs
    probabilities = {"a": a, "b": b}

    def averaged(one, other):
        return ensemble_accuracy([probabilities[model][place] for model, place in (one, other)], labels)

    return a.argmax(-1) == labels, b.argmax(-1) == labels, averaged


def test_an_ensemble_averages_probabilities(runs):
    a, b, labels = runs
    expected = accuracy_score(labels, ((a[0] + b[1]) / 2).argmax(1))
    assert ensemble_accuracy([a[0], b[1]], labels) == expected
    assert ensemble_accuracy(a[:1], labels) == accuracy_score(labels, a[0].argmax(1))


def test_pairs_of_two_models_stand_beside_pairs_of_one(runs):
    a, b, labels = runs
    found = {pairing.kind: pairing for pairing in pairings(*correct(runs))}
    assert {kind: p.pairs for kind, p in found.items()} == {
        "a + b": 6,
        "a + b, same replicate": 3,
        "a + a": 3,
        "b + b": 3,
    }
    different = [(r, s) for r, s in product(range(3), repeat=2) if r != s]
    mixed = found["a + b"]
    assert mixed.ensemble == pytest.approx(
        np.mean([accuracy_score(labels, (a[r] + b[s]).argmax(1)) for r, s in different])
    )
    assert mixed.oracle == pytest.approx(
        np.mean([((a[r].argmax(1) == labels) | (b[s].argmax(1) == labels)).mean() for r, s in different])
    )
    accuracies = [np.mean([accuracy_score(labels, p.argmax(1)) for p in m]) for m in (a, b)]
    assert mixed.members == pytest.approx(np.mean(accuracies))
    assert found["a + a"].members == pytest.approx(accuracies[0])
    assert mixed.both_wrong == pytest.approx(1 - mixed.oracle)
    assert all(p.ensemble <= 1 and p.oracle >= p.members for p in found.values())


def test_twins_gain_nothing_from_each_other(runs):
    a, _, labels = runs
    same = np.repeat(a[:1], 3, 0)
    for pairing in pairings(*correct((same, same, labels))):
        assert pairing.ensemble == pytest.approx(pairing.members)
        assert pairing.error_overlap == 1


def test_one_replicate_has_no_twins(runs):
    a, b, labels = runs
    assert [p.kind for p in pairings(*correct((a[:1], b[:1], labels)))] == ["a + b, same replicate"]


def test_without_errors_there_is_no_overlap_to_speak_of():
    perfect = np.ones((1, 3), bool)
    assert pairings(perfect, perfect, lambda one, other: 1.0)[0].error_overlap is None


def test_what_was_not_averaged_is_not_measured(runs):
    a, b, averaged = correct(runs)
    found = pairings(a, b, lambda one, other: None if {one[0], other[0]} == {"a"} else averaged(one, other))
    assert {p.kind: p.ensemble is None for p in found} == {
        "a + b": False,
        "a + b, same replicate": False,
        "a + a": True,
        "b + b": False,
    }


@given(st.integers(2, 4), st.integers(1, 12), st.randoms(use_true_random=False))
def test_swapping_the_models_and_permuting_images_changes_no_pair(replicates, images, random):
    a, b = (
        np.array([[random.random() < 0.6 for _ in range(images)] for _ in range(replicates)]) for _ in "ab"
    )
    order = random.sample(range(images), images)
    one = {p.kind: p for p in pairings(a, b, lambda *_: None)}
    other = {p.kind: p for p in pairings(b[:, order], a[:, order], lambda *_: None)}
    swapped = {"a + a": "b + b", "b + b": "a + a"}
    for kind, pairing in one.items():
        mirrored = other[swapped.get(kind, kind)]
        assert pairing.both_wrong == pytest.approx(mirrored.both_wrong)
        assert pairing.error_overlap == pytest.approx(mirrored.error_overlap)


def test_what_does_not_match_is_refused(runs):
    a, b, averaged = correct(runs)
    for bad in [(a[:2], b), (a[0], b[0]), (a[:0], b[:0])]:
        with pytest.raises(ValueError):
            pairings(*bad, averaged)

"""Draws of training images: nested, balanced, and the same everywhere."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data import draw_subset
from bench.data.subsets import fold_of
from bench.errors import DataError, InputError

LABELS = np.array([0, 1, 2] * 8 + [0, 0, 1], dtype=np.int64)


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(3, 12), min_size=2, max_size=6),
    seed=st.integers(0, 99),
    shots=st.integers(1, 3),
)
def test_balanced_sorted_and_nested(sizes, seed, shots):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    fewer = draw_subset("d", "s", labels, shots - 1, seed) if shots > 1 else np.empty(0, int)
    drawn = draw_subset("d", "s", labels, shots, seed)
    assert np.bincount(labels[drawn]).tolist() == [shots] * len(sizes)
    assert drawn.tolist() == sorted(set(drawn.tolist()))
    assert set(fewer) <= set(drawn)


def test_brute_force():
    """The order of a class spelled out once more, one image at a time."""
    expected = []
    for label in range(3):
        ranked = []
        for position, actual in enumerate(LABELS):
            if actual == label:
                text = "\0".join(["flowers102", "official", "7", str(label), str(position)])
                ranked.append((hashlib.sha256(text.encode()).hexdigest(), position))
        expected += [position for _, position in sorted(ranked)[:4]]
    assert draw_subset("flowers102", "official", LABELS, 4, 7).tolist() == sorted(expected)


def test_pinned():
    """Published results name these draws: they must not change."""
    assert draw_subset("digits", "frozen", LABELS, 2, 0).tolist() == [0, 9, 11, 13, 19, 20]
    assert draw_subset("digits", "frozen", LABELS, 2, 1).tolist() != [0, 9, 11, 13, 19, 20]


@pytest.mark.parametrize("other", [("e", "s", 0), ("d", "t", 0), ("d", "s", 1)])
def test_follows_from_dataset_split_and_seed(other):
    labels = np.repeat(np.arange(5), 40)
    first = draw_subset("d", "s", labels, 10, 0)
    assert not np.array_equal(first, draw_subset(other[0], other[1], labels, 10, other[2]))


def test_every_image_is_drawn_about_equally_often():
    """Over many seeds each of 20 images of a class is among 5 drawn in a quarter of the draws."""
    labels = np.zeros(20, dtype=np.int64)
    times = np.zeros(20)
    for seed in range(800):
        times[draw_subset("d", "s", labels, 5, seed)] += 1
    assert times.sum() == 4000
    assert np.all(np.abs(times / 800 - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 800))


def test_whole_split_is_one_draw():
    assert draw_subset("d", "s", LABELS, None, None).tolist() == list(range(len(LABELS)))
    counts = np.bincount(np.repeat([0, 1], 6))
    assert len(draw_subset("d", "s", np.repeat([0, 1], 6), 6, 3)) == counts.sum()


def test_too_many_shots_names_class_and_count():
    with pytest.raises(InputError, match=r"class 'rose' of d \(s\) has 8 training images; ask for at most 8"):
        draw_subset("d", "s", LABELS, 9, 0, class_names=["oak", "elm", "rose"])
    with pytest.raises(InputError, match="class 'fir' of d .* has 0"):
        draw_subset("d", "s", LABELS, 1, 0, class_names=["oak", "elm", "rose", "fir"])
    with pytest.raises(InputError, match="at least 1"):
        draw_subset("d", "s", LABELS, 0, 0)
    with pytest.raises(InputError, match="draw seed"):
        draw_subset("d", "s", LABELS, 1, None)


def test_folds_keep_groups_whole():
    rng = np.random.default_rng(1)
    labels, groups = rng.integers(0, 4, 200), rng.integers(0, 40, 200)
    held = [fold_of(labels, fold, 5, 0, groups) for fold in range(5)]
    assert np.sort(np.concatenate([left for _, left in held])).tolist() == list(range(200))
    for kept, left in held:
        assert np.sort(np.concatenate([kept, left])).tolist() == list(range(200))
        assert not set(groups[kept]) & set(groups[left])
        assert abs(len(left) - 40) <= 10
    with pytest.raises(DataError, match="5 folds need at least 5 groups of training images; there are 4"):
        fold_of(labels, 0, 5, 0, groups % 4)

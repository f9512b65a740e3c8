"""Groups that lie on one side of every division."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from bench.data.grouped import divide_groups, straddling, united


def quota(count):
    return {"test": max(1, round(0.2 * count)), "val": max(1, round(0.1 * count))}


def made(seed, groups=200, classes=5):
    """Images of groups of 1 to 20, most of whose images have one class."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 21, groups)
    group = np.repeat(np.arange(groups), sizes)
    main = np.repeat(rng.integers(0, classes, groups), sizes)
    return np.where(rng.random(len(group)) < 0.8, main, rng.integers(0, classes, len(group))), group


@pytest.mark.parametrize("seed", range(4))
def test_shares_are_kept_and_groups_whole(seed):
    labels, groups = made(seed)
    keys = [f"{i:05d}" for i in range(len(labels))]
    parts = divide_groups(labels, keys, groups, quota, "salt")
    assert np.sort(np.concatenate(list(parts.values()))).tolist() == list(range(len(labels)))
    assert straddling(groups, parts) == []
    for split, share in (("train", 0.7), ("test", 0.2), ("val", 0.1)):
        of_class = np.bincount(labels[parts[split]], minlength=5) / np.bincount(labels)
        np.testing.assert_allclose(of_class, share, atol=0.06)
    # No worse than the splitter of scikit-learn with five folds, of which one is test.
    _, test = next(StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(labels, labels, groups))
    counts = np.bincount(labels)
    ours, theirs = (np.bincount(labels[part], minlength=5) / counts for part in (parts["test"], test))
    assert np.abs(ours - 0.2).max() < np.abs(theirs - 0.2).max() + 0.03


def test_three_groups_are_enough_for_three_sides():
    labels, groups = np.zeros(10, np.int64), np.repeat([0, 1, 2], [4, 3, 3])
    for salt in "abcdefgh":
        parts = divide_groups(labels, [str(i) for i in range(10)], groups, quota, salt)
        assert sorted(map(len, parts.values())) == [3, 3, 4]


def test_another_salt_is_another_division():
    labels, groups = made(0)
    keys = [f"{i:05d}" for i in range(len(labels))]
    a, b = (divide_groups(labels, keys, groups, quota, salt)["test"] for salt in "ab")
    assert a.tolist() != b.tolist()


def test_groups_that_touch_are_one():
    own = united(np.array([5, 5, 7, 8, 9, 9]), [[1, 3], [3, 2]])
    assert own.tolist() == [own[0]] * 4 + [own[4]] * 2 and own[0] != own[4]
    assert united(np.array([4, 2, 4]), []).tolist() == [1, 0, 1]

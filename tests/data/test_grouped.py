"""Groups that lie on one side of every division."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from bench.data.grouped import divide_groups, straddling, united
from bench.files import digest


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


def test_three_groups_of_a_rare_class_are_enough_beside_others():
    """Of 200 sets of images whose classes lie in three groups or more, none lacks a class on any side."""
    rng, sets = np.random.default_rng(0), 0
    while sets < 200:
        classes, count = rng.integers(2, 8), rng.integers(6, 60)
        shares, mixed = rng.dirichlet(np.full(classes, 0.5)), rng.random() < 0.5
        groups = np.repeat(np.arange(count), rng.geometric(0.125, count))
        labels = rng.choice(classes, size=len(groups), p=shares)
        if not mixed:
            labels = rng.choice(classes, size=count, p=shares)[groups]
        pairs = np.unique(np.stack([labels, groups]), axis=1)
        if np.bincount(pairs[0], minlength=classes).min() < 3:
            continue
        sets += 1
        parts = divide_groups(labels, [str(i) for i in range(len(labels))], groups, quota, "salt")
        assert straddling(groups, parts) == []
        for name, part in parts.items():
            assert np.bincount(labels[part], minlength=classes).all(), (name, sets)


def test_a_division_is_the_same_in_every_version():
    """The val images of a fold are not frozen in the store: they are these, by the images alone."""
    labels, groups = made(0)
    parts = divide_groups(labels, [f"{i:05d}" for i in range(len(labels))], groups, quota, "salt")
    assert digest({name: part.tolist() for name, part in parts.items()}) == "5b07f8bdd304777c"


def test_another_salt_is_another_division():
    labels, groups = made(0)
    keys = [f"{i:05d}" for i in range(len(labels))]
    a, b = (divide_groups(labels, keys, groups, quota, salt)["test"] for salt in "ab")
    assert a.tolist() != b.tolist()


def test_groups_that_touch_are_one():
    own = united(np.array([5, 5, 7, 8, 9, 9]), [[1, 3], [3, 2]])
    assert own.tolist() == [own[0]] * 4 + [own[4]] * 2 and own[0] != own[4]
    assert united(np.array([4, 2, 4]), []).tolist() == [1, 0, 1]

"""Dividing images class by class, against counting by hand and scikit-learn."""

import hashlib
from collections import defaultdict

import numpy as np
import pytest
from data.conftest import frozen_text
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedShuffleSplit

from bench.data import stratify
from bench.data.stratify import divide, read_frozen, twins_of
from bench.errors import DataError


def tenth(count):
    return {"val": round(count / 10)}


def keys(count):
    return [str(i) for i in range(count)]


@settings(max_examples=40)
@given(contents=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), min_size=12, max_size=80))
def test_a_partition_with_equal_images_on_one_side(contents):
    labels = np.array([label for _, label in contents])
    twins = twins_of([str(content).encode() for content, _ in contents])
    divided = divide(labels, keys(len(labels)), twins, lambda n: {"test": n // 5, "val": n // 10}, "salt")
    assert sorted(np.concatenate(list(divided.values()))) == list(range(len(labels)))
    side = {i: split for split, positions in divided.items() for i in positions}
    for a, (content_a, _) in enumerate(contents):
        for b, (content_b, _) in enumerate(contents):
            assert content_a != content_b or side[a] == side[b]


def test_same_counts_as_sklearn_where_all_images_differ():
    labels = np.repeat(np.arange(7), [10, 20, 30, 40, 50, 60, 70])
    splitter = StratifiedShuffleSplit(n_splits=1, test_size=0.1, random_state=0)
    _, theirs = next(splitter.split(labels, labels))
    ours = divide(labels, keys(len(labels)), [], tenth, "x")["val"]
    assert np.bincount(labels[ours]).tolist() == np.bincount(labels[theirs]).tolist()


def test_salt_changes_and_keys_carry_the_division():
    labels = np.zeros(200, dtype=int)
    first = divide(labels, keys(200), [], tenth, "a")["val"]
    assert first.tolist() != divide(labels, keys(200), [], tenth, "b")["val"].tolist()
    reordered = divide(labels, keys(200)[::-1], [], tenth, "a")["val"]
    assert sorted(199 - reordered) == first.tolist()


def test_images_with_two_labels_stay_in_train():
    labels = np.repeat([0, 1], 20)
    twins = [[i, i + 20] for i in range(18)]
    divided = divide(labels, keys(40), twins, lambda n: {"val": 1}, "x")
    assert set(divided["val"]) <= {18, 19, 38, 39}


def test_a_split_is_not_left_empty_by_large_groups():
    divided = divide(
        np.zeros(9, int), keys(9), [[0, 1, 2], [3, 4], [5, 6], [7, 8]], lambda n: {"test": 1}, "x"
    )
    assert len(divided["test"]) == 2


def test_of_two_groups_too_large_the_smaller_one_is_taken():
    labels, keys = np.zeros(5, dtype=np.int64), [str(i) for i in range(5)]
    sides = divide(labels, keys, [(0, 1, 2), (3, 4)], lambda n: {"val": 1}, "salt")
    assert sides["val"].tolist() == [3, 4] and sides["train"].tolist() == [0, 1, 2]


def test_twins_by_brute_force():
    contents = [b"a", b"b", b"a", b"c", b"b", b"a"]
    groups = defaultdict(set)
    for i, a in enumerate(contents):
        groups[a] |= {j for j, b in enumerate(contents) if a == b} | {i}
    assert sorted(map(sorted, (g for g in groups.values() if len(g) > 1))) == sorted(twins_of(contents))


def test_frozen_file_is_read_back_and_guarded(tmp_path, monkeypatch):
    monkeypatch.setattr(stratify, "FOLDER", tmp_path)
    divided = {"train": np.array([0, 3]), "val": np.array([1]), "test": np.array([2, 4])}
    text = frozen_text(divided, "a comment")
    (tmp_path / "x.csv").write_text(text)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    read = read_frozen("x.csv", sha256, 5)
    assert {k: v.tolist() for k, v in read.items()} == {k: v.tolist() for k, v in divided.items()}
    (tmp_path / "x.csv").write_text(text.replace("val,1", "val,3"))
    with pytest.raises(DataError, match="x.csv: is not the file that was frozen"):
        read_frozen("x.csv", sha256, 5)
    with pytest.raises(DataError, match="nothere.csv"):
        read_frozen("nothere.csv", sha256, 5)

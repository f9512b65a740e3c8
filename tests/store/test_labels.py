"""Labels of test images: what another store brought is not believed where the data say otherwise."""

import json
import logging

import numpy as np
import pandas as pd
import pytest

from bench.store.run_store import RunStore

KEY = ("photos", "given", "e" * 64)
TRUE, NAMES = np.array([0, 1, 0, 1]), ["a", "b\u202e"]


@pytest.fixture
def store(tmp_path):
    store = RunStore(tmp_path / "store")
    store.prepare()
    return store


def write(store):
    """As a process that has the data."""
    store.write_labels(*KEY, TRUE, np.array([2]), NAMES, np.array([9, 4, 9, 4]))


def right(store):
    table = pd.read_parquet(store.labels_of(KEY))
    classes = json.loads(store.class_names_of(KEY).read_text())["classes"]
    columns = {"label": [0, 1, 0, 1], "duplicate": [False, False, True, False], "group": [1, 0, 1, 0]}
    return table.to_dict("list") == columns and classes == NAMES


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"label": [1, 1, 0, 1]}, "label of others"),
        ({"label": [0, 1, 0]}, "label of others"),
        ({"label": TRUE, "duplicate": [True] * 4}, "duplicate of others"),
        ({"label": TRUE, "group": [0, 1, 2, 3]}, "group of others"),
        ({"label": TRUE, "duplicate": [True] * 4, "group": [0] * 4}, "duplicate and group of others"),
        ({"label": ["x"] * 4}, "should be whole"),
        ({"label": TRUE}, None),
    ],
)
def test_wrong_labels_are_told_and_replaced(store, caplog, wrong, said):
    path = store.labels_of(KEY)
    path.parent.mkdir()
    pd.DataFrame(wrong).to_parquet(path)
    with caplog.at_level(logging.WARNING, "vcbench"):
        write(store)
    assert right(store) and len(caplog.messages) == (said is not None)
    assert all(f"{path}: " in line and said in line and "written anew" in line for line in caplog.messages)


@pytest.mark.parametrize("wrong", ['{"format": 1, "classes": ["b", "a"]}', '{"format": 1}', "{"])
def test_wrong_names_of_classes_are_told_and_replaced(store, caplog, wrong):
    path = store.class_names_of(KEY)
    path.parent.mkdir()
    path.write_text(wrong)
    with caplog.at_level(logging.WARNING, "vcbench"):
        write(store)
    assert right(store)
    (line,) = caplog.messages
    assert str(path) in line and "written anew" in line


def test_what_agrees_stays_with_what_else_is_known(store, caplog):
    write(store)
    before = {path: path.stat().st_mtime_ns for path in (store.root / "labels").iterdir()}
    write(store)
    store.write_labels(*KEY, TRUE, None, NAMES)
    store.write_labels(*KEY, TRUE, None)
    assert right(store) and not caplog.messages
    assert {path: path.stat().st_mtime_ns for path in (store.root / "labels").iterdir()} == before

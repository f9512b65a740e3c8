import shutil

import numpy as np
import pandas as pd
import pytest
from report.make_store import TEST_IMAGES, make_store, run_id

from bench.analysis.ensembles import Ensembles
from bench.analysis.predictions import Predictions
from bench.analysis.tables import build_tables, write_tables
from bench.errors import StoreError
from bench.store import RunStore

LABELS = np.arange(TEST_IMAGES) % 10


def with_probabilities(root, **changes):
    """A store with three replicates of each model at 5 images per class, and their probabilities."""
    store = RunStore(make_store(root, shots=(5,), **changes))
    rng = np.random.default_rng(0)
    for run in sorted(store.ids()):
        raw = rng.random((TEST_IMAGES, 10)) + 0.5 * np.eye(10)[LABELS]
        np.save(store.folder(run) / "probabilities.npy", (raw / raw.sum(1, keepdims=True)).astype(np.float16))
    return store


def read(store, run):
    return np.load(store.folder(run) / "probabilities.npy").astype(float)


def test_the_table_holds_every_average_of_two(tmp_path):
    store = with_probabilities(tmp_path)
    table = build_tables(store)["ensembles"].set_index(["run_a", "run_b"])["top1"]
    runs = {name: [run_id("tiny", name, 5, r) for r in range(3)] for name in ("vit", "deit", "resnet")}
    pairs = [(a, b) for name in ("deit", "vit") for a in runs[name] for b in runs["resnet"]]
    pairs += [(own[i], own[j]) for own in runs.values() for i, j in ((0, 1), (0, 2), (1, 2))]
    assert set(table.index) == {tuple(sorted(pair)) for pair in pairs}
    for (one, other), top1 in table.items():
        assert top1 == ((read(store, one) + read(store, other)).argmax(1) == LABELS).mean()


def test_the_table_outlives_the_probabilities(tmp_path):
    store = with_probabilities(tmp_path)
    write_tables(store)
    before = build_tables(store)["ensembles"]
    for path in store.root.glob("runs/*/probabilities.npy"):
        path.unlink()
    write_tables(store)
    pd.testing.assert_frame_equal(build_tables(store)["ensembles"], before)
    assert len(before) == 27
    path = store.root / "tables" / "ensembles.csv"
    assert path.read_text().startswith("run_a,run_b,top1\n")


def test_a_trial_that_is_gone_takes_its_averages_along(tmp_path):
    store = with_probabilities(tmp_path)
    write_tables(store)
    gone = run_id("tiny", "deit", 5, 0)
    shutil.rmtree(store.folder(gone))
    left = build_tables(store)["ensembles"]
    assert len(left) and not (left[["run_a", "run_b"]] == gone).any(axis=None)


def test_without_probabilities_there_is_no_such_table(tmp_path):
    assert "ensembles" not in build_tables(RunStore(make_store(tmp_path, shots=(5,))))


def test_a_diverged_run_is_in_no_pair(tmp_path):
    store = with_probabilities(tmp_path, diverged=(("resnet", 5, 1),))
    lost = run_id("tiny", "resnet", 5, 1)
    table = build_tables(store)["ensembles"]
    assert len(table) and not (table[["run_a", "run_b"]] == lost).any(axis=None)


def test_a_file_that_does_not_fit_is_named(tmp_path):
    store = with_probabilities(tmp_path)
    run = run_id("tiny", "deit", 5, 0)
    np.save(store.folder(run) / "probabilities.npy", np.ones((3, 10), np.float16))
    first, second = (store.record(run_id("tiny", name, 5, 0)) for name in ("deit", "resnet"))
    with pytest.raises(StoreError, match=f"{run}.*for 120 test images"):
        Ensembles(store, Predictions(store)).top1(first, second)
    (store.folder(run) / "probabilities.npy").write_bytes(b"broken")
    with pytest.raises(StoreError, match="cannot be read"):
        Ensembles(store, Predictions(store)).top1(first, second)

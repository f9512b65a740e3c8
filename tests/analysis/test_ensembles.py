import json
import shutil

import numpy as np
import pandas as pd
import pytest
from report.make_store import TEST_IMAGES, make_store, run_id

from bench.analysis.ensembles import Ensembles, keep_ensembles
from bench.analysis.predictions import Predictions
from bench.store.run_store import RunStore
from bench.tables.tables import build_tables, write_tables

LABELS = np.arange(TEST_IMAGES) % 10


def with_probabilities(root, **changes):
    """A store with three replicates of each model at 5 images per class, and their probabilities."""
    store = RunStore(make_store(root, shots=(5,), **changes))
    rng = np.random.default_rng(0)
    for run in sorted(store.names("runs")):
        raw = rng.random((TEST_IMAGES, 10)) + 0.5 * np.eye(10)[LABELS]
        np.save(
            store.files(run).probabilities,
            (raw / raw.sum(1, keepdims=True)).astype(np.float16),
        )
    return store


def read(store, run):
    return np.load(store.files(run).probabilities).astype(float)


def kept(store):
    return pd.read_parquet(store.averages_file)[["run_a", "run_b", "top1"]]


def give_weights(store, checksum, *runs):
    for run in runs:
        path = store.record_of("runs", run)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_sha256": checksum}))


def test_of_a_trial_that_was_trained_anew_averages_are_computed_anew(tmp_path):
    store = with_probabilities(tmp_path)
    give_weights(store, 64 * "a", *store.names("runs"))
    write_tables(store)
    # An earlier version kept no checksums; such rows are believed, and get those that are there now.
    kept(store).to_parquet(store.averages_file)
    before = build_tables(store)["ensembles"]
    anew = run_id("tiny", "deit", 5, 0)
    for path in store.root.glob("runs/*/probabilities.npy"):
        path.rename(path.with_suffix(".aside"))
    write_tables(store)
    pd.testing.assert_frame_equal(kept(store), before)
    give_weights(store, 64 * "b", anew)
    left = build_tables(store)["ensembles"]
    touched = (before[["run_a", "run_b"]] == anew).any(axis=1)
    pd.testing.assert_frame_equal(left, before[~touched].reset_index(drop=True))
    for path in store.root.glob("runs/*/probabilities.aside"):
        path.rename(path.with_suffix(".npy"))
    np.save(store.files(anew).probabilities, np.eye(10, dtype=np.float16)[LABELS])
    write_tables(store)
    assert (kept(store)["top1"][touched] > before["top1"][touched]).all()
    assert set(pd.read_parquet(store.averages_file)[["weights_a", "weights_b"]].stack()) == {
        64 * "a",
        64 * "b",
    }


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
    shutil.rmtree(store.folder_of("runs", gone))
    left = build_tables(store)["ensembles"]
    assert len(left) and not (left[["run_a", "run_b"]] == gone).any(axis=None)


def test_without_probabilities_there_is_no_such_table(tmp_path):
    assert "ensembles" not in build_tables(RunStore(make_store(tmp_path, shots=(5,))))


def test_a_diverged_run_is_in_no_pair(tmp_path):
    store = with_probabilities(tmp_path, diverged=(("resnet", 5, 1),))
    lost = run_id("tiny", "resnet", 5, 1)
    table = build_tables(store)["ensembles"]
    assert len(table) and not (table[["run_a", "run_b"]] == lost).any(axis=None)


def test_the_table_is_made_anew_without_the_probabilities(tmp_path):
    store = with_probabilities(tmp_path)
    write_tables(store)
    before = build_tables(store)["ensembles"]
    for path in store.root.glob("runs/*/probabilities.npy"):
        path.unlink()
    shutil.rmtree(store.root / "tables")
    write_tables(store)
    pd.testing.assert_frame_equal(pd.read_parquet(store.root / "tables" / "ensembles.parquet"), before)


def test_averages_of_a_store_that_kept_them_in_the_table_alone_are_taken_over(tmp_path):
    store = with_probabilities(tmp_path)
    write_tables(store)
    before = build_tables(store)["ensembles"]
    for path in (store.root / "ensembles.parquet", *store.root.glob("runs/*/probabilities.npy")):
        path.unlink()
    pd.testing.assert_frame_equal(build_tables(store)["ensembles"], before)
    assert not (store.root / "ensembles.parquet").exists()  # reading writes nothing
    write_tables(store)
    shutil.rmtree(store.root / "tables")
    pd.testing.assert_frame_equal(build_tables(store)["ensembles"], before)


def test_what_another_process_keeps_stays(tmp_path):
    store = with_probabilities(tmp_path)
    table = build_tables(store)["ensembles"]
    keep_ensembles(store, table[:10])
    keep_ensembles(store, table[5:20])
    path = store.root / "ensembles.parquet"
    pd.testing.assert_frame_equal(kept(store), table[:20])
    with store.claim("ensembles"):
        keep_ensembles(store, table)
    assert len(pd.read_parquet(path)) == 20
    written = path.stat().st_mtime_ns
    keep_ensembles(store, table[:20])
    assert path.stat().st_mtime_ns == written


def test_a_trial_that_is_gone_is_kept_no_longer(tmp_path):
    store = with_probabilities(tmp_path)
    write_tables(store)
    gone = run_id("tiny", "deit", 5, 0)
    shutil.rmtree(store.folder_of("runs", gone))
    write_tables(store)
    left = pd.read_parquet(store.root / "ensembles.parquet")
    assert len(left) and not (left[["run_a", "run_b"]] == gone).any(axis=None)


@pytest.mark.parametrize("how", ["empty", "cut", "other columns", "no accuracy", "text"])
def test_a_damaged_file_is_named_left_alone_and_stops_nothing(tmp_path, caplog, how):
    store = with_probabilities(tmp_path)
    write_tables(store)
    before = build_tables(store)["ensembles"]
    path = store.root / "ensembles.parquet"
    if how in ("empty", "cut"):
        path.write_bytes(path.read_bytes()[: 0 if how == "empty" else -20])
    elif how == "text":
        before.assign(top1="much").to_parquet(path)
    else:
        (before[["run_a"]] if how == "other columns" else before.assign(top1=7.0)).to_parquet(path)
    damaged = path.read_bytes()
    write_tables(store)
    assert str(path) in caplog.text and "delete it" in caplog.text
    assert path.read_bytes() == damaged
    pd.testing.assert_frame_equal(pd.read_parquet(store.root / "tables" / "ensembles.parquet"), before)
    path.unlink()
    write_tables(store)
    pd.testing.assert_frame_equal(kept(store), before)


def test_probabilities_that_do_not_fit_are_named_and_left_out(tmp_path, caplog):
    store = with_probabilities(tmp_path)
    run = run_id("tiny", "deit", 5, 0)
    first, second, third = (store.result(run_id("tiny", name, 5, 0)) for name in ("deit", "resnet", "vit"))
    path = store.files(run).probabilities
    full = path.read_bytes()
    np.save(path, np.ones((3, 10), np.float16))
    fitting = path.read_bytes()
    for content, problem in (
        (fitting, "for 120 test images"),
        (b"broken", "cannot be read"),
        (b"", "cannot"),
    ):
        path.write_bytes(content)
        caplog.clear()
        ensembles = Ensembles(store, Predictions(store))
        assert ensembles.top1(first, second) is None and ensembles.top1(first, third) is None
        assert caplog.text.count(str(path)) == 1 and problem in caplog.text
        table = build_tables(store)["ensembles"]
        assert len(table) and not (table[["run_a", "run_b"]] == run).any(axis=None)
    path.write_bytes(full)
    assert Ensembles(store, Predictions(store)).top1(first, second) is not None

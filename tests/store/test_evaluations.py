"""Evaluations are records of their own; format 1, which kept them with their trials, is read alike."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_store import digest, run_id, write_store

from bench.store import checked, run_store
from bench.store.run_store import RunStore
from bench.tables.tables import build_tables

RUN = run_id("vit", 5, 0)
OF_TEST = {"top1", "top5", "mean_per_class", "nll", "ece", "top1_deduplicated"}


@pytest.fixture
def old(tmp_path):
    """A store of format 1 with a trial that diverged."""
    drawn = np.random.default_rng(0)
    right = {(model, 5): drawn.random((3, 40)) < 0.6 for model in ("vit", "resnet")}
    write_store(tmp_path / "old", right, diverged=(run_id("resnet", 5, 1),))
    return RunStore(tmp_path / "old")


def evaluation_id(run):
    return digest({"evaluation_format": 1, "trial": run, "condition": "clean"})


@pytest.fixture
def new(old, tmp_path):
    """The same as format 2 keeps it, rewritten file by file."""
    root = tmp_path / "new"
    shutil.copytree(old.root, root)
    for path in root.glob("runs/*/record.json"):
        trial = json.loads(path.read_text()) | {"format": 2}
        metrics, looks = trial.pop("metrics"), trial.pop("test_evaluations")
        path.write_text(
            json.dumps(trial | {"metrics": {k: v for k, v in metrics.items() if k not in OF_TEST}})
        )
        if trial["outcome"] == "diverged":
            continue
        folder = root / "evaluations" / evaluation_id(trial["id"])
        folder.mkdir(parents=True)
        data = {
            key: value for key, value in trial["data"].items() if key not in ("train_images", "val_images")
        }
        evaluation = {
            "format": 2, "kind": "evaluation", "id": folder.name, "trial": trial["id"], "condition": "clean",
            "outcome": "finished", "data": data, "test_evaluations": looks, "wall_s": 0.0,
            "metrics": {key: metrics[key] for key in OF_TEST}, "versions": {},
        }  # fmt: skip
        (folder / "record.json").write_text(json.dumps(evaluation))
        (path.parent / "predictions.parquet").rename(folder / "predictions.parquet")
    return RunStore(root)


def test_both_formats_give_the_same_tables(old, new, caplog):
    before, after = build_tables(old), build_tables(new)
    assert before.keys() == after.keys() and len(before["accuracy"]) == 6 and len(before["contrasts"]) == 1
    for name in before:
        pd.testing.assert_frame_equal(before[name], after[name])
    for one, other in zip(old.results(), new.results(), strict=True):
        assert (one.metrics, one.outcome, one.wall_s) == (other.metrics, other.outcome, other.wall_s)
        if one.outcome == "finished":
            pd.testing.assert_frame_equal(old.predictions(one), new.predictions(other))
    assert caplog.messages == []


def left_out(store, caplog, *words):
    """The trial is not done, and one warning says why."""
    assert store.result(RUN) is None and not store.is_done(RUN) and store.state(RUN) == "begun"
    assert RUN not in set(build_tables(store)["accuracy"]["run"])
    assert len(caplog.messages) == 1 and all(word in caplog.messages[0] for word in words), caplog.messages


@pytest.mark.parametrize(
    "change",
    [
        {"trial": run_id("vit", 5, 1)},
        {"condition": "fog"},
        {"metrics": {"top1": 0.5, "top5": 2.0, "mean_per_class": 0.5, "nll": 0.1}},
        {"metrics": {}},
        {"format": 99},
    ],
)
def test_a_damaged_evaluation_is_named_and_left_out(new, caplog, change):
    path = new.record_of("evaluations", evaluation_id(RUN))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    left_out(new, caplog, evaluation_id(RUN), "left out")


def test_predictions_of_another_evaluation_are_noticed(new, caplog):
    other = new.predictions_of("evaluations", evaluation_id(run_id("vit", 5, 1)))
    shutil.copy(other, new.predictions_of("evaluations", evaluation_id(RUN)))
    left_out(new, caplog, evaluation_id(RUN), "not the predictions")


def test_an_evaluation_carries_the_hash_of_its_predictions(new, caplog):
    record = new.evaluation(evaluation_id(RUN))
    written = new.finish(SimpleNamespace(kind="evaluate", id=record.id, purpose="report"), record.content())
    assert len(written.predictions_sha256) == 64 and new.result(RUN).evaluation == written
    path = new.predictions_of("evaluations", record.id)
    # The same accuracy and ranks, and one confidence another.
    pd.read_parquet(path).assign(confidence=np.float16(0.25)).to_parquet(path)
    left_out(new, caplog, "predictions.parquet")


def test_predictions_that_were_removed_are_not_missed(new, caplog):
    new.predictions_of("evaluations", evaluation_id(RUN)).unlink()
    assert new.is_done(RUN) and not caplog.messages


def test_a_trial_that_is_trained_and_not_evaluated_is_not_done(new):
    shutil.rmtree(new.folder_of("evaluations", evaluation_id(RUN)))
    assert new.trial(RUN) is not None and new.result(RUN) is None and new.state(RUN) == "begun"
    assert RUN not in {result.id for result in new.results()}
    diverged = run_id("resnet", 5, 1)
    assert new.is_done(diverged) and new.result(diverged).top1 == 0.1


def with_weights(path, checksum):
    """The record with this checksum of weights."""
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_sha256": checksum}))


@pytest.mark.parametrize(
    ("trained", "evaluated", "counts"),
    [
        ("a", "a", True),
        ("b", "a", False),
        # Records of earlier versions have no checksum: nobody knows, and they stay.
        ("a", None, True),
        (None, "a", True),
    ],
)
def test_an_evaluation_of_weights_that_were_trained_anew_since_is_not_there(
    new, caplog, monkeypatch, trained, evaluated, counts
):
    with_weights(new.record_of("runs", RUN), trained)
    with_weights(new.record_of("evaluations", evaluation_id(RUN)), evaluated)
    monkeypatch.setattr(checked, "MANY", 1)
    for reads in (True, False):  # what was read before is known without reading it
        store = RunStore(new.root)
        if not reads:
            with monkeypatch.context() as patch:
                patch.setattr(run_store, "read_record", lambda *_: pytest.fail("read again"))
                assert store.is_evaluated(RUN, "clean") == counts
        assert store.is_done(RUN) == counts and (store.result(RUN) is not None) == counts
        assert store.state(RUN) == ("done" if counts else "begun")
        assert (RUN in set(build_tables(store)["accuracy"]["run"])) == counts
        store.keep_checked()
    assert not caplog.messages


def test_what_an_earlier_version_checked_is_read_again(new, monkeypatch):
    monkeypatch.setattr(checked, "MANY", 1)
    assert new.is_done(RUN)
    new._checked._known = {key: known[:3] for key, known in new._checked._known.items()}
    new.keep_checked()
    assert RunStore(new.root).is_done(RUN)

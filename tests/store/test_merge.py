"""Stores of machines that share nothing, made one."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from small_store import merged, run_id, write_store

from bench.errors import StoreError
from bench.store.merge import merge
from bench.store.run_store import RunStore
from bench.store.withdrawn import WITHDRAWN, read_withdrawn

SUITE = """
title = "own"
description = "for tests"
[models]
vit = { model = "vit_digits" }
resnet = { model = "resnet_digits" }
[[comparison]]
name = "small"
dataset = "digits"
contestants = ["vit", "resnet"]
recipe = "scratch"
shots = [3]
replicates = 2
input_size = 16
contrasts = [["vit", "resnet"]]
set = { "budget.epochs" = 1, "budget.min_steps" = 4, "budget.batch_size" = 8, "augment.flip" = false }
"""
RUN = ("run", "own.toml", "--device", "cpu", "--jobs", "1")

MODELS = ("vit", "resnet")


@pytest.fixture
def twins(tmp_path):
    """Ours and theirs, which hold the same: two replicates of two models, of format 1."""
    right = {(model, 5): np.arange(40).reshape(2, 20) % (3 + row) > 0 for row, model in enumerate(MODELS)}
    return [RunStore(write_store(tmp_path / name, right)) for name in ("ours", "theirs")]


def change(store, run, **values):
    """Put other values into the record of a run."""
    path = store.record_of("runs", run)
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.fixture
def stores(vcbench, tmp_path):
    """One that has done everything, and two that have done a model each."""
    (tmp_path / "own.toml").write_text(SUITE)
    assert vcbench(*RUN, "--results", "all")[0] == 0
    for model in ("vit", "resnet"):
        assert vcbench(*RUN, "--results", model, "--only", model)[0] == 0


def numbers(folder):
    """What the tables say of accuracy and contrasts, and each file of predictions."""
    store = RunStore(folder)
    accuracy = pd.read_csv(folder / "tables" / "accuracy.csv")[["run", "contestant", "replicate", "top1"]]
    contrasts = pd.read_csv(folder / "tables" / "contrasts.csv")
    predictions = {
        one: store.predictions_of("evaluations", one).read_bytes() for one in store.names("evaluations")
    }
    return accuracy.to_dict("records"), contrasts.to_dict("records"), predictions


def files(folder):
    return {
        path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "tables" not in path.parts
    }


def test_two_halves_are_the_whole(stores, vcbench, tmp_path):
    status, out, err = vcbench("merge", "vit", "resnet", "--results", "both")
    assert status == 0 and "0 conflicts" in out, out + err
    assert str(numbers(tmp_path / "both")) == str(numbers(tmp_path / "all"))
    # Nothing is left to do, and a second time nothing is added.
    assert "4 finished" not in vcbench(*RUN, "--results", "both")[1]
    before = files(tmp_path / "both" / "runs")
    status, out, _ = vcbench("merge", "vit", "resnet", "--results", "both")
    assert status == 0 and "both: 0 added" in out and files(tmp_path / "both" / "runs") == before


def test_what_both_have_done_is_named_and_stays(stores, vcbench, tmp_path):
    (run,) = [
        one for one in RunStore(tmp_path / "vit").names("runs") if _replicate(tmp_path / "vit", one) == 0
    ]
    record = tmp_path / "vit" / "runs" / run / "record.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"weights_sha256": 64 * "0"}))
    before = files(tmp_path / "all")
    status, out, _ = vcbench("merge", "vit", "--results", "all")
    assert (
        status == 1
        and f"vit: runs/{run}: done in both stores, and it came to something else there; what is here stays"
        in out
    )
    assert files(tmp_path / "all") == before


def test_what_was_done_twice_to_the_same_is_the_same(stores, vcbench, tmp_path):
    """Each model was trained by "all" as well: at another time and pace; and as if on another machine."""
    vit = RunStore(tmp_path / "vit")
    runs = vit.names("runs")
    for path in (vit.record_of("runs", runs[0]), vit.record_of("evaluations", vit.names("evaluations")[0])):
        record = json.loads(path.read_text())
        elsewhere = {"machine": "another", "machine_facts": {"cpu": "another"}, "gpu": {"name": "another"}}
        details = record["details"] | {"train_s": 1e3, "probe_s": 1e3, "features": {"test": {"seconds": 1e3}}}
        path.write_text(json.dumps(record | elsewhere | {"details": details, "test_evaluations": 2}))
    vit.write_reach(pd.DataFrame({"run": runs, "layer": 1, "depth": 1.0, "gradient": 0.5, "attention": 0.5}))
    before = files(tmp_path / "all" / "runs")
    status, out, err = vcbench("merge", "vit", "--results", "all")
    assert status == 0 and "0 conflicts" in out, out + err
    assert files(tmp_path / "all" / "runs") == before
    assert RunStore(tmp_path / "all").reach()["run"].tolist() == runs


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("runs", {"outcome": "diverged"}),
        ("runs", {"steps": 7}),
        ("runs", {"images_seen": 7}),
        ("runs", {"metrics": {"val_top1": 0.125}}),
        ("runs", {"data": {"fingerprint": "e" * 64}}),
        ("runs", {"data": {"val_images": 7}}),
        ("runs", {"weights_sha256": "0" * 64}),
        ("runs", {"evaluation": {"metrics": {"ece": 0.125}}}),
        ("profiles", {"flops": 7}),
    ],
)
def test_another_result_is_a_conflict(twins, kind, change):
    ours, theirs = twins
    for store in twins:  # of format 2, with its evaluation
        record = store.record(kind, store.names(kind)[0])
        store.record_of(kind, record.id).write_text(json.dumps(record.content()))
    assert not [one for one in merge(theirs, ours) if one.what != "same" and one.kind != "suites"]
    theirs.record_of(kind, record.id).write_text(json.dumps(merged(record.content(), change)))
    assert [one.name for one in merge(theirs, ours) if one.what == "conflict"] == [record.id]


def test_the_same_on_a_copy_of_the_data_is_the_same(twins):
    """In a folder of another name, which was not verified there."""
    ours, theirs = twins
    for run in theirs.names("runs"):
        record = json.loads(theirs.record_of("runs", run).read_text())
        change(theirs, run, data=record["data"] | {"dataset": "pictures", "copy": "copy not verified"})
    assert {one.what for one in merge(theirs, ours) if one.kind == "runs"} == {"same"}


def test_what_is_timed_is_the_same_at_any_pace(twins):
    timed = {"format": 2, "kind": "profile", "id": "f" * 16, "what": "speed", "versions": {}, "machine": "m"}
    for store, rate in zip(twins, (100.0, 120.0), strict=True):
        path = store.record_of("profiles", timed["id"])
        path.parent.mkdir()
        path.write_text(json.dumps(timed | {"outcome": "measured", "images_per_s": rate}))
    ours, theirs = twins
    before = files(ours.root / "profiles")
    told = {one.name: one.what for one in merge(theirs, ours)}
    assert told[timed["id"]] == "same" and files(ours.root / "profiles") == before
    theirs.record_of("profiles", timed["id"]).write_text(json.dumps(timed | {"outcome": "out_of_memory"}))
    assert [one.name for one in merge(theirs, ours) if one.what == "conflict"] == [timed["id"]]


def test_a_job_that_is_finished_meanwhile_stays_as_it_is(twins, monkeypatch):
    """By another process, after it was found missing here and before it is claimed."""
    ours, theirs = twins
    run = run_id("vit", 5, 0)
    change(theirs, run, steps=7)
    path = ours.record_of("runs", run)
    own = path.read_bytes()
    path.unlink()
    claim = ours.claim

    def late(name):
        if name == run:
            path.write_bytes(own)
        return claim(name)

    monkeypatch.setattr(ours, "claim", late)
    told = {one.name: one for one in merge(theirs, ours)}
    assert told[run].what == "conflict" and "something else" in told[run].reason
    assert path.read_bytes() == own


def test_an_evaluation_of_other_weights_is_not_taken_over(stores, vcbench, tmp_path):
    """Its trial is here, trained on another machine, and is not evaluated yet."""
    trials = [run for run in RunStore(tmp_path / "vit").names("runs")]
    shutil.copytree(tmp_path / "vit", tmp_path / "half")
    shutil.rmtree(tmp_path / "half" / "evaluations")
    for run in trials:
        record = tmp_path / "half" / "runs" / run / "record.json"
        record.write_text(json.dumps(json.loads(record.read_text()) | {"weights_sha256": 64 * "0"}))
    status, out, _ = vcbench("merge", "vit", "--results", "half")
    assert status == 1 and out.count("was trained here to other weights; what is here stays") == len(trials)
    assert not RunStore(tmp_path / "half").names("evaluations")


def test_an_evaluation_of_weights_that_were_trained_anew_since_is_not_taken_over(stores, vcbench, tmp_path):
    (first, _) = RunStore(tmp_path / "vit").names("evaluations")
    record = tmp_path / "vit" / "evaluations" / first / "record.json"
    run = json.loads(record.read_text())["trial"]
    record.write_text(json.dumps(json.loads(record.read_text()) | {"weights_sha256": 64 * "0"}))
    status, out, _ = vcbench("merge", "vit", "--results", "new")
    assert (
        status == 1 and f"vit: evaluations/{first}: run {run} was trained anew since, to other weights" in out
    )
    new = RunStore(tmp_path / "new")
    assert first not in new.names("evaluations") and new.trial(run) is not None and new.result(run) is None


def test_what_is_not_finished_or_damaged_stays_where_it_is(stores, vcbench, tmp_path):
    first, second = RunStore(tmp_path / "vit").names("runs")
    folder = tmp_path / "vit" / "runs"
    (folder / first / "checkpoint.pt").write_bytes(b"x")
    (folder / second / "record.json").write_text("{")
    status, out, err = vcbench("merge", "vit", "--results", "new", "--dry-run")
    assert not (tmp_path / "new").exists() and "would be added" in out
    status, out, err = vcbench("merge", "vit", "--results", "new")
    new = tmp_path / "new" / "runs"
    assert (new / first / "record.json").exists() and not (new / first / "checkpoint.pt").exists()
    assert not (new / second).exists() and f"vit/runs/{second}" in err
    assert status == 1 and f"its trial, run {second}, is in neither store" in out


def test_a_record_that_this_version_cannot_read_is_not_written_over(stores, tmp_path):
    store = RunStore(tmp_path / "all")
    path = store.record_of("runs", RunStore(tmp_path / "vit").names("runs")[0])
    newer = json.dumps(json.loads(path.read_text()) | {"format": 99})
    path.write_text(newer)
    told = [
        one for one in merge(RunStore(tmp_path / "vit"), RunStore(tmp_path / "all")) if one.what == "conflict"
    ]
    assert path.read_text() == newer and any("cannot be read" in one.reason for one in told)


def test_a_listing_that_this_version_cannot_read_is_not_written_over(twins):
    ours, theirs = twins
    path = ours.listing_of("small")
    for content in ({"format": 99}, {"suite": 7}):
        path.write_text(newer := json.dumps(json.loads(path.read_text()) | content))
        (told,) = [one for one in merge(theirs, RunStore(ours.root)) if one.kind == "suites"]
        assert told.what == "conflict" and "cannot be read; it stays" in told.reason
        assert path.read_text() == newer


def test_another_suite_of_the_same_name_is_a_conflict(stores, vcbench, tmp_path):
    (tmp_path / "own.toml").write_text(SUITE.replace("shots = [3]", "shots = [4]"))
    assert vcbench(*RUN, "--results", "other", "--only", "vit")[0] == 0
    before = (tmp_path / "all" / "suites" / "own.json").read_bytes()
    status, out, _ = vcbench("merge", "other", "--results", "all")
    assert status == 1 and "other: suites/own: another suite of this name is here" in out
    assert (tmp_path / "all" / "suites" / "own.json").read_bytes() == before


def test_bad_input_is_one_line(stores, vcbench):
    for arguments, error in (
        (("merge", "nowhere", "--results", "all"), "nowhere"),
        (("merge", "all", "--results", "all"), "all: is the results folder itself"),
    ):
        status, _, err = vcbench(*arguments)
        assert status == 2 and error in err and err.count("\n") == 1


def test_fetch_says_what_is_there_and_what_is_missing(stores, vcbench, tmp_path):
    status, out, _ = vcbench("fetch", "own.toml")
    assert status == 0 and "vit_digits" in out and "random" in out
    (tmp_path / "own.toml").write_text(
        SUITE.replace('"vit_digits" }', '"vit_digits", weights = "file:a.bin" }')
    )
    status, _, err = vcbench("fetch", "own.toml")
    assert status == 2 and "there is no file" in err and err.count("\n") == 1


def _replicate(folder, run):
    return json.loads((folder / "runs" / run / "record.json").read_text())["identity"]["seed"]


def test_what_was_computed_from_weights_is_taken_over(tmp_path):
    ours, theirs = (RunStore(tmp_path / name) for name in ("ours", "theirs"))
    layers = pd.DataFrame(
        {"run": ["b", "a"], "layer": [1, 1], "depth": 1.0, "gradient": 0.5, "attention": 0.5}
    )
    for store, own in ((ours, layers[:1].assign(gradient=0.7)), (theirs, layers)):
        store.prepare()
        store.write_reach(own)
    list(merge(theirs, ours, dry_run=True))
    assert len(ours.reach()) == 1
    list(merge(theirs, ours))
    # What is here stays as it is.
    assert ours.reach()[["run", "gradient"]].values.tolist() == [["a", 0.5], ["b", 0.7]]


def test_what_was_computed_from_other_weights_is_left_there(twins):
    ours, theirs = twins
    vit, other = (run_id("vit", 5, replicate) for replicate in (0, 1))
    third = run_id("resnet", 5, 0)
    change(theirs, vit, steps=7)
    pairs = [sorted(pair) for pair in ((vit, other), (vit, third), (other, third))]
    theirs.write_averages(pd.DataFrame(pairs, columns=["run_a", "run_b"]).assign(top1=0.5))
    layers = {"layer": 1, "depth": 1.0, "gradient": 0.5, "attention": 0.5}
    theirs.write_reach(pd.DataFrame({"run": [vit, other]}).assign(**layers))
    assert [one.name for one in merge(theirs, ours) if one.what == "conflict"] == [vit]
    assert ours.averages()[["run_a", "run_b"]].values.tolist() == [pairs[2]]
    assert ours.reach()["run"].tolist() == [other]


def withdraw(store, *runs, finished="2026-01-01T10:00:00"):
    """Take trials out as a person does: a line each in the list, and the folders removed where they are."""
    path = store.withdrawn
    new = [
        dict.fromkeys(WITHDRAWN, "")
        | {"run": run, "finished": finished, "test_evaluations": "1", "reason": "a bug, as we saw"}
        for run in runs
    ]
    before = pd.read_csv(path, dtype=str) if path.exists() else pd.DataFrame()
    pd.concat([before, pd.DataFrame(new)]).to_csv(path, index=False)
    for run in runs:
        shutil.rmtree(store.folder_of("runs", run), ignore_errors=True)


def test_a_trial_that_was_withdrawn_here_stays_out(twins, vcbench, tmp_path):
    ours, theirs = twins
    run, other = (run_id("vit", 5, replicate) for replicate in (0, 1))
    theirs.write_averages(pd.DataFrame([sorted([run, other])], columns=["run_a", "run_b"]).assign(top1=0.5))
    withdraw(ours, run)
    listed = ours.withdrawn.read_bytes()
    status, out, err = vcbench("merge", "theirs", "--results", "ours")
    assert status == 0 and "theirs: trials that were withdrawn from ours and stay out: 1\n" in out, out + err
    ours = RunStore(ours.root)
    assert run not in ours.names("runs") and ours.averages() is None and ours.withdrawn.read_bytes() == listed


def test_a_trial_that_was_withdrawn_there_and_is_here_is_a_conflict(twins):
    ours, theirs = twins
    run, gone = run_id("vit", 5, 0), "e" * 16
    withdraw(theirs, run, gone)
    told = list(merge(theirs, ours))
    assert [(one.name, one.reason) for one in told if one.what == "conflict"] == [
        (run, "was withdrawn there (a bug, as we saw)")
    ]
    # It counts as before until it is taken out here too; what is not here is listed.
    assert ours.trial(run) is not None and read_withdrawn(ours.withdrawn)["run"].tolist() == [gone]
    shutil.rmtree(ours.folder_of("runs", run))
    assert not [one for one in merge(theirs, ours) if one.what == "conflict"]
    assert set(read_withdrawn(ours.withdrawn)["run"]) == {run, gone}
    before = ours.withdrawn.read_bytes()
    list(merge(theirs, ours))
    assert ours.withdrawn.read_bytes() == before


def test_a_list_of_withdrawn_trials_that_excel_has_saved_is_read_and_added_to(twins):
    """It writes a mark before the first column."""
    ours, theirs = twins
    withdraw(ours, run_id("vit", 5, 0))
    withdraw(theirs, "e" * 16)
    ours.withdrawn.write_text(ours.withdrawn.read_text(), encoding="utf-8-sig")
    list(merge(theirs, ours))
    assert read_withdrawn(ours.withdrawn)["run"].tolist() == [run_id("vit", 5, 0), "e" * 16]


def test_a_trial_that_was_made_anew_after_it_was_withdrawn_is_like_any_other(twins):
    ours, theirs = twins
    run = run_id("vit", 5, 0)
    kept = shutil.copytree(theirs.folder_of("runs", run), theirs.root / "kept")
    withdraw(ours, run)
    withdraw(theirs, run)
    shutil.move(kept, theirs.folder_of("runs", run))
    told = {one.name: one.what for one in merge(theirs, ours)}
    assert told[run] == "added" and ours.trial(run) is not None
    # Taken out there again, it is what was withdrawn; here it is not.
    withdraw(theirs, run, finished="2026-02-02T10:00:00")
    assert [one.name for one in merge(theirs, ours) if one.what == "conflict"] == [run]
    assert len(read_withdrawn(ours.withdrawn)) == 1


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"run": "../../x"}, "column run: '../../x' should be the id of a trial"),
        ({"top1": "12 %"}, "column top1: '12 %' should be a number"),
        ({"top1": "inf"}, "column top1: 'inf' should be a number"),
        ({"shots": str(2**63)}, f"column shots: '{2**63}' should be a number"),
        (None, "should have the columns top1, reason"),
    ],
)
def test_a_list_of_withdrawn_trials_that_is_none_is_not_taken_over(twins, changed, error):
    ours, theirs = twins
    columns = [name for name in WITHDRAWN if changed is not None or name not in ("top1", "reason")]
    row = dict.fromkeys(columns, "") | {"run": "e" * 16} | (changed or {})
    pd.DataFrame([row]).to_csv(theirs.withdrawn, index=False)
    before = files(ours.root)
    with pytest.raises(StoreError, match=re.escape(f"{theirs.withdrawn}: {error}")):
        list(merge(theirs, ours))
    assert files(ours.root) == before


def test_formulas_among_withdrawn_trials_are_text(twins):
    ours, theirs = twins
    row = dict.fromkeys(WITHDRAWN, "") | {
        "run": "e" * 16,
        "reason": "=1+1",
        "finished": "@SUM(1)",
        "top1": "-0",
    }
    pd.DataFrame([row]).to_csv(theirs.withdrawn, index=False)
    list(merge(theirs, ours))
    before = pd.read_csv(ours.withdrawn, dtype=str)
    assert before.loc[0, ["reason", "finished", "top1"]].tolist() == ["'=1+1", "'@SUM(1)", "-0.0"]
    list(merge(theirs, ours))
    assert len(read_withdrawn(ours.withdrawn)) == 1, "a second time nothing is added"


LABELS = f"digits-frozen-{'d' * 12}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"label": np.arange(19) % 10}, "no labels of 20 test images in 10 classes"),
        ({"label": np.full(20, 10)}, "no labels of 20 test images in 10 classes"),
        ({"label": np.full(20, -1)}, "no labels of 20 test images in 10 classes"),
        ({"label": np.arange(20) % 10, "group": [0.5] * 20}, 'column "group" should be whole in every row'),
        ({"label": np.arange(20) % 10, "duplicate": ["x"] * 20}, 'column "duplicate" should be yes or no'),
        ({"labels": np.arange(20)}, 'has no column "label"'),
        ({"classes": ["a", "b"]}, "2 names of 10 classes"),
        ({"classes": "ab"}, "damaged: "),
    ],
)
def test_labels_that_are_none_of_the_images_are_not_taken_over(twins, content, reason):
    ours, theirs = twins
    shutil.rmtree(ours.root / "labels")
    for path in theirs.root.glob("runs/*/predictions.parquet"):
        path.unlink()  # which tell already that the labels are others
    folder, name = theirs.root / "labels", f"{LABELS}.parquet"
    if "classes" in content:
        name = f"{LABELS}.classes.json"
        (folder / name).write_text(json.dumps({"format": 1} | content))
    else:
        pd.DataFrame(content).to_parquet(folder / name)
    (told,) = [one for one in merge(theirs, ours) if one.kind == "labels" and one.name == name]
    assert told.what == "conflict" and reason in told.reason
    assert not (ours.root / "labels" / name).exists()


FROZEN = {"format": 1, "fingerprint": "d" * 64, "splits": {"val": [3], "test": [1, 2]}, "sha256": "0"}


@pytest.mark.parametrize(
    ("kind", "name", "content", "told"),
    [
        ("splits", "a-dddddddddddd.json", FROZEN, ("same", "added")),
        ("splits", "a-dddddddddddd.json", FROZEN | {"splits": {}}, ("conflict", "conflict")),
        ("splits", "photos-dddddddddddd.json", FROZEN | {"splits": {}}, ("conflict", "conflict")),
        ("splits", "photos-dddddddddddd.json", "cut short", ("conflict", "conflict")),
        ("splits", "b-dddddddddddd-kfold-2-repeat-0.json", {"fold_of": [1]}, ("conflict", "added")),
        ("splits", "b-eeeeeeeeeeee.json", FROZEN, ("added", "added")),
        ("labels", f"{LABELS}.parquet", {"label": np.arange(20)[::-1] % 10}, ("conflict", "conflict")),
        ("labels", f"{LABELS}.parquet", {"label": np.arange(20) % 10, "group": 1}, ("conflict", "added")),
    ],
)
def test_what_is_of_another_division_is_not_taken_over(twins, kind, name, content, told):
    """The folder of images may have had another name there."""
    for store in twins:
        for path in store.root.glob("runs/*/predictions.parquet"):
            path.unlink()  # which tell already that the labels are others
        store.splits.mkdir()
    ours, theirs = twins
    run, here = (run_id("vit", 5, replicate) for replicate in (0, 1))
    shutil.rmtree(ours.folder_of("runs", run))
    (ours.splits / "photos-dddddddddddd.json").write_text(json.dumps(FROZEN))
    (ours.splits / "photos-dddddddddddd-kfold-2-repeat-0.json").write_text(json.dumps({"fold_of": [0]}))
    path = theirs.root / kind / name
    if kind == "labels":
        pd.DataFrame(content).to_parquet(path)
    else:
        path.write_text(json.dumps(content) if isinstance(content, dict) else content)
    before = files(ours.splits)
    found = {one.name: one.what for one in merge(theirs, ours)}
    assert (found[name], found[run]) == told and found[here] == "same"
    new = {ours.root / kind / name} if told[0] == "added" else set()
    assert files(ours.splits).keys() == before.keys() | new and before.items() <= files(ours.splits).items()
    assert ours.record_of("runs", run).exists() == (told[1] == "added")


def test_folds_of_another_division_are_not_taken_over(tmp_path):
    right = {("vit", 5): np.ones((1, 20), bool)}
    run = run_id("vit", 5, 0)
    for split_id, what in (
        ("kfold-2", "conflict"),  # a repeat, joined
        ("kfold-2-repeat-0-fold-1", "conflict"),
        ("kfold-22-repeat-0-fold-1", "added"),
        ("stratified-70-10-20", "added"),
    ):
        theirs = RunStore(write_store(tmp_path / split_id / "theirs", right, split_id=split_id))
        ours = RunStore(tmp_path / split_id / "ours")
        for store in (theirs, ours):
            store.splits.mkdir(parents=True)
            path = store.splits / "photos-dddddddddddd-kfold-2-repeat-0.json"
            path.write_text(json.dumps({"fold_of": str(store.root)}))
        ours.prepare()
        assert {one.name: one.what for one in merge(theirs, ours)}[run] == what


def test_labels_are_compared_by_what_they_say(twins):
    """And not by their bytes, which depend on the version of pyarrow."""
    ours, theirs = twins
    path = theirs.root / "labels" / f"{LABELS}.parquet"
    table = pd.read_parquet(path)

    def told():
        (one,) = [one for one in merge(theirs, ours) if one.name == path.name]
        return one.what

    table.astype("int64").to_parquet(path, compression=None)
    assert told() == "same"
    table.assign(duplicate=True).to_parquet(path)
    assert told() == "conflict"
    table.assign(label=table["label"][::-1].to_numpy()).to_parquet(path)
    assert told() == "conflict"

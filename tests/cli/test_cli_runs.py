"""vcbench show and reproduce, on a store that this test's own suite fills."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from console import told, vcbench
from PIL import Image
from small_store import digest, write_store
from small_store import run_id as small_run

from bench.spec.job import evaluation_id
from bench.store.job_files import JobFiles
from bench.store.run_store import RunStore

SUITE = """
title = "one"
description = "for tests"
[models]
resnet = { model = "resnet_digits" }
[[comparison]]
name = "digits"
dataset = "digits"
contestants = ["resnet"]
recipe = "scratch"
shots = [2]
replicates = 2
input_size = 16
[comparison.set]
"budget.epochs" = 1
"budget.min_steps" = 4
"budget.batch_size" = 8
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a suite that was run; tests only read it."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "one.toml").write_text(SUITE)
    ran = vcbench("run", folder / "one.toml", "--results", folder / "results", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    return folder / "results"


@pytest.fixture
def store(made, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(made, tmp_path / "results")


def runs(store):
    return sorted(path.name for path in (store / "runs").glob("[!.]*"))


def evaluation_of(store, run):
    """The folder of the evaluation of a run."""
    named = {"evaluation_format": 1, "trial": run, "condition": "clean"}
    return store / "evaluations" / digest(named)


def change(store, run, **parts):
    change_file(store / "runs" / run / "record.json", **parts)


def change_file(path, **parts):
    record = json.loads(path.read_text())
    for part, values in parts.items():
        record[part] = record[part] | values if isinstance(values, dict) else values
    path.write_text(json.dumps(record))


def test_everything_about_a_run(made):
    run = runs(made)[0]
    told_of = json.loads(vcbench("show", run[:9], "--results", made, "--json").stdout)
    trial = json.loads((made / "runs" / run / "record.json").read_text())
    (evaluation,) = [
        one
        for path in made.glob("evaluations/*/record.json")
        if (one := json.loads(path.read_text()))["trial"] == run
    ]
    assert told_of["record"] == trial | {
        "condition": "clean", "evaluation": evaluation["id"], "test_evaluations": 1,
        "metrics": trial["metrics"] | evaluation["metrics"],
        "wall_s": round(trial["wall_s"] + evaluation["wall_s"], 3),
    }  # fmt: skip
    assert (told_of["id"], told_of["kind"], told_of["state"]) == (run, "trial", "done")
    (listed,) = told_of["suites"]
    assert listed | {"replicate": 0} == {
        "suite": "one", "comparison": "digits", "contestant": "resnet", "shots": 2, "replicate": 0,
    }  # fmt: skip
    assert told_of["files"]["record.json"] == (made / "runs" / run / "record.json").stat().st_size
    plain = vcbench("show", run.upper(), "--results", made).stdout
    assert "in suite one, comparison digits, contestant resnet, 2 per class" in plain
    assert "metrics.top1" in plain and "identity.recipe.optimizer.lr" in plain


def test_a_profile_and_a_run_that_is_not_done(store):
    (profile,) = [path.name for path in (store / "profiles").iterdir()]
    shown = json.loads(vcbench("show", profile, "--results", store, "--json").stdout)
    assert (
        shown["kind"] == "profile" and shown["record"]["flops"] > 0 and shown["suites"] == [{"suite": "one"}]
    )
    first, second = runs(store)
    shutil.rmtree(store / "runs" / first)
    assert json.loads(vcbench("show", first, "--results", store, "--json").stdout)["state"] == "missing"
    told(vcbench("reproduce", first, "--results", store), first, "missing")
    (store / "runs" / second / "record.json").unlink()
    (store / "runs" / second / "error.json").write_text(
        '{"format": 1, "attempts": 2, "message": "out of memory"}'
    )
    assert "out of memory (2 attempts)" in vcbench("show", second, "--results", store).stdout


def test_ids_that_are_none_or_many(store):
    told(vcbench("show", "zz", "--results", store), '"zz"')
    told(vcbench("show", "", "--results", store), "no run")
    for name in ("ab" + "0" * 14, "ab" + "1" * 14):
        (store / "runs" / name).mkdir()
    told(vcbench("show", "ab", "--results", store), "2 ids", "ab" + "0" * 14)
    told(vcbench("show", "ab", "--results", "nowhere"), "nowhere: no such folder")


def test_the_same_again_is_identical_and_leaves_the_store_alone(store, tmp_path):
    run = runs(store)[1]
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    again = vcbench("reproduce", run, "--results", store, "--json")
    assert again.returncode == 0, again.stderr
    said = json.loads(again.stdout)
    assert said["verdict"] == "identical" and said["predictions_identical"] and said["images_alike"] == 600
    assert before == {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}


def test_tolerance_decides_where_numbers_differ(store):
    run = runs(store)[0]
    evaluation = evaluation_of(store, run)
    top1 = json.loads((evaluation / "record.json").read_text())["metrics"]["top1"]
    path = evaluation / "predictions.parquet"
    frame = pd.read_parquet(path)
    labels = pd.read_parquet(next((store / "labels").glob("*.parquet")))["label"]
    wrong = frame.index[frame["rank"] > 0][:12]
    frame.loc[wrong, "predicted"], frame.loc[wrong, "rank"] = labels[wrong], 0
    frame.to_parquet(path)
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    change_file(evaluation / "record.json", metrics={"top1": top1 + 0.02}, predictions_sha256=content)
    differs = vcbench("reproduce", run, "--results", store)
    assert differs.returncode == 1 and "DIFFERS" in differs.stdout and "588 of 600" in differs.stdout
    within = vcbench("reproduce", run, "--results", store, "--tolerance", "2.5")
    assert within.returncode == 0 and "within 2.5 points" in within.stdout
    change(store, run, outcome="diverged")
    assert vcbench("reproduce", run, "--results", store, "--tolerance", "100").returncode == 1


def test_a_profile_is_counted_again(store):
    (profile,) = [path.name for path in (store / "profiles").iterdir()]
    assert vcbench("reproduce", profile, "--results", store).returncode == 0
    path = store / "profiles" / profile / "record.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"flops": record["flops"] + 2}))
    differs = vcbench("reproduce", profile, "--results", store)
    assert differs.returncode == 1 and differs.stdout.strip().endswith("DIFFERS")


def test_other_inputs_are_told_by_name(store):
    run = runs(store)[0]
    identity = json.loads((store / "runs" / run / "record.json").read_text())["identity"]
    change(store, run, model={"weights": "file:gone.safetensors"})
    told(vcbench("reproduce", run, "--results", store), "gone.safetensors")
    change(store, run, model={"weights": "none"})
    run = as_another(store, run, identity | {"data": "f" * 64})
    told(vcbench("reproduce", run, "--results", store), run, "data: was", "another trial")
    run = as_another(store, run, identity | {"dataset": "flowers102", "split_id": "official"})
    told(
        vcbench("reproduce", run, "--results", store, "--data-dir", "nowhere"), "nowhere", "fetch flowers102"
    )
    change(store, run, identity={"data": "f" * 64})
    told(vcbench("reproduce", run, "--results", store), run, "missing: there is nothing to agree with")


def as_another(store, run, identity):
    """The record of a run as that of a trial with another identity; returns its id."""
    new = digest(identity)
    (store / "runs" / run).rename(store / "runs" / new)
    change(store, new, id=new, identity=identity)
    evaluation = evaluation_of(store, new)
    evaluation_of(store, run).rename(evaluation)
    change_file(evaluation / "record.json", id=evaluation.name, trial=new)
    return new


def test_a_run_on_own_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for number, name in enumerate(["plain", "100%_of & more"]):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for image in range(12):
            pixels = random.integers(0, 120, (20, 24, 3)) + 60 * number
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{image}.png")
    suite = SUITE.replace('dataset = "digits"', 'dataset = "folder:photos"')
    (tmp_path / "own.toml").write_text(suite)
    assert vcbench("run", "own.toml", "--device", "cpu").returncode == 0
    run = runs(tmp_path / "results")[0]
    again = vcbench("reproduce", run)
    assert again.returncode == 0 and "agrees: identical" in again.stdout, again.stderr
    (tmp_path / "photos").rename(tmp_path / "moved")
    told(vcbench("reproduce", run), '"photos"', "--dataset folder:PATH")
    # Under another name it is the same images, so that they are divided alike and nothing is to be run.
    (tmp_path / "own.toml").write_text(suite.replace("folder:photos", "folder:moved"))
    assert vcbench("reproduce", run, "--dataset", "folder:moved").returncode == 0
    planned = json.loads(vcbench("plan", "own.toml", "--json").stdout)
    assert {row["state"] for row in planned["trials"]} == {"done"} and len(
        list(Path("results/splits").iterdir())
    ) == 1
    (tmp_path / "own.toml").write_text(suite)
    (tmp_path / "moved").rename(tmp_path / "photos")
    assert vcbench("reproduce", run, "--dataset", "folder:photos").returncode == 0
    told(vcbench("reproduce", run, "--dataset", "folder:elsewhere"), "elsewhere")


def test_a_search_job_is_shown_and_not_made_again(vcbench, tmp_path):
    suite = """
title = "t"
description = "d"
[models]
a = { model = "vit_digits" }
[[comparison]]
name = "c"
dataset = "digits"
contestants = ["a"]
recipe = "scratch"
protocol = "tuned"
shots = [5]
replicates = 1
input_size = 16
set = { "budget.epochs" = 1, "budget.batch_size" = 8, "budget.min_steps" = 2, "augment.flip" = false }
[comparison.search]
space = { "optimizer.lr" = [1e-4, 1e-3] }
held_out = 1
"""
    (tmp_path / "one.toml").write_text(suite)
    status, out, _ = vcbench("run", "one.toml", "--device", "cpu", "--jobs", "1")
    assert status == 0 and "2 searched, 1 finished" in out
    listing = json.loads((tmp_path / "results" / "suites" / "one.json").read_text())
    job = listing["searches"][0]["tried"][0]["jobs"][0]
    status, out, _ = vcbench("show", job)
    assert status == 0 and out.startswith(f"search {job}: done") and "in suite one, comparison c" in out
    status, _, err = vcbench("reproduce", job)
    assert status == 2 and "only served to choose a value" in err
    status, out, _ = vcbench("plan", "one.toml")
    assert "2 search jobs, 2 done; 1 trials, 1 done" in out
    status, out, _ = vcbench("status")
    assert "SEARCHES" in out and "2 of 2" in out
    own = RunStore(tmp_path / "results")
    shutil.rmtree(own.folder_of("searches", job))
    own.note_error(JobFiles(own.folder_of("searches", job)), "no room")
    status, out, _ = vcbench("status")
    assert f"one: {job}: no room" in out and "1 of 2" in out


def test_a_failed_evaluation_under_a_condition_is_told(tmp_path):
    root = write_store(tmp_path / "own", {("vit", 5): np.ones((1, 40), bool)})
    path = root / "suites" / "small.json"
    listing = json.loads(path.read_text())
    listing["comparisons"][0]["conditions"] = ["brightness"]
    path.write_text(json.dumps(listing))
    store, run = RunStore(root), small_run("vit", 5, 0)
    store.note_error(store.evaluation_folder(run, "brightness"), "no room")
    (row,) = json.loads(vcbench("status", "--json", "--results", root).stdout)
    assert row["errored"] == 1 and row["errors"] == {evaluation_id(run, "brightness"): "no room"}
    assert row["done"] == 1

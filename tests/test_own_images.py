"""The command line on a folder of one's own images, from its first look to the report."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from console import told, vcbench
from PIL import Image

SUITE = """
title = "grades"
description = "for tests"
[models]
resnet = { model = "resnet_digits" }
vit = { model = "vit_digits" }
[[comparison]]
name = "own"
dataset = "folder:FOLDER"
contestants = ["resnet", "vit"]
recipe = "scratch"
shots = ["all"]
replicates = 2
input_size = 16
contrasts = [["vit", "resnet"]]
[comparison.set]
"budget.epochs" = 1
"budget.min_steps" = 6
"budget.batch_size" = 8
"""
CLASSES = ("1", "2", "10")  # not in the order of their numbers


def picture(name, number):
    random = np.random.default_rng([number, *name.encode()])
    return Image.fromarray(random.integers(0, 120, (16, 16, 3), dtype=np.uint8) + np.uint8(len(name)))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with images, whose test split has 4 of the training images, and a suite that was run."""
    folder = tmp_path_factory.mktemp("made")
    for split, start, count in (("train", 0, 8), ("val", 20, 2), ("test", 40, 5)):
        for name in CLASSES:
            (folder / "grades" / split / name).mkdir(parents=True)
            for number in range(start, start + count):
                picture(name, number).save(folder / "grades" / split / name / f"{number}.png")
    for number in range(4):
        shutil.copy(
            folder / "grades/train/2" / f"{number}.png", folder / "grades/test/2" / f"{40 + number}.png"
        )
    (folder / "grades/train/1/notes.txt").write_text("not an image")
    (folder / "grades.toml").write_text(SUITE.replace("FOLDER", str(folder / "grades")))
    ran = vcbench("run", folder / "grades.toml", "--results", folder / "results", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("warning:") == 2 and LEAK in ran.stderr and PASSED in ran.stderr
    return folder


LEAK = "grades: 4 of 15 test images are also in train"
PASSED = "grades: 1 files passed over: 1 .txt"


def test_equal_and_passed_over_files_are_told_before_anything_runs(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = vcbench("new", "--dataset", made / "grades", "--models", "vit_digits", "--out", "a.toml")
    planned = vcbench("plan", made / "grades.toml", "--results", made / "results")
    verified = vcbench("data", "verify", f"folder:{made / 'grades'}")
    for ran in (first, planned, verified):
        assert ran.returncode == 0 and LEAK in ran.stderr and PASSED in ran.stderr, ran
    (seen,) = json.loads(vcbench("data", "verify", f"folder:{made / 'grades'}", "--json").stdout)
    assert [line[: len(LEAK)] for line in seen["warnings"]] == [PASSED, LEAK]


def test_equal_files_are_flagged_in_tables_and_report(made, tmp_path):
    table = pd.read_parquet(made / "results/tables/accuracy.parquet")
    assert set(table["test_in_train"]) == {4} and set(table["two_labels"]) == {0}
    run = table.iloc[0]
    outputs = pd.read_parquet(made / "results/runs" / run["run"] / "predictions.parquet")
    (path,) = (made / "results/labels").glob("*.parquet")
    truth = pd.read_parquet(path)
    # Classes in the order of their names: "1", "10", "2", five test images of each.
    assert np.flatnonzero(truth["duplicate"]).tolist() == [10, 11, 12, 13]
    kept = ~truth["duplicate"]
    assert run["top1_deduplicated"] == (outputs["predicted"] == truth["label"])[kept].mean()
    ran = vcbench("report", "grades", "--results", made / "results", "--out", tmp_path / "report")
    assert ran.returncode == 0, ran.stderr
    assert "4 of 15 test images are also in train" in (tmp_path / "report/report.md").read_text()


def test_the_best_by_val_needs_val(made, tmp_path):
    folder = tmp_path / "grades"
    shutil.copytree(made / "grades", folder)
    shutil.rmtree(folder / "val")
    suite = tmp_path / "grades.toml"
    suite.write_text(SUITE.replace("FOLDER", str(folder)) + '"keep" = "best-val"\n')
    for verb in ("plan", "run"):
        told(vcbench(verb, suite, "--results", tmp_path / "results"), 'keep = "best-val"', "no val images")
    assert not (tmp_path / "results/runs").exists()


def test_a_new_suite_is_not_called_as_one_that_comes_with_the_harness(made, tmp_path):
    out = tmp_path / "quick.toml"
    told(vcbench("new", "--dataset", made / "grades", "--models", "vit_digits", "--out", out), '"quick"')
    assert not out.exists()

"""Whatever CONTRIBUTING.md says can be added is one new file, and nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss

ROOT = Path(__file__).parent.parent

MODEL = """
title = "ViT (mine)"
architecture = "vit_tiny_patch16_224"
family = "ViT"
kind = "transformer"
input_size = 8
patch = 4
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
pretraining = "none"
licence = "apache-2.0"
[options]
patch_size = 4
embed_dim = 12
depth = 1
num_heads = 3
"""
DATASET = '''
"""Two classes of plain colour."""

import numpy as np

from bench.data.base import Dataset, Facts

FACTS = Facts("mydata", "Mine", 2, {"only": {"train": 8, "val": 2, "test": 4}}, "8x8", "made up")


def load(split_id, folders):
    labels = np.arange(14) % 2
    splits = {"train": np.arange(8), "val": np.arange(8, 10), "test": np.arange(10, 14)}
    return Dataset("mydata", split_id, ["a", "b"], labels, splits, "f" * 64, "own data",
                   lambda i: np.full((8, 8, 3), 15 * i, np.uint8), lambda i: f"image {i}", native_size=8)
'''
RECIPE = """
title = "mine"
expected = "nothing"
[budget]
epochs = 1
batch_size = 4
[optimizer]
lr = 1e-3
"""
SUITE = """
title = "mine"
description = "for tests"
[models]
mine = { model = "mymodel" }
other = { model = "vit_digits" }
[[comparison]]
name = "mine"
dataset = "mydata"
contestants = ["mine", "other"]
recipe = "myrecipe"
shots = ["all"]
replicates = 1
input_size = 8
contrasts = [["mine", "other"]]
conditions = ["black"]
[[profiles.measured]]
what = ["parameters"]
models = ["mymodel"]
input_size = 8
classes = 2
"""
KIND = '''
"""How many parameters a model has, of all things counted in a fresh process."""

from bench.profiling.kind import NetworkKind


class Parameters(NetworkKind):
    name = "parameters"

    def measure(self, config):
        from bench.profiling.network import make_network

        return {"parameters": sum(p.numel() for p in make_network(config).parameters())}


KIND = Parameters()
'''
METRIC = '''
"""Brier's score: the mean squared distance of the probabilities from the truth, from 0 to 2."""

import numpy as np
from scipy.special import softmax


def brier(logits, labels):
    truth = np.eye(logits.shape[1])[labels]
    return ((softmax(logits, axis=1) - truth) ** 2).sum(1).mean()
'''
SECTION = '''
"""How many trials there are."""

from bench.report.blocks import Prose, Section


def trials(evidence):
    if not evidence.trains:
        return None
    return Section("trials", "Mine", (Prose(f"There are {len(evidence.records)} trials & no more."),))


SECTION, LEVEL = trials, "index"
'''
CONDITION = '''
"""All black."""

TITLE = "black"


def apply(image, level, rng):
    assert level is None
    return 0 * image
'''
ENGINE = '''
"""One job after the other, and a line for each."""

from bench.running.engines.in_process import InProcess


def make(wanted):
    return Mine()


class Mine(InProcess):
    def run(self, queue, workspace, follow):
        for outcome in super().run(queue, workspace, follow):
            with open("by_my_engine", "a") as file:
                print(outcome.job.kind, outcome.status, file=file)
            yield outcome
'''
TRACKER = '''
"""A line for each trial."""


def open_tracker(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return Lines(folder / "trials.txt")


class Lines:
    def __init__(self, path):
        self.path = path

    def has(self, run):
        return self.path.exists() and run.id in self.path.read_text()

    def begin(self, run):
        self.run = run
        return self

    def row(self, step, numbers):
        pass

    def finish(self, metrics, outcome):
        with self.path.open("a") as file:
            print(self.run.id, self.run.group, metrics["top1"], file=file)

    def attach(self, project, report):
        assert (report / "index.html").exists()
'''
FILES = {
    "models/mymodel.toml": MODEL,
    "bench/data/datasets/mydata.py": DATASET,
    "bench/recipes/myrecipe.toml": RECIPE,
    "bench/suites/mysuite.toml": SUITE,
    "bench/profiling/kinds/parameters.py": KIND,
    "bench/metrics/brier.py": METRIC,
    "bench/report/sections/trials.py": SECTION,
    "bench/data/conditions/black.py": CONDITION,
    "bench/running/engines/mine.py": ENGINE,
    "bench/exchange/trackers/mine.py": TRACKER,
}


def test_all_that_contributing_names_is_added_here():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"^\| [^|]+ \| `([^`]+)`", text, re.MULTILINE)
    added = [str(Path(path).with_stem("NAME")) for path in FILES]
    assert sorted(named) == sorted(added)


def test_one_file_each_is_enough(tmp_path):
    for package in ("bench", "models"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in FILES.items():
        assert not (tmp_path / path).exists()
        (tmp_path / path).write_text(text)
    code = (
        "import json; from typer.testing import CliRunner; from bench.cli.verbs import app\n"
        "def said(*words):\n"
        "    result = CliRunner().invoke(app, words)\n"
        "    assert result.exit_code == 0, (words, result.output, result.exception)\n"
        "    return result.stdout\n"
        "for verb, name in (('models', 'mymodel'), ('datasets', 'mydata'), ('recipes', 'myrecipe'),\n"
        "                   ('suites', 'mysuite'), ('conditions', 'black')):\n"
        "    assert name in {entry['name'] for entry in json.loads(said(verb, '--json'))}, verb\n"
        "said('run', 'mysuite', '--only', 'mine', '--engine', 'mine')\n"
        "said('run', 'mysuite', '--only', 'profiles', '--device', 'cpu')\n"
        "said('tables')\n"
        "said('report', 'mysuite', '--out', 'page')\n"
        "said('export', '--format', 'mine', '--out', 'tracked')\n"
        "print(said('status', '--json'))\n"
    )
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=work,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (status,) = json.loads(done.stdout)
    assert status["suite"] == "mysuite" and status["done"] >= 1
    records = [json.loads(path.read_text()) for path in work.glob("results/profiles/*/record.json")]
    (measured,) = [record for record in records if record["what"] == "parameters"]
    # Patches of 48 pixels, 5 positions and a class token of width 12; a block of 4, 8 and 12 w^2; a head.
    block = 2 * 24 + (36 + 12 + 48 + 48) * 12 + 36 + 12 + 48 + 12
    assert measured["parameters"] == 48 * 12 + 12 + 6 * 12 + block + 24 + 2 * 12 + 2
    assert measured["model"] == "mymodel" and measured["outcome"] == "measured"
    accuracy = pd.read_csv(work / "results" / "tables" / "accuracy.csv")
    assert accuracy.groupby("contestant")["condition"].apply(sorted).tolist() == [["black", "clean"]] * 2
    assert accuracy.loc[accuracy["condition"] == "black", "top1"].tolist() == [0.5, 0.5]
    robustness = pd.read_csv(work / "results" / "tables" / "robustness.csv")
    assert robustness["condition"].tolist() == ["black"] * 2 and robustness["top1"].tolist() == [0.5, 0.5]
    lines = (work / "by_my_engine").read_text().splitlines()
    assert lines == ["train finished", "evaluate finished", "evaluate finished"] * 2
    evaluations = [json.loads(path.read_text()) for path in work.glob("results/evaluations/*/record.json")]
    assert sorted(one["condition"] for one in evaluations) == ["black", "black", "clean", "clean"]
    for one in evaluations:
        if one["condition"] == "black":  # all images are alike, and half of them are of each class
            predictions = pd.read_parquet(
                work / "results" / "evaluations" / one["id"] / "predictions.parquet"
            )
            assert predictions["predicted"].nunique() == 1 and one["metrics"]["top1"] == 0.5
    tracked = [line.split() for line in (work / "tracked" / "trials.txt").read_text().splitlines()]
    assert sorted(run for run, *_ in tracked) == sorted(accuracy["run"].unique())
    check_metric(work / "results")
    page, text = ((work / "page" / name).read_text() for name in ("index.html", "appendix.md"))
    assert page.index("There are 2 trials &amp; no more.") < page.index("What this cannot tell you</h2>")
    assert "| black | | 50.0 | 50.0 |" in " ".join(text[text.index("## Robustness in numbers") :].split())


def check_metric(store: Path) -> None:
    """The metric, in every record with probabilities and in the table, is scikit-learn's for these, and those
    that were there before are what they were."""
    labels, measured = np.array([0, 1, 0, 1]), []
    for path in store.glob("*/*/probabilities.npy"):
        probabilities = np.load(path).astype(float)
        metrics = json.loads(path.with_name("record.json").read_text())["metrics"]
        wanted = 2 * brier_score_loss(labels, probabilities[:, 1])
        assert metrics["brier"] == pytest.approx(wanted, abs=1e-3)
        assert metrics["top1"] == (probabilities.argmax(1) == labels).mean()
        measured.append((metrics["top1"], metrics["brier"]))
    assert len(measured) >= 2
    table = pd.read_csv(store / "tables/accuracy.csv")[["top1", "brier"]]
    assert np.sort(table.to_numpy(), axis=0) == pytest.approx(np.sort(measured, axis=0))

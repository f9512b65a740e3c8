"""The command line as a user meets it: in a process of its own, by its output and exit status."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench import __version__
from bench.cli import main
from bench.errors import StoreError

ROOT = Path(__file__).parents[2]

SUITE = """
title = "tiny"
description = "for tests"
[models]
vit = { model = "vit_digits" }
resnet = { model = "resnet_digits" }
[[comparison]]
name = "digits"
dataset = "digits"
contestants = ["vit", "resnet"]
recipe = "scratch"
shots = [2, 3]
replicates = 1
input_size = 16
contrasts = [["vit", "resnet"]]
[comparison.set]
"budget.epochs" = 1
"budget.min_steps" = 4
"budget.batch_size" = 8
"""


def command(*arguments):
    return [sys.executable, "-m", "bench", *map(str, arguments)]


@dataclass
class Ran:
    """What a command printed, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def vcbench(tmp_path, monkeypatch, capsys):
    """Runs the command line in this process, in a folder that holds nothing but a small suite."""
    (tmp_path / "tiny.toml").write_text(SUITE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VCBENCH_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["vcbench", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        return Ran(status, *capsys.readouterr())

    return call


def told(result, *words):
    """Exit status 2, one line, no traceback, with these words in it."""
    lines = [line for line in result.stderr.strip().splitlines() if "error:" in line]
    assert result.returncode == 2 and len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in lines[0], lines[0]


def test_every_verb_has_help_with_an_example_and_nothing_imports_torch():
    code = (
        "import sys; from typer.main import get_command; from typer.testing import CliRunner\n"
        "from bench.cli.verbs import app; r = CliRunner()\n"
        "verbs = [' '.join((name, sub)).strip() for name, command in get_command(app).commands.items()\n"
        "         for sub in getattr(command, 'commands', [''])]\n"
        "assert {'run', 'report', 'data fetch'} <= set(verbs), verbs\n"
        "for verb in verbs:\n"
        "    out = r.invoke(app, [*verb.split(), '--help'])\n"
        "    assert out.exit_code == 0 and 'Example: vcbench ' + verb in out.output, (verb, out.output)\n"
        "assert not {'torch', 'timm', 'torchvision', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("verb", ["models", "datasets", "suites", "recipes"])
def test_catalogues_are_for_people_and_programs(verb):
    from typer.testing import CliRunner

    from bench.cli.verbs import app

    plain, parsed = (CliRunner().invoke(app, arguments).output for arguments in ([verb], [verb, "--json"]))
    for entry in json.loads(parsed):
        assert any(line.startswith(entry["name"]) for line in plain.splitlines())


def test_a_suite_from_plan_to_report(vcbench, tmp_path):
    planned = json.loads(vcbench("plan", "tiny.toml", "--json").stdout)
    assert [row["state"] for row in planned["trials"]] == ["missing"] * 4
    assert "calibration" in planned["estimate"] and planned["remaining_s"] >= 0
    assert not (tmp_path / "results").exists()

    ran = vcbench("run", "tiny.toml")
    assert ran.returncode == 0, ran.stderr
    table = pd.read_csv(tmp_path / "results/tables/accuracy.csv")
    assert len(table) == 4 and set(table["outcome"]) == {"finished"} and set(table["suite"]) == {"tiny"}
    pd.testing.assert_frame_equal(
        table[["run", "top1"]],
        pd.read_parquet(tmp_path / "results/tables/accuracy.parquet")[["run", "top1"]],
        check_dtype=False,
    )
    assert {"vit_digits", "resnet_digits"} <= set(pd.read_csv(tmp_path / "results/tables/cost.csv")["model"])
    assert set(pd.read_csv(tmp_path / "results/tables/history.csv")["run"]) == set(table["run"])

    again = vcbench("run", "tiny.toml")
    assert again.returncode == 0 and "nothing was missing" in again.stdout
    planned = json.loads(vcbench("plan", "tiny.toml", "--json").stdout)
    assert {row["state"] for row in planned["trials"] + planned["profiles"]} == {"done"}
    (status,) = json.loads(vcbench("status", "--json").stdout)
    assert status["suite"] == "tiny" and status["trials"] == status["done"] == 4

    more = vcbench("run", "tiny.toml", "--replicates", "2", "--only", "vit")
    assert more.returncode == 0, more.stderr
    table = pd.read_csv(tmp_path / "results/tables/accuracy.csv")
    assert len(table) == 6 and set(table["model"].value_counts()) == {4, 2}

    fewer = vcbench("run", "tiny.toml", "--replicates", "1", "--only", "resnet")
    assert fewer.returncode == 0 and "nothing was missing" in fewer.stdout, fewer.stderr
    (status,) = json.loads(vcbench("status", "--json").stdout)
    assert status["trials"] == status["done"] == 6

    variant = vcbench("run", "tiny.toml", "--only", "vit", "--set", "recipe.budget.min_steps=5")
    assert variant.returncode == 0, variant.stderr
    table = pd.read_csv(tmp_path / "results/tables/accuracy.csv")
    assert {name.partition("+")[0] for name in table["suite"]} == {"tiny"} and table["suite"].nunique() == 2

    report = vcbench("report", "tiny.toml")
    assert report.returncode == 0, report.stderr
    assert (tmp_path / "reports/tiny/index.html").stat().st_size > 10_000
    assert "vit" in (tmp_path / "reports/tiny/appendix.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "qick"], ['no suite "qick"', '"quick"']),
        (["plan", "nowhere.toml"], ["nowhere.toml"]),
        (["run", "tiny.toml", "--budget", "10x"], ["--budget 10x", "30m"]),
        (["run", "tiny.toml", "--budget", "999999999h"], ["--budget 999999999h", "at most 87600h"]),
        (["run", "tiny.toml", "--set", "recipe.budget.epoch=3"], ['"recipe.budget.epochs"']),
        (["run", "tiny.toml", "--only", "vitt"], ['"vit"']),
        (["run", "tiny.toml", "--device", "gpu"], ["--device gpu"]),
        (
            ["run", "flowers102", "--only", "vit-s-strong", "--data-dir", "nowhere"],
            ["nowhere", "vcbench data fetch flowers102"],
        ),
        (["data", "verify", "flower"], ['"flowers102"']),
        (["report", "tiny.toml"], ["results: no such folder"]),
        (["tables", "--results", "nowhere"], ["nowhere"]),
        (["status", "tiny"], ["results: no such folder"]),
        (["new", "--dataset", "nowhere", "--models", "resnet18"], ["nowhere"]),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(vcbench, tmp_path, arguments, words):
    told(vcbench(*arguments), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


def test_cuda_where_there_is_none(vcbench):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    told(vcbench("run", "tiny.toml", "--device", "cuda"), "--device cuda", "no CUDA device")


def test_a_newer_store_is_left_alone(vcbench, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/store.json").write_text('{"format": 99}')
    for verb in ("run", "plan"):
        told(vcbench(verb, "tiny.toml"), "format 99")
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["store.json"]


def test_a_store_that_cannot_be_written(vcbench, tmp_path):
    (tmp_path / "results").write_text("a file")
    told(vcbench("run", "tiny.toml"), "results", "is a file")


def test_missing_weights_are_named_within_seconds(vcbench, tmp_path):
    text = SUITE.replace('"vit_digits" }', '"resnet18", weights = "file:mine.safetensors" }')
    (tmp_path / "tiny.toml").write_text(text)
    told(vcbench("run", "tiny.toml"), "mine.safetensors")
    planned = json.loads(vcbench("plan", "tiny.toml", "--json").stdout)
    states = [(row["model"], row["state"]) for row in planned["trials"]]
    assert ("vit", "unresolved") in states and ("resnet", "missing") in states


def test_without_a_network_missing_weights_are_told_before_anything_slow(vcbench, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.networks.hub_answers", lambda: False)
    monkeypatch.setattr("bench.networks.weights.hub_answers", lambda: False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("bench.machine.choose_device", lambda name: pytest.fail("began something slow"))
    others = "missing too: convnext_tiny, deit_base_patch16_224, deit_small_patch16_224, resnet50"
    told(vcbench("run", "full"), "vit_base_patch16_224.safetensors", "augreg_in1k", others)


def test_a_part_of_a_changed_suite_leaves_the_rest_in_its_list(vcbench, tmp_path):
    assert vcbench("run", "tiny.toml", "--only", "vit").returncode == 0
    (tmp_path / "tiny.toml").write_text(
        SUITE.replace("replicates = 1", "replicates = 2") + '"val_times" = 2\n'
    )
    assert vcbench("run", "tiny.toml", "--only", "resnet", "--replicates", "1").returncode == 0
    (status,) = json.loads(vcbench("status", "--json").stdout)
    assert status["trials"] == 8 and status["done"] == 2


def start(tmp_path, *arguments):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command(*arguments), cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(path, pattern, process):
    while not list(path.glob(pattern)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_a_run_the_next_one_continues(vcbench, tmp_path, how):
    process = start(tmp_path, "run", "tiny.toml")
    wait_for(tmp_path, "results/runs/*/record.json", process)
    process.send_signal(how)
    process.communicate(timeout=1800)
    assert process.returncode == (130 if how == signal.SIGINT else -9)
    before = {path.parent.name: path.read_bytes() for path in tmp_path.glob("results/runs/*/record.json")}
    assert vcbench("tables").returncode == 0
    assert vcbench("run", "tiny.toml").returncode == 0
    after = {path.parent.name: path.read_bytes() for path in tmp_path.glob("results/runs/*/record.json")}
    assert len(after) == 4 and before.items() <= after.items()


def test_two_runs_at_once_do_every_trial_once(tmp_path):
    (tmp_path / "tiny.toml").write_text(SUITE)
    both = [start(tmp_path, "run", "tiny.toml") for _ in range(2)]
    outputs = [process.communicate(timeout=1800) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert len(list(tmp_path.glob("results/runs/*/record.json"))) == 4
    lines = [line for _, stderr in outputs for line in stderr.splitlines() if "top-1" in line]
    assert len({line.split()[0] for line in lines}) == 4
    looks = [
        json.loads(path.read_text())["test_evaluations"]
        for path in tmp_path.glob("results/evaluations/*/record.json")
    ]
    assert looks == [1, 1, 1, 1]


def test_a_budget_stops_cleanly(vcbench, tmp_path):
    slow = SUITE.replace('"budget.min_steps" = 4', '"budget.min_steps" = 100000')
    (tmp_path / "tiny.toml").write_text(slow)
    stopped = vcbench("run", "tiny.toml", "--budget", "3s")
    assert stopped.returncode == 0 and "The budget is spent" in stopped.stdout, stopped.stderr
    (status,) = json.loads(vcbench("status", "--json").stdout)
    assert status["done"] == 0 and status["begun"] <= 1


@pytest.fixture
def photos(tmp_path):
    """A folder of images with awkward class names."""
    random = np.random.default_rng(0)
    for number, name in enumerate(["plain", "100%_of & more", "<script>alert(1)</script>".replace("/", "_")]):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for image in range(12):
            pixels = random.integers(0, 120, (20 + image, 24, 3)) + 60 * number
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{image}.png")
    return tmp_path / "photos"


def test_somebody_elses_folder_of_images(vcbench, tmp_path, photos):
    written = vcbench("new", "--dataset", "photos", "--models", "vit_digits,resnet_digits", "--shots", "2,4")
    assert written.returncode == 0, written.stderr
    assert "photos: 3 classes" in written.stdout and "ViT (digits): random weights" in written.stdout
    told(vcbench("new", "--dataset", "photos", "--models", "vit_digits"), "exists already")
    told(vcbench("new", "--dataset", "photos", "--models", "vit_digit", "--out", "b.toml"), '"vit_digits"')
    told(
        vcbench("new", "--dataset", "photos", "--models", "vit_digits", "--shots", "99", "--out", "b.toml"),
        "at most",
    )
    searched = (tmp_path / "photos.toml").read_text()
    assert 'protocol = "tuned"' in searched
    (tmp_path / "photos.toml").write_text(searched.replace('protocol = "tuned"', ""))  # it takes its time
    ran = vcbench(
        "run", "photos.toml", "--replicates", "1", "--set", "recipe.budget.epochs=1",
        "--set", "recipe.budget.min_steps=2", "--set", "comparison.input_size=16",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    table = pd.read_csv(tmp_path / "results/tables/accuracy.csv")
    assert set(table["dataset"]) == {"photos"} and len(table) == 6
    assert list((tmp_path / "results/splits").glob("photos-*.json"))
    (photos / "plain" / "3.png").write_bytes(b"not an image")
    failed = vcbench("run", "photos.toml", "--replicates", "1", "--set", "comparison.input_size=16")
    lines = [line for line in failed.stderr.splitlines() if "errored: " in line]
    assert failed.returncode == 1 and "6 errored" in failed.stdout and "Traceback" not in failed.stderr
    assert len(lines) == 6 and all("3.png: cannot be decoded" in line for line in lines)


def test_version_and_debug(vcbench):
    assert vcbench("--version").stdout == f"vcbench {__version__}\n"
    assert "--version" in (text := vcbench("--help").stdout) and "--debug" in text
    told(vcbench("show", "--results", "nowhere", "0"), "nowhere")
    with pytest.raises(StoreError, match="nowhere"):
        vcbench("show", "--results", "nowhere", "--debug", "0")

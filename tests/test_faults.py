"""Bad command lines, files and numbers: one line, exit status 2, no traceback, no argument repeated whole."""

import json
from pathlib import Path

import pytest
from console import told, vcbench

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
shots = [2]
replicates = 1
input_size = 16
"""
MANY = "9" * 5000


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder with one small suite in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(SUITE)
    return tmp_path


def refused(*arguments, words=()):
    ran = vcbench(*arguments)
    told(ran, *words)
    assert ran.stderr.count("\n") == 1 and len(ran.stderr) < 600 and "a fault of" not in ran.stderr, (
        ran.stderr
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "quick", "--nonsense"],
        ["plan"],
        ["nonsense"],
        ["plan", "quick", "--replicates", "many"],
        ["plan", "quick", "--replicates", MANY],
        ["plan", "quick", "--replicates", "100000"],
        ["plan", "x" * 300],
        ["plan", "x" * 5000],
        ["plan", "x" * 300 + ".toml"],
        ["status", "--results", "x" * 300],
        ["tables", "--results", "x" * 5000],
        ["plan", "cifar100", "--data-dir", "x" * 300],
        ["run", "quick", "--budget", f"{MANY}h"],
        ["run", "quick", "--budget", "9" * 400 + "h"],
        ["plan", "tiny", "--set", "delta=nan"],
        ["plan", "tiny", "--set", "delta=1e400"],
        ["plan", "tiny", "--set", f"delta={MANY}"],
        ["plan", "tiny", "--set", "delta=2020-01-01"],
        ["plan", "tiny", "--set", f"delta={'[' * 5000}{']' * 5000}"],
        ["plan", "tiny", "--set", "x" * 5000],
        ["plan", "tiny", "--set", "recipe.budget.epochs=nan"],
        ["plan", "tiny", "--set", "comparison.set=5", "--set", "recipe.budget.epochs=2"],
        ["plan", "tiny", "--set", "models.vit.model='resnet18.'"],
        ["plan", "tiny", "--set", "comparison.dataset='folder:~nosuchuser/x'"],
        ["plan", "tiny", "--set", 'comparison.dataset="folder:a\\u0000b"'],
        ["plan", "tiny", "--set", "models.vit.weights='file:~nosuchuser/x'"],
        ["plan", "tiny", "--set", "comparison.input_size=1000000000"],
        ["plan", "tiny", "--set", "comparison.replicates=100000"],
        ["plan", "tiny", "--set", "recipe.val_times=1000000000"],
        ["plan", "tiny", "--set", "recipe.augment.crop_pct=1e-320"],
        ["plan", "tiny", "--set", "recipe.augment.pad=1000000000"],
        ["plan", "tiny", "--set", "recipe.head_outputs=100000000"],
        ["plan", "tiny", "--set", "recipe.augment.ratio=[1e-320, 1]"],
        ["plan", "tiny", "--set", "recipe.optimizer.lr=1e300"],
        ["profile", "resnet18", "--input-size", "1" + "0" * 25],
        ["profile", "resnet18", "--input-size", MANY],
        ["profile", "resnet18", "--classes", "1" + "0" * 25],
        ["new", "--dataset", "~nosuchuser/x", "--models", "resnet18"],
        ["show", "../../outside", "--results", "."],
    ],
    ids=lambda arguments: " ".join(arguments)[:60],
)
def test_a_bad_command_line_is_one_line(arguments):
    refused(*arguments)


@pytest.mark.parametrize(
    "text",
    [
        "delta = nan",
        "delta = 1e400",
        "delta = -inf",
        f"delta = {MANY}",
        "delta = 2020-01-01",
        "delta = 12:30:00",
        f"x = {'[' * 5000}{']' * 5000}",
        f"x = {'{x=' * 3000}1{'}' * 3000}",
        'title = "a\\u0000b"',
        'title = "a\\u202Eb"',
        '"a\\u001bb" = 1',
        "title = '\xff",
    ],
    ids=lambda text: text[:30],
)
def test_a_bad_suite_is_one_line_that_names_the_file(folder, text):
    (folder / "bad.toml").write_bytes(text.encode("latin-1") + b"\n" + SUITE.encode())
    refused("plan", "bad.toml", words=["bad.toml"])


def test_a_suite_is_found_by_its_bare_name_and_a_folder_is_told(folder):
    assert vcbench("plan", "tiny", "--json").returncode == 0
    (folder / "photos").mkdir()
    refused("plan", "photos", words=["vcbench new --dataset photos"])
    refused("plan", "photos/", words=["it is a folder"])
    refused("plan", "tiny+1a2b3c", words=["tiny --set"])
    refused("plan", "tinny.toml", words=["no such file"])


def test_the_end_of_a_long_message_says_what_is_right():
    refused(
        "plan", "tiny", "--only", "x y " * 2000, words=["x ... y", "it has digits, vit, resnet, profiles"]
    )


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"files": 5}', '{"files": [5]}', "5", "[" * 100_000, "\xff", '{"files": {"a": 1e400}}'],
    ids=lambda text: text[:14],
)
def test_a_manifest_that_is_something_else(folder, text):
    from bench.errors import InputError
    from bench.report.manifest import listed_files

    (folder / "MANIFEST.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"MANIFEST.json.*, or remove it"):
        listed_files(folder)


def test_a_manifest_cannot_have_files_removed_elsewhere(folder):
    from bench.report.manifest import listed_files

    names = [
        "../tiny.toml",
        "/etc/passwd",
        "a\0b",
        "x" * 300,
        "..",
        "",
        "figures/../../tiny.toml",
        "figures/a.svg",
    ]
    (folder / "out").mkdir()
    (folder / "out" / "MANIFEST.json").write_text(json.dumps({"files": dict.fromkeys(names, "h")}))
    assert listed_files(Path("out")) == {Path("out/figures/a.svg")}


ROW = "ViT,none,32,digits,10,top1,{},p,s,confirmed"
HEAD = "model,pretraining,input_px,dataset,train_images,metric,value,protocol,source,status"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\xff",
        f'{HEAD}\n"open',
        f"{HEAD}\n{ROW.format(50)}\n{ROW.format(50)},more",
        *(f"{HEAD}\n{ROW.format(value)}" for value in ("1e400", "-5", "nan", "9" * 400, "101", "x", "1;2")),
    ],
    ids=range(11),
)
def test_literature_that_cannot_be(folder, text):
    from bench.errors import InputError
    from bench.report.literature import read_literature

    path = folder / "literature.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"literature\.csv(, line 2)?: "):
        read_literature(path)
    path.write_text(f"{HEAD}\n{ROW.format(50)}")
    assert [row["value"] for row in read_literature(path)] == [50]

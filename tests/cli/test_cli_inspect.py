"""vcbench inspect and explain, on a run of a small store and on networks with random weights."""

import json
import shutil
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from console import told, vcbench
from PIL import Image

import vcbench as api
from bench.inspection.images import from_file

SUITE = """
title = "two"
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
[comparison.set]
"budget.epochs" = 1
"budget.min_steps" = 4
"budget.batch_size" = 8
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a suite that was run; tests only read it."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "two.toml").write_text(SUITE)
    ran = vcbench("run", folder / "two.toml", "--results", folder / "results", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    return folder / "results"


def run_of(store, model):
    """The id of a model's run."""
    (run,) = (
        path.parent.name
        for path in (store / "runs").glob("*/record.json")
        if json.loads(path.read_text())["model"]["name"] == model
    )
    return run


def test_a_run_is_drawn_with_its_own_weights(made, tmp_path):
    run, out = run_of(made, "vit_digits"), tmp_path / "out"
    ran = vcbench(
        *("inspect", run[:8], "--dataset", "digits", "--index", 3, "--images", 16, "--device", "cpu"),
        *("--results", made, "--out", out),
    )
    assert ran.returncode == 0, ran.stderr
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "RANDOM" not in page and f"run {run}" in page and "val image 3 of digits" in page
    (probes,) = out.glob("probes-*.csv")
    assert pd.read_csv(probes)["val_top1"].between(0, 1).all()


def test_the_same_in_python(made):
    gallery = api.open(made).inspect(run_of(made, "resnet_digits"), dataset="digits", images=16, device="cpu")
    assert {"row", "column", "evidence"} <= set(gallery["evidence-" + gallery.views[0].model.name].data)
    assert any("attention matrices" in line for line in gallery.left_out)
    with pytest.raises(KeyError, match="there are"):
        gallery["no-such"]


def test_other_weights_for_a_run_are_refused(made, tmp_path):
    out = tmp_path / "out"
    asked = ("inspect", run_of(made, "vit_digits"), "--weights", "none", "--results", made, "--out", out)
    told(vcbench(*asked), "--weights none", "a run has weights of its own")
    assert not out.exists()


def test_removed_weights_are_said_with_the_command_that_makes_them(made, tmp_path):
    store = shutil.copytree(made, tmp_path / "results")
    run = run_of(store, "vit_digits")
    (store / "runs" / run / "weights.safetensors").unlink()
    told(vcbench("inspect", run, "--results", store), run, "keep_weights=true --only vit")


@pytest.fixture
def photo(tmp_path):
    """Writes an image file of a mode, and gives its path."""

    def write(mode="RGB", name="photo.png", size=(40, 30), **options):
        pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(tmp_path / name, **options)
        return tmp_path / name

    return write


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "I;16"])
def test_images_of_any_mode_are_read(photo, mode):
    pixels = from_file(photo(mode)).pixels
    assert pixels.shape == (30, 40, 3) and pixels.dtype == np.uint8


def test_an_image_is_turned_upright(photo):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    assert from_file(photo(name="turned.jpg", exif=exif)).pixels.shape == (40, 30, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--image", "nothing.png"), ("nothing.png", "missing")),
        (("--image", "text.png"), ("text.png", "not an image")),
        (("--image", "bomb.png"), ("bomb.png", "million pixels")),
        (("--dataset", "digits", "--index", "100000"), ("--index 100000", "images, 0 to")),
        (("--dataset", "digits", "--split", "test"), ("--split test", "train or val")),
        (("--dataset", "digit"), ("digit", "digits")),
        (("--index", "3"), ("--index 3", "--dataset")),
        (("--patch", "0,1"), ("--patch 0,1", "1,1 to")),
        (("--patch", "middle"), ("--patch middle", "ROW,COLUMN")),
        (("--class", "no such"), ("--class no such", "0 to")),
        (("--input-size", "17"), ("17", "multiple")),
        (("--weights", "some"), ("some", "card")),
    ],
)
def test_bad_input_is_one_line(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "bomb.png").write_bytes(bomb())
    told(vcbench("inspect", "vit_digits", "--images", "16", "--device", "cpu", *arguments), *words)


def bomb():
    """A PNG whose header states 40,000 x 40,000 px."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


def test_no_such_model_and_a_probe_are_one_line(made):
    told(vcbench("inspect", "vit_digit"), "vit_digit", "vit_digits")
    told(vcbench("inspect", "ffffffff", "--results", made), "ffffffff")


def test_explain_makes_one_page(photo, tmp_path):
    out = tmp_path / "page.html"
    ran = vcbench(
        "explain", "vit_digits", "resnet_digits", "--image", photo(), "--out", out, "--device", "cpu"
    )
    assert ran.returncode == 0, ran.stderr
    page = out.read_text(encoding="utf-8")
    assert page.count('name="image"') == 4 and "photo.png" in page and page.count("RANDOM WEIGHTS") >= 2
    assert ran.stdout.startswith(str(out))

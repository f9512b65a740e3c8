"""What `vcbench plan` expects of time and room, held against what happens."""

import json

import numpy as np
import pytest
from PIL import Image

from bench.files import cache_dir

SUITE = """
title = "own"
description = "for tests"
[models]
vit = {{ model = "vit_digits", weights = "{weights}" }}
[[comparison]]
name = "own"
dataset = "folder:photos"
contestants = ["vit"]
recipe = "{recipe}"
shots = ["all"]
replicates = 1
input_size = 16
"""


@pytest.fixture
def photos(tmp_path):
    random = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 10)):
        for name in ("a", "b"):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 255, (40, 50, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")


def bytes_in(*folders):
    return sum(path.stat().st_size for folder in folders for path in (cache_dir() / folder).rglob("*.npy"))


def planned(vcbench, *arguments):
    status, out, err = vcbench("plan", "own.toml", "--device", "cpu", "--json", *arguments)
    assert status == 0, err
    return json.loads(out)


@pytest.mark.parametrize("recipe", ["linear-probe", "knn"])
def test_room_is_what_is_then_taken_and_nothing_is_expected_twice(
    photos, vcbench, tmp_path, monkeypatch, recipe
):
    from bench.networks import find_card, make_model, resolve_weights
    from bench.networks.weight_file import tensors_as_bytes

    monkeypatch.setenv("VCBENCH_CACHE", str(tmp_path / "cache"))
    card = find_card("vit_digits")
    network = make_model(
        card, resolve_weights(card, "none", tmp_path, download=False), classes=2, input_size=16
    )
    (tmp_path / "vit.safetensors").write_bytes(tensors_as_bytes(network.state_dict()))
    text = SUITE.format(weights=f"file:{tmp_path / 'vit.safetensors'}", recipe=recipe)
    (tmp_path / "own.toml").write_text(text)
    before, said = bytes_in("images", "features"), planned(vcbench)
    assert said["remaining_s"] < 60 and said["trials"][0]["expected_s"] is not None
    assert vcbench("run", "own.toml", "--device", "cpu")[0] == 0
    taken = bytes_in("images", "features") - before
    assert taken / 1.5 < said["cache_bytes"] < taken * 1.5
    stored = sum(path.stat().st_size for path in (tmp_path / "results" / "runs").rglob("*") if path.is_file())
    assert said["store_bytes"] < stored
    # In another store the features are there already.
    again = planned(vcbench, "--results", "another")
    assert again["cache_bytes"] == 0 and again["remaining_s"] <= said["remaining_s"]


def test_images_that_are_not_kept_take_time_at_every_look_and_no_room(photos, vcbench, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.data.cache.seconds_an_image", lambda *args, **how: 1.0)
    text = SUITE.format(weights="none", recipe="scratch")
    (tmp_path / "own.toml").write_text(text)
    said = []
    for limit in ("", "0"):
        monkeypatch.setenv("VCBENCH_CACHE", str(tmp_path / f"cache{limit}"))
        monkeypatch.setenv("VCBENCH_CACHE_GB", limit)
        said.append(planned(vcbench))
    kept, streamed = said
    assert streamed["cache_bytes"] < kept["cache_bytes"]
    assert streamed["remaining_s"] > kept["remaining_s"] + 100  # images that training sees, at a second each


def test_time_needs_no_weights(photos, vcbench, tmp_path):
    text = SUITE.format(weights=f"file:{tmp_path / 'none.safetensors'}", recipe="linear-probe")
    (tmp_path / "own.toml").write_text(text)
    said = planned(vcbench)
    (trial,) = said["trials"]
    assert trial["state"] == "unresolved" and trial["expected_s"] is not None and trial["run"] is None
    assert said["cache_bytes"] > 0  # the features; the images may be decoded already


def test_a_size_that_a_model_does_not_take_is_told_in_one_line(photos, vcbench, tmp_path):
    text = SUITE.format(weights="none", recipe="scratch").replace("vit_digits", "convnext_tiny")
    (tmp_path / "own.toml").write_text(text)
    status, _, err = vcbench("plan", "own.toml", "--device", "cpu")
    assert status == 2 and err.startswith("vcbench: error: own: own: convnext_tiny takes no input of 16 px (")
    assert err.count("\n") == 1


@pytest.mark.parametrize("protocol", ["", 'protocol = "tuned"'])
def test_what_two_comparisons_share_is_expected_once(photos, vcbench, tmp_path, monkeypatch, protocol):
    monkeypatch.setattr("bench.running.estimate.Estimator._calibrated_rate", lambda *_: 0.01)
    text = SUITE.format(weights="none", recipe="scratch")
    head, mark, comparison = text.partition("[[comparison]]")
    comparison += f'{protocol}\nset = {{ "budget.epochs" = 10, "budget.batch_size" = 8 }}\n'
    (tmp_path / "own.toml").write_text(head + mark + comparison)
    once = planned(vcbench)
    (tmp_path / "own.toml").write_text(
        head + mark + comparison + mark + comparison.replace('"own"', '"again"')
    )
    twice = planned(vcbench)
    assert len(twice["trials"]) == 2 * len(once["trials"])
    assert twice["store_bytes"] == once["store_bytes"]
    # Decoding is timed anew.
    assert twice["remaining_s"] == pytest.approx(once["remaining_s"], abs=2) and once["remaining_s"] > 4


def test_a_network_that_is_too_slow_to_be_trained_here_is_not_timed_in_training(
    photos, vcbench, tmp_path, monkeypatch
):
    """No step is made, and the estimate is of the same order as that from steps."""
    (tmp_path / "own.toml").write_text(
        SUITE.format(weights="none", recipe="scratch") + 'set = { "budget.min_steps" = 4000 }\n'
    )
    from_steps = planned(vcbench)["remaining_s"]

    def no_step(*_):
        raise AssertionError("trained")

    monkeypatch.setattr("bench.running.estimate.LONGEST_STEP_S", 0.0)
    monkeypatch.setattr("bench.training.step.TrainingStep.__call__", no_step)
    assert from_steps / 20 < planned(vcbench)["remaining_s"] < from_steps * 20

"""The stages of a pick, each of which may end early without losing the answer."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_pick import CLASSES, MODELS, NAMES, fill

from bench.errors import InputError
from bench.networks import find_card, resolve_weights
from bench.picking.candidates import LeftOut
from bench.spec.suite import load_suite


def test_fine_tuning_that_fails_loses_no_answer(pick, tmp_path, monkeypatch):
    from bench.picking.length import Length

    def fails(*rest, **more):
        raise InputError("the disk is full")

    monkeypatch.setattr("bench.picking.suite.LENGTHS", (Length(1, 0),))
    monkeypatch.setattr("bench.picking.suite.MEASURING_S", 0)
    monkeypatch.setattr("bench.cli.running.run_and_tabulate", fails)
    status, out, err = pick("--budget", "5m")
    assert status == 0, err
    assert "Fine-tuning ended (the disk is full)" in out and (tmp_path / "pick-photos.json").exists()


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_damaged_image_loses_no_answer(pick, tmp_path, monkeypatch, split):
    from bench.data.subsets import growing_samples
    from bench.picking.race import sizes_of_rounds
    from bench.planning.new_suite import open_own

    monkeypatch.setattr("bench.picking.suite.LENGTHS", ())
    folder = fill(tmp_path / "photos")
    dataset = open_own(folder)
    labels = dataset.split_labels("train")
    first, second, *_ = growing_samples(
        dataset.id_name, dataset.split_id, labels, sizes_of_rounds(len(labels), len(CLASSES))
    )
    late = np.setdiff1d(second, first) if split == "train" else [0]
    damaged = Path(dataset.source(int(dataset.splits[split][late[0]])))
    damaged.write_bytes(damaged.read_bytes()[:60])
    status, out, err = pick("--budget", "60s", "--json", data=folder)
    assert status == 0, err
    answer = json.loads(out)
    stage = (
        f"race stopped at {len(first)} of 231 training images" if split == "train" else "judgement stopped"
    )
    assert f"The {stage}: {damaged}: cannot be decoded" in answer["next"]
    assert pd.DataFrame(answer["table"])["sample"].max() == (len(first) if split == "train" else 231)


def test_the_timing_of_a_slow_network_ends(photos, weights, monkeypatch):
    """Of one whose single image is slow no batch is timed; one that is late is left out between passes."""
    import bench.picking.features as features
    from bench.picking import pick as picking
    from bench.picking.candidates import Candidate
    from bench.picking.clock import ENDING, Clock
    from bench.picking.features import Extractor, Pictures
    from bench.planning.new_suite import open_own
    from bench.spec.recipe import Augment
    from bench.training.observer import Silent, Stopped

    dataset = open_own(photos)

    def candidates(is_over):
        for name in MODELS:
            card = find_card(name)
            yield Candidate(card, resolve_weights(card, "card", weights, download=False), len(CLASSES), 16)

    def race(milliseconds, seconds=60):
        monkeypatch.setattr(Extractor, "milliseconds", milliseconds)
        clock = Clock(seconds + ENDING, now=lambda: 0.0)
        return picking.pick(
            dataset, candidates, left_out, clock, input_size=16, device="cpu", precision="fp32",
            max_latency_ms=None, named=False, show=lambda *rest: None, note=lambda line: None,
            now=lambda: 0.0,
        )  # fmt: skip

    left_out: list[LeftOut] = []

    def of_each(extractor, batch, is_late):
        if extractor.candidate.name == MODELS[0]:
            assert batch == 1
            return 60_000 * picking.TIMING / picking.SLOW_IMAGES + 1
        if extractor.candidate.name == MODELS[1]:
            raise Stopped
        return float(batch)

    picked = race(of_each)
    assert picked.budget == 60 + ENDING
    batches = {name: one.batch for name, one in picked.entered.items()}
    assert batches == {MODELS[0]: 1, MODELS[2]: 8}
    assert [(one.card.name, one.reason) for one in left_out] == [(MODELS[1], "no time to time it")]
    slow = picked.entered[MODELS[0]]
    assert slow.images_per_s == pytest.approx(1000 / slow.latency_ms)

    with pytest.raises(InputError) as refused:  # a second an image, two seconds in all
        race(lambda extractor, batch, is_late: 1000.0 * batch, seconds=2)
    assert "--budget: 6 s are too little: timing and a first round on" in str(refused.value)

    monkeypatch.undo()
    extractor = Extractor(
        next(candidates(None)), Pictures(dataset, 16, "cpu", Augment(), Silent()), "fp32", Silent()
    )
    passes = []
    extractor.network.register_forward_hook(lambda *rest: passes.append(1))
    with pytest.raises(Stopped):
        extractor.milliseconds(1, lambda: len(passes) >= 2)
    assert len(passes) == 2
    passes.clear()
    extractor.milliseconds(1, lambda: False)
    assert len(passes) == 1 + features.PASSES


@pytest.mark.parametrize(("images", "tuned"), [(5, False), (6, True)])
def test_its_suite_searches_only_where_images_can_be_held_out(photos, tmp_path, images, tuned):
    """As `vcbench new` writes it: with fewer than two images of each of three classes it could not run."""
    from types import SimpleNamespace

    from bench.picking.length import SHORTEST
    from bench.picking.suite import write_pick_suite
    from bench.planning.new_suite import open_own

    dataset = open_own(photos)
    dataset.splits["train"] = dataset.splits["train"][:images]
    entered = {name: SimpleNamespace(candidate=SimpleNamespace(card=find_card(name))) for name in MODELS}
    picked = SimpleNamespace(dataset=dataset, entered=entered, input_size=16, precision="fp32")
    write_pick_suite(picked, f"folder:{photos}", list(MODELS), SHORTEST, tmp_path / "pick.toml")
    one = load_suite(str(tmp_path / "pick.toml")).comparison[0]
    assert (one.protocol == "tuned", one.search is not None) == (tuned, tuned)


def test_groups_in_many_small_classes(vcbench, weights, tmp_path):
    """The first samples have two images of a class, fewer than there are folds."""
    random, rows = np.random.default_rng(1), []
    for label in range(30):
        for image in range(12):
            path = tmp_path / f"{label}-{image}.png"
            Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(path)
            rows.append({"path": path.name, "label": f"c{label}", "group": f"{label}-{image // 2}"})
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    status, out, err = vcbench(
        "pick", str(tmp_path / "t.csv"), "--models", NAMES, "--input-size", "16", "--device", "cpu",
        "--weights-dir", str(weights), "--budget", "20s", "--json",
    )  # fmt: skip
    assert status == 0, err
    assert pd.DataFrame(json.loads(out)["table"])["sample"].max() > 60


def test_samples_have_the_shares_of_the_classes():
    from bench.data.subsets import draw_subset, growing_samples

    labels = np.array([0] * 900 + [1] * 90 + [2] * 10)
    small, large, whole = growing_samples("d", "s", labels, [100, 200, 1000])
    assert np.bincount(labels[small]).tolist() == [90, 9, 2]
    assert np.bincount(labels[large]).tolist() == [180, 18, 2]
    assert set(small) < set(large) < set(whole) and len(whole) == 1000
    even = np.arange(300) % 3
    (sample,) = growing_samples("d", "s", even, [30])
    assert np.array_equal(sample, draw_subset("d", "s", even, 10, 0))

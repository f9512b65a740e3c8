"""vcbench pick, on a small folder, with small networks whose weights lie in a folder."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_pick import MODELS
from small_store import listing, profile, write_store

import vcbench as api
from bench.machine import machine_name, versions
from bench.networks import find_card
from bench.picking.sentences import sentences
from bench.picking.trained import Trained, memory_by, trained_by
from bench.spec.suite import load_suite
from bench.store.run_store import RunStore
from bench.tables.tables import build_tables

MEASURED = """
[[profiles.measured]]
what = ["memory"]
models = ["vit_digits", "resnet_digits"]
classes = 3
input_size = 16
batch_sizes = [1, 4]
limits = false
"""  # speed and 32 images too would take half a minute


def test_an_answer_a_table_and_a_suite_that_goes_on(pick, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.picking.suite.LENGTHS", ())  # no time for fine-tuning
    status, out, err = pick("--budget", "60s", "--json")
    assert status == 0, err
    answer = json.loads(out)
    table = pd.DataFrame(answer["table"])
    assert set(table["model"]) == set(MODELS) and table["params"].gt(0).all()
    assert "val images that had no part in choosing it" in answer["answer"][0]
    judged = table.dropna(subset=["top1"])
    assert (judged["unseen"] == 33).all() and judged["low"].le(judged["top1"]).all()
    assert answer["best"] == judged["model"].iloc[0] and judged["cv_top1"].is_monotonic_decreasing
    assert "vcbench run pick-photos.toml" in answer["next"]
    suite = load_suite(str(tmp_path / "pick-photos.toml"))
    assert [one.name for one in suite.comparison] == ["photos-finetune", "photos-probe"]
    assert suite.comparison[0].protocol == "tuned" and len(suite.models) == len(judged)
    record = json.loads((tmp_path / "pick-photos.json").read_text())
    for row in judged.itertuples():
        right = record["judged"][row.model]
        assert np.mean(right) == pytest.approx(row.top1)
        assert record["rounds"][row.model][-1]["images"] == row.sample == 231
    assert len(record["val_positions"]) == 33 and set(record["weights"]) == set(MODELS)
    # The test split was not looked at.
    assert not (tmp_path / "results/evaluations").exists()


def test_fine_tuning_where_there_is_time_and_the_run_goes_on(pick, vcbench, tmp_path, weights, monkeypatch):
    from bench.picking.length import Length

    monkeypatch.setattr("bench.picking.suite.LENGTHS", (Length(2, 0),))
    monkeypatch.setattr("bench.picking.suite._measured", lambda picked, named: MEASURED)
    monkeypatch.setattr("bench.picking.pick.SURVIVORS", 2)
    status, out, err = pick("--budget", "5m", models="vit_digits,resnet_digits")
    assert status == 0, err
    assert "Three replicates would show" in out and "trained on all images" in out
    assert "linear probe" not in out
    store = api.open(tmp_path / "results")
    accuracy = store.accuracy.groupby(["recipe", "model"])["top1"].mean()
    assert {recipe for recipe, _ in accuracy.index} == {"finetune", "linear-probe"} and len(accuracy) == 4
    for model in ("vit_digits", "resnet_digits"):
        assert f"{accuracy['finetune', model]:.1%}" in out
    memory = store.memory.set_index(["model", "batch_size"])["peak_rss_mib"]
    for model in ("vit_digits", "resnet_digits"):
        title = find_card(model).title
        (row,) = [line for line in out.partition("\nMODEL ")[2].splitlines() if line.startswith(f"{title}  ")]
        assert f" {memory[model, 4]:.0f} " in row
    searched = store.search.groupby("contestant").size()
    assert searched.nunique() == 1  # the same search for both
    probe = next(one for one in RunStore(tmp_path / "results").results() if one.recipe == "linear-probe")
    away = ("--format", "onnx", "--out", "away", "--uncalibrated", "--weights-dir", str(weights))
    status, out, err = vcbench("export", probe.id, *away)
    assert status == 0, err


def test_the_same_command_again_uses_what_it_has(pick, monkeypatch):
    import bench.picking.features as features

    monkeypatch.setattr("bench.picking.suite.LENGTHS", ())
    assert pick("--budget", "60s")[0] == 0
    monkeypatch.setattr(features, "forward_all", lambda *rest, **more: pytest.fail("computed again"))
    status, out, _ = pick("--budget", "60s")
    assert status == 0 and "PARETO" in out


def test_in_python(photos, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.picking.suite.LENGTHS", ())
    answer = api.pick(
        photos, "60s", models=MODELS, input_size=16, device="cpu", weights_dir=weights, progress=False
    )
    assert answer.best in MODELS and answer.best in set(answer.table["model"])
    assert str(answer).startswith(("Take ", answer.table["title"].iloc[0]))
    assert api.load_suite(answer.suite).name == "pick-photos"
    assert len(answer.figure().axes[0].texts) == answer.table["group"].notna().sum()
    assert "<table" in answer._repr_html_()


def test_real_images_and_weights(vcbench, real_data, tmp_path):
    """On the real data the table says what the linear-probe recipe says of the same images."""
    from bench.data import open_dataset

    status, out, err = vcbench(
        "pick", "flowers102", "--budget", "10m", "--data-dir", str(real_data), "--device", "cpu",
        "--input-size", "64", "--models", "tf_efficientnet_lite0,deit_tiny_patch16_224_lnq", "--json",
    )  # fmt: skip
    assert status == 0, err
    table = pd.DataFrame(json.loads(out)["table"])
    assert open_dataset("flowers102", None, real_data).counts()["train"] == 1020
    row = table.set_index("model").loc["tf_efficientnet_lite0"]
    assert row["sample"] == 1020 and row["unseen"] == 1020
    # Held out once each and fitted to four fifths, against val and fitted to all: within a few points.
    assert row["cv_top1"] - 0.03 < row["top1"] < row["cv_top1"] + 0.12
    assert row["top1"] > 0.3


def test_what_fine_tuning_came_to_is_that_of_the_table_of_accuracies(tmp_path):
    """Of the first replicates of the suite's own trials alone, whatever else the store holds."""
    rng = np.random.default_rng(1)
    root = write_store(
        tmp_path / "store", {(model, None): rng.random((3, 40)) < 0.5 for model in ("vit", "resnet")}
    )
    write_store(root, {("vit", 5): rng.random((2, 40)) < 0.9}, suite="other")
    table = build_tables(RunStore(root))["accuracy"]
    own = table[(table["suite"] == "small") & (table["replicate"] == 0)]
    found = trained_by(root, Path("small.toml"))
    assert len(found) == len(own) == 2
    for key, row in own.set_index(["recipe", "model"])[["val_top1", "top1"]].iterrows():
        assert (found[key].val, found[key].top1) == pytest.approx(tuple(row))
        # The estimate is that of the images by which it is tested and has its interval.
        assert found[key].correct.mean() == pytest.approx(found[key].top1) and found[key].replicates == 3


def test_memory_is_that_of_this_machine_at_one_batch(tmp_path):
    """Of a store that other machines, devices and versions have measured in too."""
    root, here = tmp_path / "store", {"machine": machine_name(), "device": "cpu", "versions": versions()}
    made = {}
    for model, batch, peak, where in (
        ("vit", 1, 10.0, {}),
        ("vit", 32, 20.0, {}),
        ("vit", 32, 90.0, {"machine": "another"}),
        ("resnet", 1, 30.0, {}),
        ("convnext", 32, 91.0, {"device": "Example GPU"}),
        ("deit", 32, 92.0, {"versions": versions() | {"torch": "0"}}),
        ("deit", 64, 93.0, {}),
    ):
        key = f"{len(made):012x}"
        made[key] = profile(
            id=key, what="memory", model=model, mode="infer", batch_size=batch, input_size=16,
            precision="fp32", as_trained=True, peak_rss_mib=peak, **here | where,
        )  # fmt: skip
    store = RunStore(root)
    for one in made.values():
        store.finish_profile(one.id, one.content() | {"format": 1, "kind": "profile"})
    asked = {"mode": "infer", "input_size": 16, "classes": 3, "precision": "fp32", "batch_sizes": [1, 32]}
    store.write_suite(listing(profiles=list(made), headlines=[asked | {"scaling_batch_size": None}]))
    assert memory_by(root, Path("small.toml"), "cpu") == {"vit": 20.0}


def test_after_training_the_whole_answer_is_by_what_was_trained(photos, weights, tmp_path, monkeypatch):
    """Winner, those not told apart, cost and the other family: not those of the race any more."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.picking.suite.LENGTHS", ())
    answer = api.pick(
        photos, "60s", models=MODELS, input_size=16, device="cpu", weights_dir=weights, progress=False
    )
    picked = answer.picked
    first, title = picked.best, {name: one.candidate.card.title for name, one in picked.entered.items()}
    kinds = {name: one.kind for name, one in picked.entered.items()}
    second = next(name for name in picked.survivors if kinds[name] != kinds[first])
    tests = len(picked.dataset.splits["test"])

    def right(count):
        return np.arange(tests) < count

    def trained(**counts):
        """By recipe and model, right on so many test images; on val the same share."""
        made = {("finetune", first): counts["a"], ("finetune", second): counts["b"]}
        made |= {("linear-probe", first): 1, ("linear-probe", second): 2}
        return {
            key: Trained(counts.get("val", count / tests), count / tests, right(count))
            for key, count in made.items()
        }

    take, cost, family = sentences(picked, trained(a=20, b=60))
    assert take.startswith(
        f"Take {title[second]} fine-tuned, which is the best on val: trained on all images"
    )
    assert f"right on {100 * 60 / tests:.1f} % of {tests} test images" in take
    assert f"{title[first]} fine-tuned ({100 * 20 / tests:.1f} %)" in take.split("told apart from it: ")[1]
    params = picked.entered[second].candidate.parameters
    assert cost.startswith(f"{title[second]} has {params / 1e6:.1f} million parameters")
    assert title[first] not in cost  # it is told apart, so that its speed is no reason
    assert family.endswith(f"{title[first]} fine-tuned, is {100 * 40 / tests:.1f} points behind.")

    take, _, family = sentences(picked, trained(a=59, b=60))
    assert f"is the best on val, but is not told apart from {title[first]} fine-tuned" in take
    assert family.endswith("which may be chance.")

    # Without val nothing is chosen by the test split: the first of the race stays.
    take, cost, _ = sentences(picked, trained(a=20, b=60, val=float("nan")))
    assert f"{title[first]} fine-tuned" in take.split(":")[0] and "came first in the race" in take
    assert cost.startswith(title[first])

    # Without judgement the words say what is wrong with the number.
    for one in picked.entered.values():
        one.judged = None
    picked.val = np.empty(0, np.int64)
    assert "231 training images, each held out once, a little too good" in sentences(picked, {})[0]

    # Of the other kind none was trained.
    alone = {key: one for key, one in trained(a=20, b=60).items() if key[1] == first}
    *_, family = sentences(picked, alone)
    assert title[second] in family and family.endswith("on frozen features; it was not trained.")

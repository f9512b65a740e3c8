"""Repeated k-fold from a suite to the report: digits as a small folder, against a plain loop over folds."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from console import told, vcbench
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

import vcbench as api
from bench.analysis import changes
from bench.analysis.decisions import judge
from bench.analysis.kfold import fold_parts
from bench.analysis.predictions import Predictions
from bench.analysis.recipe_book import measured
from bench.analysis.simulation.kfold import stored
from bench.analysis.statistics import ends, parts
from bench.data import open_dataset
from bench.metrics.accuracy import score
from bench.report.evidence import gather
from bench.spec.job import evaluation_id
from bench.store.run_store import RunStore

FOLDS, REPEATS, CLASSES, IMAGES = 3, 3, 3, 8
SUITE = """
title = "figures"
description = "for tests"
[models]
resnet = { model = "resnet_digits" }
vit = { model = "vit_digits" }
[[comparison]]
name = "own"
dataset = "folder:FOLDER"
split_id = "kfold-3"
contestants = ["resnet", "vit"]
recipe = "scratch"
shots = ["all"]
replicates = 3
input_size = 16
contrasts = [["vit", "resnet"]]
conditions = ["brightness-3"]
[comparison.set]
"budget.epochs" = 1
"budget.min_steps" = 8
"budget.batch_size" = 8
"augment.resize" = "squash"  # pixels as they are
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of 24 digits of three classes, and a suite on it that was run."""
    folder = tmp_path_factory.mktemp("made")
    digits = load_digits()
    for name in range(CLASSES):
        for k, number in enumerate(np.flatnonzero(digits.target == name)[:IMAGES]):
            path = folder / "figures" / str(name) / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((digits.images[number] * 15).astype(np.uint8)).resize((16, 16)).save(path)
    (folder / "folds.toml").write_text(SUITE.replace("FOLDER", str(folder / "figures")))
    ran = vcbench("run", folder / "folds.toml", "--results", folder / "results", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture(scope="module")
def store(made):
    return RunStore(made / "results")


@pytest.fixture(scope="module")
def entries(store):
    return store.suite("folds").trials


def test_a_repeat_is_one_row_of_all_images(made, store, entries):
    assert len(entries) == REPEATS * 2
    accuracy = pd.read_csv(made / "results/tables/accuracy.csv")
    assert len(accuracy) == 2 * REPEATS * 2 and set(accuracy["condition"]) == {"clean", "brightness-3"}
    accuracy = accuracy[accuracy["condition"] == "clean"]
    assert sorted(accuracy["run"]) == sorted(entry.id for entry in entries)
    assert len(accuracy) == REPEATS * 2 and set(accuracy["split_id"]) == {"kfold-3"}
    assert set(accuracy["test_images"]) == {CLASSES * IMAGES} and accuracy["top1"].notna().all()
    assert sorted(set(accuracy["replicate"])) == [0, 1, 2]
    contrast, under = pd.read_csv(made / "results/tables/contrasts.csv").to_dict("records")
    assert (under["condition"], under["replicates"]) == ("brightness-3", 3)
    assert (contrast["replicates"], contrast["images"], contrast["planned"]) == (3, CLASSES * IMAGES, 3)


def test_every_network_is_one_of_a_plain_loop_over_folds(made, store, entries):
    """The stored weights of a fold, on the images that scikit-learn puts in it, give what the repeat has."""
    from bench.networks import find_card, make_model
    from bench.networks.weights import Weights

    whole = open_dataset(f"folder:{made / 'figures'}", "kfold-3", made)
    images = np.stack([whole.read(i) for i in range(len(whole.labels))])
    for entry in entries:
        if entry.contestant != "resnet":
            continue
        card = find_card("resnet_digits")
        normal = (images / 255 - np.array(card.mean)) / np.array(card.std)
        pixels = torch.tensor(normal, dtype=torch.float32).permute(0, 3, 1, 2)
        logits = np.full((len(images), CLASSES), np.nan)
        splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=entry.replicate)
        for run, (_, test) in zip(entry.folds, splitter.split(images, whole.labels), strict=True):
            network = make_model(
                card, Weights("none", "none", None, ""), classes=CLASSES, input_size=16, drop_path=0.0, seed=0
            )
            network.load_state_dict(load_file(store.files(run).weights))
            network.eval()
            with torch.inference_mode():
                logits[test] = network(pixels[test]).numpy()
        result = store.result(entry.id)
        expected = score(logits, whole.labels)
        columns = store.prediction_columns(result)
        assert columns["predicted"].tolist() == logits.argmax(1).tolist()
        for name in ("top1", "top5", "mean_per_class", "nll"):
            assert getattr(result.metrics, name) == pytest.approx(expected[name], abs=1e-4), name
        assert result.metrics.ece == pytest.approx(expected["ece"], abs=2e-3)
        shares = torch.tensor(logits).softmax(1).numpy()
        assert np.allclose(store.probabilities(entry.id), shares, atol=2e-3)


def test_a_repeat_is_joined_again_where_a_fold_was_trained_anew(made, entries, tmp_path):
    """The weights of one fold are others, and so is its loss; nothing is trained for that here."""
    results = shutil.copytree(made / "results", tmp_path / "results")
    entry, rise = entries[0], 24.0
    fold = entry.folds[1]
    evaluated = [evaluation_id(fold, condition) for condition in ("clean", "brightness-3")]
    for place in (f"runs/{fold}", *(f"evaluations/{name}" for name in evaluated)):
        path = results / place / "record.json"
        record = json.loads(path.read_text())
        record["weights_sha256"] = "0" * 64
        if "nll" in record["metrics"]:
            record["metrics"]["nll"] += rise
        path.write_text(json.dumps(record))
    before = [RunStore(results).result(run) for run in (entry.id, entries[1].id)]
    ran = vcbench("run", made / "folds.toml", "--results", results, "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    after = [RunStore(results).result(run) for run in (entry.id, entries[1].id)]
    assert after[0].metrics.nll == pytest.approx(before[0].metrics.nll + rise / FOLDS)
    assert RunStore(results).result(entry.id, "brightness-3") is not None
    assert after[1] == before[1]


def test_no_two_networks_share_a_seed_and_models_share_their_images(store, entries):
    by_model = {}
    for entry in entries:
        folds = [store.trial(run).identity for run in entry.folds]
        assert [one.split_id for one in folds] == [
            f"kfold-3-repeat-{entry.replicate}-fold-{fold}" for fold in range(FOLDS)
        ]
        by_model.setdefault(entry.contestant, []).extend((one.split_id, one.seed) for one in folds)
    assert by_model["vit"] == by_model["resnet"]
    assert sorted(seed for _, seed in by_model["vit"]) == list(range(FOLDS * REPEATS))


def test_repeats_are_replicates_of_one_recipe(store, entries):
    book = {one.first.model.name: {record.id for record in one.records} for one in measured([store])}
    assert book == {
        f"{model}_digits": {entry.id for entry in entries if entry.contestant == model}
        for model in ("resnet", "vit")
    }


def test_the_result_of_a_repeat_is_made_of_its_folds(store, entries):
    for entry in entries:
        result, folds = store.result(entry.id), [store.result(run) for run in entry.folds]
        assert result.details["folds"] == entry.folds
        assert result.top1 == pytest.approx(np.mean([one.top1 for one in folds]))  # folds are of one size
        assert result.wall_s == pytest.approx(sum(one.wall_s for one in folds), abs=0.01)
        assert result.metrics.val_top1 == pytest.approx(np.mean([one.metrics.val_top1 for one in folds]))
        assert np.bincount(result.details["fold_of"]).tolist() == [len(result.details["fold_of"]) // 3] * 3


def test_the_report_has_the_repeats(made):
    reported = vcbench("report", "folds", "--results", made / "results", "--out", made / "report")
    assert reported.returncode == 0, reported.stderr
    assert "kfold-3" in (made / "report/index.html").read_text()
    appendix = (made / "report/appendix.html").read_text()
    assert "6 of 6 done, none missing" in appendix
    assert "In own every image is tested once a replicate, by that one of 3 networks" in appendix
    rates = stored().query("rule == 'folds' and repeats == 3 and holds == holds")["false_claims"]
    assert f"in at most {100 * rates.max():.1f} % with 3 replicates" in appendix


def test_a_cell_alone_and_two_stores_know_of_the_folds_too(store, monkeypatch):
    """Not the replicates alone, of which there are three."""
    evidence = gather(store, "folds")
    for cell in evidence.cells:
        table = evidence.predictions.scores_of(cell.records)
        folds = np.array([record.details["fold_of"] for record in cell.records])
        low, high = ends(fold_parts(table, folds), bounds=(0, 1))
        assert (cell.interval.low, cell.interval.high) == pytest.approx((max(low, 0), min(high, 1)))
    judged = []
    monkeypatch.setattr(changes, "judge", lambda cells, **rest: judged.extend(cells) or judge(cells, **rest))
    assert {one.verdict for one in changes.find_changes(store, store)} == {"identical"}
    assert len(judged) == 2
    assert all(np.array_equal(one.fold_of, folds) for one in judged)


def test_what_needs_one_network_asks_for_that_of_a_fold(made, entries, tmp_path):
    where = ("--results", made / "results", "--device", "cpu")
    told(vcbench("reproduce", entries[0].id, *where), f"name the run of one: {', '.join(entries[0].folds)}")
    taken = vcbench(
        "export", entries[0].id, "--format", "timm", "--out", tmp_path, "--results", made / "results"
    )
    told(taken, "name the run of one")
    again = vcbench("reproduce", entries[0].folds[1], *where)
    assert again.returncode == 0 and "identical" in again.stdout


def test_predictions_from_elsewhere_are_not_set_against_folds(made, tmp_path):
    pd.DataFrame({"image": range(24), "predicted": [0] * 24}).to_parquet(tmp_path / "mine.parquet")
    asked = ("score", tmp_path / "mine.parquet", "--dataset", f"folder:{made / 'figures'}")
    scored = vcbench(*asked, "--split-id", "kfold-3", "--results", made / "results")
    told(scored, "need a test split of their own")


def test_suspect_labels_are_of_the_folds_that_were_run(made, tmp_path):
    asked = ("data", "suspects", f"folder:{made / 'figures'}", "--out", tmp_path / "suspects")
    ran = vcbench(*asked, "--results", made / "results")
    assert ran.returncode == 0 and "of 24 test labels are suspect" in ran.stdout, ran


def test_python_has_the_same_tables(made):
    results = api.open(made / "results")
    assert len(results.accuracy) == 2 * REPEATS * 2


def test_running_again_trains_nothing(made):
    again = vcbench("run", made / "folds.toml", "--results", made / "results", "--device", "cpu")
    assert again.returncode == 0 and "finished" not in again.stdout
    planned = vcbench("plan", made / "folds.toml", "--results", made / "results", "--device", "cpu")
    assert "18 trials, 18 done, 0 to do" in planned.stdout


def test_garbage_collection_keeps_the_weights_of_folds(made, store, entries):
    collected = vcbench("gc", "--results", made / "results", "--dry-run")
    assert collected.returncode == 0 and "weights" not in collected.stdout


def test_a_repeat_that_lacks_a_fold_is_incomplete(made, tmp_path, entries):
    shutil.copytree(made / "results", tmp_path / "results")
    store, first = RunStore(tmp_path / "results"), entries[0]
    for kind, name in (("runs", first.id), ("runs", first.folds[1])):
        shutil.rmtree(store.folder_of(kind, name))
    status = vcbench("status", "folds", "--results", store.root, "--json")
    (row,) = json.loads(status.stdout)
    assert (row["trials"], row["done"]) == (18, 17)
    assert vcbench("tables", "--results", store.root).returncode == 0
    assert len(pd.read_csv(store.root / "tables/accuracy.csv")) == 2 * (REPEATS * 2 - 1)
    ran = vcbench("run", made / "folds.toml", "--results", store.root, "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    before, after = RunStore(made / "results").result(first.id), RunStore(store.root).result(first.id)
    assert after.metrics == before.metrics and after.details == before.details


def test_a_repeat_with_a_network_that_diverged_is_at_chance(made, tmp_path, entries):
    shutil.copytree(made / "results", tmp_path / "results")
    store, first = RunStore(tmp_path / "results"), entries[0]
    path = store.record_of("runs", first.folds[1])
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"outcome": "diverged", "reason": "its loss was not finite"}))
    shutil.rmtree(store.folder_of("runs", first.id))
    ran = vcbench("run", made / "folds.toml", "--results", store.root, "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    result = RunStore(store.root).result(first.id)
    assert (result.outcome, result.reason) == ("diverged", "fold 1: its loss was not finite")
    accuracy = pd.read_csv(store.root / "tables/accuracy.csv").query("condition == 'clean'")
    assert accuracy.set_index("run").loc[first.id, "top1"] == pytest.approx(1 / CLASSES)
    (contrast, _) = pd.read_csv(store.root / "tables/contrasts.csv").to_dict("records")
    predictions = Predictions(RunStore(store.root))
    scores = {}
    for model in ("vit", "resnet"):
        results = [predictions.store.result(entry.id) for entry in entries if entry.contestant == model]
        scores[model] = predictions.scores_of(results)
    plain = ends(parts(scores["vit"] - scores["resnet"]))
    assert (contrast["low"], contrast["high"]) == pytest.approx(tuple(map(float, plain)))


def test_a_repeat_whose_predictions_are_lost_is_left_out(made, tmp_path, entries):
    shutil.copytree(made / "results", tmp_path / "results")
    store, first = RunStore(tmp_path / "results"), entries[0]
    shutil.rmtree(store.folder_of("runs", first.id))
    for condition in ("clean", "brightness-3"):
        shutil.rmtree(store.folder_of("evaluations", evaluation_id(first.id, condition)))
    lost = store.evaluation_files(first.folds[2]).predictions
    lost.unlink()
    ran = vcbench("run", made / "folds.toml", "--results", store.root, "--device", "cpu")
    assert ran.returncode == 0 and f"{lost}: is not there; the repeat of this fold is left out" in ran.stderr
    accuracy = pd.read_csv(store.root / "tables/accuracy.csv").query("condition == 'clean'")
    assert first.id not in set(accuracy["run"]) and len(accuracy) == REPEATS * 2 - 1


@pytest.mark.slow
def test_replicates_until_decided_are_added_as_repeats(made, tmp_path):
    """Two trainings of one model, whose contrast is judged whether or not they were trained."""
    text = (made / "folds.toml").read_text()
    for old, new in (
        ("kfold-3", "kfold-2"),
        ('{ model = "vit_digits" }', '{ model = "resnet_digits", set = { label_smoothing = 0.2 } }'),
        ("replicates = 3", 'replicates = { start = 3, until = "decided", max = 4 }'),
        ('conditions = ["brightness-3"]\n', ""),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "more.toml").write_text(text)
    ran = vcbench("run", tmp_path / "more.toml", "--results", tmp_path / "results", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    (contrast,) = pd.read_csv(tmp_path / "results/tables/contrasts.csv").to_dict("records")
    assert (contrast["verdict"], contrast["replicates"], contrast["looks"]) == ("inconclusive", 4, 2)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("kfold-3", "kfold-9"), "class '0' has 8 images; ask for at most kfold-8"),
        (("kfold-3", "kfold-1"), "at least 2 folds are needed"),
        (("kfold-3", "kfold-3-repeat-0-fold-1"), 'a comparison takes all: split_id = "kfold-3"'),
        (("replicates = 3", "replicates = 0"), "should be a number from 1"),
        (("replicates = 3", 'protocol = "tuned"\nreplicates = 3'), "no values can be searched"),
    ],
)
def test_what_cannot_be_is_told_before_anything_runs(made, tmp_path, change, problem):
    text = (made / "folds.toml").read_text()
    (tmp_path / "wrong.toml").write_text(text.replace(*change))
    told(vcbench("plan", tmp_path / "wrong.toml", "--results", tmp_path / "results"), problem)

"""vcbench score: predictions from elsewhere, right ones and all kinds of wrong ones."""

import json

import numpy as np
import pandas as pd
import pytest
from console import told, vcbench
from scipy.stats import binomtest, ttest_1samp
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, top_k_accuracy_score
from small_store import labels, run_id, write_store

from bench.data import open_dataset
from bench.store.run_store import RunStore
from bench.tables.tables import build_tables

IMAGES = 400
TRUE = labels(IMAGES).astype(np.int64)


@pytest.fixture
def right():
    random = np.random.default_rng(0)
    return {("vit", 5): random.random((3, IMAGES)) < 0.6, ("resnet", 5): random.random((3, IMAGES)) < 0.7}


@pytest.fixture
def store(tmp_path, right):
    return write_store(tmp_path / "store", right, diverged=(run_id("vit", 5, 2),))


@pytest.fixture
def probabilities():
    """Of each class (n, 10), right about two times in three."""
    random = np.random.default_rng(1)
    logits = random.normal(size=(IMAGES, 10)) + 2 * np.eye(10)[TRUE]
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def file(tmp_path, **columns):
    pd.DataFrame(columns).to_parquet(tmp_path / "mine.parquet")
    return tmp_path / "mine.parquet"


def scored(path, store, *arguments):
    return vcbench(
        "score", path, "--dataset", "digits", "--split-id", "frozen", "--results", store, *arguments
    )


def test_metrics_are_those_of_scikit_learn(store, tmp_path, probabilities):
    path = file(tmp_path, image=np.arange(IMAGES), probabilities=list(probabilities), label=TRUE)
    ran = scored(path, store, "--json")
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    metrics, predicted = said["record"]["metrics"], probabilities.argmax(1)
    assert metrics["top1"] == pytest.approx(accuracy_score(TRUE, predicted))
    assert metrics["mean_per_class"] == pytest.approx(balanced_accuracy_score(TRUE, predicted))
    assert metrics["top5"] == pytest.approx(top_k_accuracy_score(TRUE, probabilities, k=5))
    assert metrics["nll"] == pytest.approx(log_loss(TRUE, probabilities))
    interval = binomtest(int((predicted == TRUE).sum()), IMAGES).proportion_ci(method="wilson")
    assert said["record"]["top1_wilson"] == pytest.approx([interval.low, interval.high])
    assert f"mine reaches {100 * metrics['top1']:.1f} % top-1 accuracy" in said["sentence"]
    assert "brought from outside" in said["sentence"]
    kept = json.loads((store / "brought/mine/record.json").read_text())
    assert kept == said["record"] and kept["origin"] == "brought from outside"
    frame = pd.read_parquet(store / "brought/mine/predictions.parquet")
    assert np.array_equal(frame["predicted"], predicted)
    table = build_tables(RunStore(store))["brought"]
    assert list(table["name"]) == ["mine"] and table.loc[0, "top1"] == metrics["top1"]


def test_the_order_of_rows_does_not_matter(store, tmp_path, probabilities):
    order = np.random.default_rng(2).permutation(IMAGES)
    one = file(tmp_path, image=np.arange(IMAGES), probabilities=list(probabilities))
    first = json.loads(scored(one, store, "--json", "--name", "a").stdout)
    other = file(tmp_path, image=order, probabilities=list(probabilities[order]), label=TRUE[order])
    second = json.loads(scored(other, store, "--json", "--name", "b").stdout)
    assert first["record"]["metrics"] == second["record"]["metrics"] and first["beside"] == second["beside"]


def test_classes_alone_measure_what_they_can(store, tmp_path, probabilities):
    predicted = probabilities.argmax(1)
    path = file(tmp_path, image=np.arange(IMAGES), predicted=predicted)
    ran = scored(path, store)
    assert ran.returncode == 0 and ran.stdout.count("needs probabilities") == 3
    metrics = json.loads((store / "brought/mine/record.json").read_text())["metrics"]
    assert metrics["top1"] == pytest.approx((predicted == TRUE).mean())
    assert metrics["mean_per_class"] == pytest.approx(balanced_accuracy_score(TRUE, predicted))
    assert [metrics[name] for name in ("top5", "nll", "ece")] == [None] * 3


def test_of_classes_that_are_equally_probable_the_file_may_name_any(store, tmp_path, probabilities):
    probabilities[0] = np.eye(10)[[2, 7]].mean(0)
    predicted = probabilities.argmax(1)
    predicted[0] = 7
    path = file(
        tmp_path, image=np.arange(IMAGES), probabilities=list(probabilities), predicted=predicted, label=TRUE
    )
    ran = scored(path, store, "--json")
    assert ran.returncode == 0, ran.stderr
    top1 = json.loads(ran.stdout)["record"]["metrics"]["top1"]
    assert top1 == accuracy_score(TRUE, probabilities.argmax(1))


def test_pairs_are_described_by_mcnemar(store, tmp_path, right):
    mine = np.random.default_rng(3).random(IMAGES) < 0.8
    path = file(tmp_path, image=np.arange(IMAGES), predicted=np.where(mine, TRUE, (TRUE + 2) % 10))
    pairs = json.loads(scored(path, store, "--json").stdout)["beside"]
    assert {row["run"] for row in pairs} == {
        run_id(model, 5, r) for model in ("vit", "resnet") for r in range(3) if (model, r) != ("vit", 2)
    }
    assert [row["top1"] for row in pairs] == sorted((row["top1"] for row in pairs), reverse=True)
    known = {run_id(model, 5, r): right[model, 5][r] for model in ("vit", "resnet") for r in range(3)}
    for row in pairs:
        theirs = known[row["run"]]
        only, lost = (mine & ~theirs).sum(), (theirs & ~mine).sum()
        assert (row["only_brought"], row["only_run"]) == (only, lost)
        assert row["p"] == pytest.approx(binomtest(only, only + lost).pvalue)
        assert row["difference"] == pytest.approx(mine.mean() - theirs.mean())
    assert "particular trained networks, no verdict" in scored(path, store).stdout


def test_replicates_are_compared_by_their_mean(store, tmp_path, right):
    mine = np.random.default_rng(3).random(IMAGES) < 0.8
    path = file(tmp_path, image=np.arange(IMAGES), predicted=np.where(mine, TRUE, (TRUE + 2) % 10))
    ran = scored(path, store)
    lines = [line.split() for line in ran.stdout.splitlines() if "scratch" in line]
    assert [(line[-7], line[-6]) for line in lines] == [("5", "3"), ("5", "2")]  # one of vit diverged
    models = json.loads(scored(path, store, "--json").stdout)["models"]
    for row, runs in zip(models, (right["resnet", 5], right["vit", 5][:2]), strict=True):
        difference = mine - runs.mean(0)
        assert row["top1"] == pytest.approx(runs.mean())
        assert row["difference"] == pytest.approx(difference.mean())
        interval = ttest_1samp(difference, 0).confidence_interval()
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))


def test_without_runs_the_labels_come_from_the_data(tmp_path):
    true = open_dataset("digits", "frozen", tmp_path).split_labels("test")
    path = file(tmp_path, image=np.arange(len(true)), predicted=true, label=true)
    ran = scored(path, tmp_path / "new")
    assert ran.returncode == 0 and "100.0 %" in ran.stdout and "No stored run" in ran.stdout
    assert list((tmp_path / "new/labels").glob("digits-frozen-*.parquet"))
    assert vcbench("tables", "--results", tmp_path / "new").returncode == 0
    told(
        vcbench("score", path, "--dataset", "flowers102", "--split-id", "official", "--data-dir", "none",
                "--results", tmp_path / "new"),
        "vcbench data fetch flowers102",
    )  # fmt: skip


WRONG = {
    "no image column": ({"predicted": TRUE}, ['"image"', "it has: predicted"]),
    "no answers": ({"image": np.arange(IMAGES)}, ['"predicted"', '"probabilities"']),
    "an unknown column": ({"image": np.arange(IMAGES), "class": TRUE}, ['unknown column "class"']),
    "a missing image": (
        {"image": np.arange(IMAGES - 1), "predicted": TRUE[:-1]},
        ["1 of the 400 test images have no row", "image 399"],
    ),
    "an image twice": (
        {"image": np.r_[np.arange(IMAGES), 7], "predicted": np.r_[TRUE, 7]},
        ["1 of the 400", "more than one row", "image 7"],
    ),
    "an image too many": (
        {"image": np.r_[np.arange(IMAGES), IMAGES], "predicted": np.r_[TRUE, 0]},
        ['"image"', "0 to 399", "400"],
    ),
    "images counted from 1": (
        {"image": np.arange(1, IMAGES + 1), "predicted": TRUE},
        ['"image"', "from 0", "400"],
    ),
    "images that are names": (
        {"image": [f"{i}.jpg" for i in range(IMAGES)], "predicted": TRUE},
        ['"image"', "whole numbers"],
    ),
    "a class too many": (
        {"image": np.arange(IMAGES), "predicted": TRUE + 1},
        ['"predicted"', "0 to 9", "10"],
    ),
    "a gap": (
        {"image": np.arange(IMAGES), "predicted": pd.array([None, *TRUE[1:]], "Int64")},
        ['"predicted"', "without gaps"],
    ),
    "labels from 1": (
        {"image": np.arange(IMAGES), "predicted": TRUE, "label": TRUE + 1},
        ["400 of 400 labels", "count from 1"],
    ),
    "labels of another split": (
        {"image": np.arange(IMAGES), "predicted": TRUE, "label": np.roll(TRUE, 1)},
        ["400 of 400 labels", "image 0: 9, not 0", "vcbench data list"],
    ),
    "logits": (
        {"image": np.arange(IMAGES), "probabilities": list(3.0 * np.eye(10)[TRUE] - 1)},
        ["400 images", "softmax"],
    ),
    "not a number": (
        {"image": np.arange(IMAGES), "probabilities": list(np.full((IMAGES, 10), np.nan))},
        ["400 images", "not finite"],
    ),
    "too few classes": (
        {"image": np.arange(IMAGES), "probabilities": list(np.full((IMAGES, 4), 0.25))},
        ["lists of 10 numbers", "not of 4"],
    ),
    "one number an image": (
        {"image": np.arange(IMAGES), "probabilities": np.full(IMAGES, 0.5)},
        ["lists of 10 numbers"],
    ),
    "answers that disagree": (
        {"image": np.arange(IMAGES), "probabilities": list(np.eye(10)[TRUE]), "predicted": np.roll(TRUE, 1)},
        ["400 images", "most probable"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_told_in_one_line_and_not_kept(store, tmp_path, case):
    columns, words = WRONG[case]
    told(scored(file(tmp_path, **columns), store), "mine.parquet", *words)
    assert not (store / "brought").exists()


def test_files_names_and_repetition(store, tmp_path, probabilities):
    path = file(tmp_path, image=np.arange(IMAGES), probabilities=list(probabilities))
    (tmp_path / "text.parquet").write_text("not parquet")
    told(scored(tmp_path / "text.parquet", store), "text.parquet", "cannot be read")
    told(scored(tmp_path / "none.parquet", store), "none.parquet: no such file", "vcbench score --help")
    folder = tmp_path / "parts.parquet"
    folder.mkdir()
    path.replace(folder / "part-0.parquet")
    told(scored(folder, store), "parts.parquet: no such file")
    (folder / "part-0.parquet").replace(path)
    told(scored(path, store, "--name", "../mine"), '--name "../mine"')
    told(scored(path, store, "--name", 300 * "x"), "at most 100 letters")
    told(scored(path, store, "--name", ""), "--name", "at most 100 letters")
    assert not (store / "brought").exists()
    assert scored(path, store).returncode == 0
    before = (store / "brought/mine/record.json").read_bytes()
    assert scored(path, store).returncode == 0
    assert (store / "brought/mine/record.json").read_bytes() == before
    other = file(tmp_path, image=np.arange(IMAGES), predicted=TRUE)
    told(scored(other, store), "--name mine", "other predictions")


def test_a_brought_model_can_be_shown(store, tmp_path, probabilities):
    path = file(tmp_path, image=np.arange(IMAGES), probabilities=list(probabilities))
    assert scored(path, store).returncode == 0
    shown = json.loads(vcbench("show", "mine", "--results", store, "--json").stdout)
    assert (shown["kind"], shown["state"], shown["record"]["id"]) == ("brought", "done", "mine")
    told(vcbench("reproduce", "mine", "--results", store), "made elsewhere")


def test_the_compact_form_is_small(store, tmp_path, probabilities):
    path = file(tmp_path, image=np.arange(IMAGES), probabilities=list(probabilities))
    assert scored(path, store).returncode == 0
    assert (store / "brought/mine/predictions.parquet").stat().st_size < 8 * IMAGES + 4096

"""The command line on a folder of one's own images, from its first look to the report."""

import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from console import told, vcbench
from PIL import Image

from bench.data import open_dataset
from bench.store.run_store import RunStore

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
    notes = f"vcbench: {made / 'grades/train/1/notes.txt'}: passed over (.txt)"
    assert notes in verified.stderr.splitlines()
    (seen,) = json.loads(vcbench("data", "verify", f"folder:{made / 'grades'}", "--json").stdout)
    assert [line[: len(LEAK)] for line in seen["warnings"]] == [PASSED, LEAK]


def test_equal_files_are_flagged_in_tables_and_report(made, tmp_path):
    table = pd.read_parquet(made / "results/tables/accuracy.parquet")
    assert set(table["test_in_train"]) == {4} and set(table["two_labels"]) == {0}
    run = table.iloc[0]
    outputs = pd.read_parquet(RunStore(made / "results").evaluation_files(run["run"]).predictions)
    (path,) = (made / "results/labels").glob("*.parquet")
    truth = pd.read_parquet(path)
    # Classes in the order of their names: "1", "10", "2", five test images of each.
    assert np.flatnonzero(truth["duplicate"]).tolist() == [10, 11, 12, 13]
    kept = ~truth["duplicate"]
    assert run["top1_deduplicated"] == (outputs["predicted"] == truth["label"])[kept].mean()
    ran = vcbench("report", "grades", "--results", made / "results", "--out", tmp_path / "report")
    assert ran.returncode == 0, ran.stderr
    page = (tmp_path / "report/report.md").read_text()
    assert "4 of 15 test images are also in train" in page
    baselines = pd.read_parquet(made / "results/tables/baselines.parquet")
    assert baselines["statistics_top1"].between(0, 1).all() and len(baselines) == 1
    assert "Image statistics (%)" in page + (tmp_path / "report/appendix.md").read_text()


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


def listed(folder, *arguments):
    ran = vcbench("data", "list", f"folder:{folder}", *arguments)
    assert ran.returncode == 0, ran.stderr
    return pd.read_csv(io.StringIO(ran.stdout), dtype={"class": str}, keep_default_na=False)


def test_images_and_classes_are_listed_in_the_order_of_scores(made):
    table = listed(made / "grades", "--split", "test")
    assert list(table) == ["position", "file", "label", "class"]
    assert table["position"].tolist() == list(range(15))
    assert table["class"].tolist() == ["1"] * 5 + ["10"] * 5 + ["2"] * 5
    assert table["label"].tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert table["file"].tolist() == [
        f"test/{name}/{40 + i}.png" for name in ("1", "10", "2") for i in range(5)
    ]
    assert len(listed(made / "grades", "--split", "train")) == 24
    told(vcbench("data", "list", f"folder:{made / 'grades'}", "--split", "tests"), '"test"')


@pytest.mark.parametrize(
    "form", ["positions", "index", "filename", "filename index", "end of a path", "names"]
)
def test_a_model_that_knows_every_answer_scores_full_marks(made, tmp_path, form):
    store = shutil.copytree(made / "results", tmp_path / "results")
    table = listed(made / "grades").sample(frac=1, random_state=0)
    frame = pd.DataFrame({"image": table["position"], "predicted": table["label"], "label": table["label"]})
    if form == "index":
        frame = frame.set_index("image")
    elif form.startswith("filename"):
        frame = frame.assign(filename=str(tmp_path) + "/" + table["file"]).drop(columns="image")
        frame = frame.set_index("filename") if form == "filename index" else frame
    elif form == "end of a path":
        ends = [file.removeprefix("test/") for file in table["file"]]
        frame = frame.assign(filename=ends).drop(columns="image")
    elif form == "names":
        frame = frame.assign(predicted=table["class"], label=table["class"])
    frame.to_parquet(tmp_path / "right.parquet", index="index" in form)
    ran = score(made, tmp_path / "right.parquet", store)
    assert ran.returncode == 0 and "reaches 100.0 %" in ran.stdout, ran
    assert "not verified" not in ran.stdout
    rows = [line.split() for line in ran.stdout.splitlines() if " scratch " in line]
    assert [row[-7:-5] for row in rows] == [["all", "2"]] * 2
    if form == "positions":
        report = tmp_path / "report"
        assert vcbench("report", "grades", "--results", store, "--out", report).returncode == 0
        assert "not verified" not in (report / "report.md").read_text()


def score(made, path, store):
    arguments = ("--dataset", f"folder:{made / 'grades'}", "--split-id", "given", "--results", store)
    return vcbench("score", path, *arguments)


def test_file_names_that_are_no_test_image_are_told(made, tmp_path):
    table = listed(made / "grades")
    frame = pd.DataFrame({"filename": table["file"], "predicted": table["class"]})
    for column, value, words in (
        ("filename", "train/1/0.png", "no test image"),
        ("filename", "40.png", "3 test images"),
        ("predicted", "11", 'no class of grades; did you mean "1"'),
    ):
        wrong = frame.copy()
        wrong.loc[0, column] = value
        wrong.to_parquet(tmp_path / "wrong.parquet")
        told(score(made, tmp_path / "wrong.parquet", tmp_path / "results"), f'"{value}"', words)


def test_pictures_of_own_images_are_found_by_the_suite_or_by_name(made, tmp_path):
    moved = shutil.copytree(made / "grades", tmp_path / "renamed")
    store = shutil.copytree(made / "results", tmp_path / "results")
    arguments = ("--results", store, "--with-images", "--out")
    # As of before the store kept where the images lay, and without the suite's file.
    path = store / "suites/grades.json"
    listing = json.loads(path.read_text())
    for comparison in listing["comparisons"]:
        comparison.pop("images", None)
    path.write_text(json.dumps(listing))
    told(vcbench("report", "grades", *arguments, tmp_path / "a"), '"grades"', "--dataset folder:PATH")
    for number, extra in enumerate((("grades", "--dataset", f"folder:{moved}"), (made / "grades.toml",))):
        out = tmp_path / f"report{number}"
        ran = vcbench("report", *extra, *arguments, out)
        assert ran.returncode == 0, ran.stderr
        shown = "Example images" in (out / "report.md").read_text() + (out / "appendix.md").read_text()
        assert shown == one_is_right_alone(store)
    (moved / "test/1/40.png").unlink()
    told(
        vcbench("report", "grades", "--dataset", f"folder:{moved}", *arguments, tmp_path / "b"),
        "they are not in folder:",
    )


def one_is_right_alone(store):
    """Whether all runs of one model and none of the other have some test image right."""
    table = pd.read_parquet(store / "tables/accuracy.parquet")
    (path,) = (store / "labels").glob("*.parquet")
    truth = pd.read_parquet(path)["label"]
    right = {}
    for model, runs in table.groupby("model")["run"]:
        answers = [pd.read_parquet(RunStore(store).evaluation_files(run).predictions) for run in runs]
        right[model] = [answer["predicted"] == truth for answer in answers]
    a, b = (np.array(own) for own in right.values())
    return bool((a.all(0) & ~b.any(0)).any() or (b.all(0) & ~a.any(0)).any())


def test_two_folders_of_one_name_are_two_datasets(made, tmp_path):
    store = shutil.copytree(made / "results", tmp_path / "results")
    other = shutil.copytree(made / "grades", tmp_path / "elsewhere/grades")
    (other / "train/1/notes.txt").unlink()
    picture("1", 99).save(other / "train/1/0.png")
    (tmp_path / "other.toml").write_text(SUITE.replace("FOLDER", str(other)))
    ran = vcbench("run", tmp_path / "other.toml", "--results", store, "--device", "cpu", "--replicates", "1")
    assert ran.returncode == 0, ran.stderr
    table = pd.read_parquet(store / "tables/accuracy.parquet")
    counts = table.groupby(["dataset", "model"]).size()
    names = {f"grades [{record.data.fingerprint[:6]}]" for record in RunStore(store).results()}
    assert len(names) == 2 and set(counts.index.get_level_values("dataset")) == names
    assert sorted(counts) == [1, 1, 2, 2]
    for suite in ("grades", "other"):
        assert vcbench("report", suite, "--results", store, "--out", tmp_path / suite).returncode == 0
        page = (tmp_path / suite / "report.md").read_text()
        (named,) = set(table.loc[table["suite"] == suite, "dataset"])
        assert named.replace("[", "\\[").replace("]", "\\]") in page or named in page
    table = listed(other)
    frame = pd.DataFrame({"image": table["position"], "predicted": table["label"]})
    frame.to_parquet(tmp_path / "right.parquet")
    arguments = ("--dataset", f"folder:{other}", "--split-id", "given", "--results", store)
    ran = vcbench("score", tmp_path / "right.parquet", *arguments)
    assert f"of {named} (given" in ran.stdout, ran
    assert vcbench("tables", "--results", store).returncode == 0
    assert list(pd.read_parquet(store / "tables/brought.parquet")["dataset"]) == [named]


def test_a_suite_does_not_take_the_place_of_another_of_its_name(made, tmp_path):
    store = tmp_path / "results"
    own = tmp_path / "quick.toml"
    shutil.copy(made / "grades.toml", own)
    assert vcbench("run", own, "--results", store, "--only", "vit", "--replicates", "1").returncode == 0
    before = (store / "suites/quick.json").read_bytes()
    told(vcbench("run", "quick", "--results", store), "another suite", str(own), "rename")
    assert (store / "suites/quick.json").read_bytes() == before
    own.write_text(own.read_text().replace("replicates = 2", "replicates = 1"))
    again = vcbench("run", own, "--results", store, "--only", "vit")
    assert again.returncode == 0 and "under this name" not in again.stderr
    (tmp_path / "b").mkdir()
    moved = shutil.copy(made / "grades.toml", tmp_path / "b/quick.toml")
    again = vcbench("run", moved, "--results", store, "--only", "vit", "--replicates", "1")
    assert again.returncode == 0 and f"held the suite of {own}" in again.stderr


def test_names_that_look_like_gaps_stay_names(tmp_path):
    classes = ("NA", "None", "nan")
    for split, count in (("train", 4), ("val", 2), ("test", 3)):
        for name in classes:
            (tmp_path / "NA" / split / name).mkdir(parents=True)
            for number in range(count):
                picture(split + name, number).save(tmp_path / "NA" / split / name / f"{number}.png")
    suite = SUITE.replace("FOLDER", str(tmp_path / "NA")).replace('name = "own"', 'name = "nan"')
    (tmp_path / "None.toml").write_text(suite)
    store = tmp_path / "results"
    ran = vcbench("run", tmp_path / "None.toml", "--results", store, "--device", "cpu", "--replicates", "1")
    assert ran.returncode == 0, ran.stderr
    names = ["suite", "comparison", "dataset"]
    for path in (store / "tables").glob("accuracy.*"):
        if path.suffix == ".csv":
            table = pd.read_csv(path, keep_default_na=False, na_values=[""])
        else:
            table = pd.read_parquet(path)
        assert table[names].to_numpy().tolist() == [["None", "nan", "NA"]] * 2
    (record, _) = RunStore(store).results()
    assert record.data.classes == 3
    opened = open_dataset(f"folder:{tmp_path / 'NA'}", None, tmp_path, store=store)
    assert tuple(opened.class_names) == classes


def test_suspect_labels_are_a_table_and_a_page(made, tmp_path):
    dataset, store, out = f"folder:{made / 'grades'}", made / "results", tmp_path / "suspects"
    ran = vcbench("data", "suspects", dataset, "--results", store, "--out", out)
    assert ran.returncode == 0 and "of 15 test labels are suspect, by 4 run(s)" in ran.stdout, ran
    table = pd.read_csv(out / "suspects.csv", dtype={"label": str, "suggested": str})
    assert sorted(table["file"]) == sorted(listed(made / "grades")["file"])
    assert (table["file"].str.split("/").str[1] == table["label"]).all()
    runs = [np.load(RunStore(store).evaluation_files(r.id).probabilities) for r in RunStore(store).results()]
    mean = np.mean([run.astype(float) for run in runs], axis=0)
    row = table.iloc[3]
    label = sorted(CLASSES).index(row["label"])
    assert row["self_confidence"] == pytest.approx(mean[row["position"], label], abs=1e-3)
    assert (out / "index.html").read_text().count("<img") == table["suspect"].sum()
    told(
        vcbench("data", "suspects", dataset, "--results", tmp_path / "none", "--out", out),
        "no finished run with probabilities",
    )


def test_images_that_do_not_fit_into_the_cache_give_the_same_predictions(made, tmp_path, monkeypatch):
    monkeypatch.setenv("VCBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VCBENCH_CACHE_GB", "0")
    ran = vcbench("run", made / "grades.toml", "--results", tmp_path / "results", "--device", "cpu",
                  "--only", "resnet", "--replicates", "1")  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    (record,) = RunStore(tmp_path / "results").results()
    whole, streamed = (
        pd.read_parquet(RunStore(store).evaluation_files(record.id).predictions)
        for store in (made / "results", tmp_path / "results")
    )
    pd.testing.assert_frame_equal(whole, streamed)
    kept, streamed = (list((tmp_path / "cache" / name).iterdir()) for name in ("images", "decodable"))
    assert len([path for path in kept if path.suffix == ".npy"]) == 2  # for the nearest neighbour
    assert len(streamed) == 3

"""vcbench new: which weights it chooses, and what it refuses."""

import shutil
import tomllib

import numpy as np
import pytest
from PIL import Image

from bench.errors import InputError
from bench.planning.new_suite import write_suite
from bench.planning.plan import Resolver, trials_of
from bench.planning.stage import Stage
from bench.spec.suite import load_suite
from bench.store.run_store import RunStore


@pytest.fixture
def photos(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for image in range(10):
            pixels = np.random.default_rng(100 * ord(name) + image).integers(0, 255, (20, 20, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / name / f"{image}.png")
    return tmp_path / "photos"


LNQ, LITE = "deit_tiny_patch16_224_lnq", "tf_efficientnet_lite0"


def test_a_random_network_is_never_set_against_a_pretrained_one_unasked(photos, tmp_path):
    out, weights = tmp_path / "s.toml", tmp_path / "weights"
    with pytest.raises(InputError, match=f"{LNQ}: no pretrained weights .*--weights none") as refused:
        write_suite(photos, f"{LNQ},{LITE}", None, out, weights_dir=weights)
    assert LITE in str(refused.value) and not out.exists()
    asked = write_suite(photos, f"{LNQ},{LITE}", None, out, weights="none", weights_dir=weights)
    models = tomllib.loads(asked.path.read_text())["models"]
    assert {model["weights"] for model in models.values()} == {"none"}
    assert tomllib.loads(asked.path.read_text())["comparison"][0]["recipe"] == "scratch"


def test_a_local_file_is_taken_and_said(photos, tmp_path):
    out, weights = tmp_path / "s.toml", tmp_path / "weights"
    weights.mkdir()
    (weights / f"{LNQ}.safetensors").write_bytes(b"")
    written = write_suite(photos, f"{LNQ},{LITE}", None, out, weights_dir=weights)
    suite = tomllib.loads(out.read_text())
    assert {model["weights"] for model in suite["models"].values()} == {"card"}
    assert suite["models"][LNQ]["title"] == "DeiT-Ti/16 (rounded LayerNorm)"
    assert suite["comparison"][0]["recipe"] == "finetune" and suite["comparison"][0]["name"] == "photos"
    said = "\n".join(written.choices)
    assert f"{LNQ}.safetensors" in said and "from the hub" in said and "2 classes; 14 train" in said


def written_for(data, tmp_path, **more):
    out = tmp_path / "s.toml"
    out.unlink(missing_ok=True)
    written = write_suite(data, f"{LNQ},{LITE}", None, out, weights="none", **more)
    return tomllib.loads(out.read_text())["comparison"][0], written


def test_val_is_taken_from_train_where_there_is_none(photos, tmp_path):
    for split in ("train", "test"):
        shutil.copytree(photos, tmp_path / "split" / split)
    comparison, _ = written_for(tmp_path / "split", tmp_path)
    assert comparison["split_id"] == "given-val-10" and comparison["shots"] == [1, 2, 5, "all"]
    for image in range(1, 10):
        (tmp_path / "split" / "train" / "a" / f"{image}.png").unlink()
    assert written_for(tmp_path / "split", tmp_path)[0]["split_id"] == "given"


def test_a_table_is_a_dataset(photos, tmp_path):
    images = sorted(photos.rglob("*.png"))
    rows = [f"{image.relative_to(tmp_path)},{image.parent.name},{i // 2}" for i, image in enumerate(images)]
    (tmp_path / "plants.csv").write_text("\n".join(["path,label,group", *rows]))
    comparison, written = written_for(tmp_path / "plants.csv", tmp_path)
    assert comparison["dataset"] == f"table:{tmp_path / 'plants.csv'}" and comparison["name"] == "plants"
    assert comparison["split_id"] == "grouped-70-10-20" and "2 classes" in written.choices[0]
    assert "over groups, not images" in written.warnings[0]


def test_near_duplicates_across_splits_are_told(photos, tmp_path):
    for split in ("train", "val", "test"):
        for name in ("a", "b"):
            (tmp_path / "split" / split / name).mkdir(parents=True)
    for image in range(3):
        for name in ("a", "b"):
            for split, kind in (("train", "png"), ("val", "bmp")):
                shown = Image.open(photos / name / f"{3 * (split == 'val') + image}.png")
                shown.save(tmp_path / "split" / split / name / f"{image}.{kind}")
            Image.open(photos / name / f"{image}.png").save(tmp_path / "split/test" / name / f"{image}.bmp")
    _, written = written_for(tmp_path / "split", tmp_path)
    first, second = written.warnings
    assert first == "split: 6 of 6 test images have equal pixels or a near duplicate in train"
    assert "vcbench data duplicates" in second


def test_a_suite_in_folds_is_one_that_plans(photos, tmp_path):
    comparison, written = written_for(photos, tmp_path, folds=5)
    assert comparison["split_id"] == "kfold-5" and "protocol" not in comparison
    # 20 images of two classes: 8 of a class are left of it in four folds, of which one is val.
    assert comparison["shots"] == [1, 2, 5, "all"]
    assert (
        written.choices[0]
        == "photos: 2 classes; 14 train, 2 val, 4 test images in the first of 5 folds (split kfold-5)"
    )
    trials = trials_of(load_suite(str(tmp_path / "s.toml")))
    assert len(trials) == 3 * 5 * 4 * 2
    assert {trial.split_id for trial in trials if trial.replicate == 2} == {
        f"kfold-5-repeat-2-fold-{fold}" for fold in range(5)
    }


def test_folds_are_pointed_out_where_test_images_are_few(photos, tmp_path):
    _, written = written_for(photos, tmp_path)
    assert written.choices[-1] == "4 test images are few; with --folds 5 every image is tested"


def test_what_one_training_image_a_class_does_not_allow_is_not_written(photos, tmp_path):
    for name in ("a", "b"):
        for image in range(3, 10):
            (photos / name / f"{image}.png").unlink()
    comparison, written = written_for(photos, tmp_path)
    assert "protocol" not in comparison and comparison["shots"] == [1, "all"]
    assert not any("--folds" in line for line in written.choices)
    suite = load_suite(str(tmp_path / "s.toml"))
    stage = Stage(suite, trials_of(suite), Resolver(tmp_path, tmp_path, None), RunStore(tmp_path / "store"))
    assert len(stage.jobs) > 0


def test_folds_that_cannot_be_are_refused(photos, tmp_path):
    for folds, problem in (
        (1, "at least 2 folds"),
        (11, "class 'a' has 10 images; ask for at most kfold-10"),
    ):
        with pytest.raises(InputError, match=problem):
            written_for(photos, tmp_path, folds=folds)

"""Repeated stratified k-fold of one's own images, against scikit-learn and by what has to hold of any."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from bench.data import open_dataset
from bench.data.cache import decoded
from bench.errors import DataError, InputError
from bench.spec.kfold import KFold, read_kfold

SIZES = {"fern": 11, "moss": 7, "oak": 16}


def picture(number, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def plants(tmp_path_factory):
    """A folder of three classes of different sizes, and a table of the same with groups of two images."""
    folder = tmp_path_factory.mktemp("folds") / "plants"
    rows, number = ["path,label,group"], 0
    for name, count in SIZES.items():
        for k in range(count):
            picture(number, folder / name / f"{k:02d}.png")
            rows.append(f"plants/{name}/{k:02d}.png,{name},{name}{k // 2}")
            number += 1
    folder.with_suffix(".csv").write_text("\n".join(rows))
    return folder


def opened(folder, at, store=None, kind="folder"):
    return open_dataset(f"{kind}:{folder}", at, folder.parent, store=store)


def divisions(folder, folds, repeat, **how):
    return [opened(folder, at.split_id, **how) for at in KFold(folds).of_repeat(repeat)]


@pytest.mark.parametrize("folds", [2, 3, 5, 7])
def test_every_image_is_tested_once_a_repeat_by_what_has_not_seen_it(plants, folds):
    for repeat in (0, 1):
        own = divisions(plants, folds, repeat)
        tested = np.concatenate([one.splits["test"] for one in own])
        assert sorted(tested.tolist()) == list(range(sum(SIZES.values())))
        for one in own:
            parts = np.concatenate([one.splits[split] for split in ("train", "val", "test")])
            assert sorted(parts.tolist()) == list(range(len(one.labels)))
            for split in ("train", "val", "test"):
                assert np.bincount(one.split_labels(split), minlength=3).min() >= 1


def test_folds_are_those_of_scikit_learn(plants):
    labels = opened(plants, "kfold-5").labels
    for repeat in range(3):
        theirs = StratifiedKFold(5, shuffle=True, random_state=repeat).split(labels, labels)
        for ours, (_, test) in zip(divisions(plants, 5, repeat), theirs, strict=True):
            assert ours.splits["test"].tolist() == test.tolist()
            share = np.bincount(labels[test]) / np.bincount(labels)
            assert (np.abs(share * np.bincount(labels) - np.bincount(labels) / 5) < 1).all()


def test_a_tenth_of_each_class_of_the_rest_is_val(plants):
    for one in divisions(plants, 5, 0):
        rest = np.concatenate([one.splits["train"], one.splits["val"]])
        wanted = [max(1, round(0.1 * count)) for count in np.bincount(one.labels[rest])]
        assert np.bincount(one.split_labels("val")).tolist() == wanted


def test_repeats_differ_and_come_again(plants):
    first, again, other = ([one.splits for one in divisions(plants, 5, repeat)] for repeat in (0, 0, 1))
    for one, same in zip(first, again, strict=True):
        assert all(np.array_equal(one[split], same[split]) for split in one)
    assert not all(np.array_equal(a["test"], b["test"]) for a, b in zip(first, other, strict=True))


def test_groups_are_in_one_fold(plants):
    table = plants.with_suffix(".csv")
    whole = opened(table, "kfold-4", kind="table")
    theirs = StratifiedGroupKFold(4, shuffle=True, random_state=2).split(
        whole.labels, whole.labels, whole.groups
    )
    assert len(np.unique(whole.groups)) == sum((count + 1) // 2 for count in SIZES.values())
    for one, (_, test) in zip(divisions(table, 4, 2, kind="table"), theirs, strict=True):
        assert one.splits["test"].tolist() == test.tolist()
        sides = [set(whole.groups[one.splits[split]].tolist()) for split in ("train", "val", "test")]
        assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def test_equal_files_are_in_one_fold(plants, tmp_path):
    for number in range(24):
        picture(number // 2, tmp_path / "two" / "ab"[number % 4 // 2] / f"{number}.png")
    whole = opened(tmp_path / "two", "kfold-3")
    assert len(np.unique(whole.groups)) == 12
    for one in divisions(tmp_path / "two", 3, 0):
        sides = [set(whole.groups[one.splits[split]].tolist()) for split in ("train", "val", "test")]
        assert sum(map(len, sides)) == 12


def test_folds_are_frozen_in_the_store(plants, tmp_path, monkeypatch):
    before = divisions(plants, 5, 0, store=tmp_path)
    (frozen,) = (tmp_path / "splits").glob("*.json")
    monkeypatch.setattr("bench.data.folds.make_folds", None)  # not made again
    after = divisions(plants, 5, 0, store=tmp_path)
    for one, same in zip(before, after, strict=True):
        assert all(np.array_equal(one.splits[split], same.splits[split]) for split in one.splits)
    content = json.loads(frozen.read_text())
    content["fold_of"][0] = 1 - min(content["fold_of"][0], 1)
    frozen.write_text(json.dumps(content))
    with pytest.raises(DataError, match="was changed since the folds were frozen"):
        opened(plants, "kfold-5-repeat-0-fold-0", store=tmp_path)


def test_the_usual_split_is_not_taken_for_one_of_folds(plants, tmp_path):
    opened(plants, "kfold-5-repeat-0-fold-0", store=tmp_path)
    split = opened(plants, None, store=tmp_path)
    assert split.split_id == "stratified-70-10-20" and len(split.splits["train"]) > len(split.splits["test"])


def test_the_whole_has_all_images_to_test_and_none_to_train(plants):
    whole = opened(plants, "kfold-5")
    assert whole.counts() == {"train": 0, "val": 0, "test": sum(SIZES.values())}
    assert whole.split_id == "kfold-5"


def test_decoded_images_of_a_fold_are_its_own_and_lie_once(plants, tmp_path, monkeypatch):
    monkeypatch.setenv("VCBENCH_CACHE", str(tmp_path))
    how = {"size": 8, "resize": "squash", "interpolation": "bilinear"}
    for one in divisions(plants, 5, 0):
        for split in ("train", "val", "test"):
            images = decoded(one, split, **how)
            own = [one.read(int(i)) for i in one.splits[split]]
            assert np.array_equal(images, np.stack(own))
    assert len(list((tmp_path / "images").glob("*.npy"))) == 1


@pytest.mark.parametrize(
    ("split_id", "problem"),
    [
        ("kfold-1", "at least 2 folds are needed"),
        ("kfold-", "should be kfold- and the number of folds"),
        ("kfold-K", "should be kfold- and the number of folds"),
        ("kfold-5-repeat-0", "should be kfold- and the number of folds"),
        ("kfold-5-repeat-0-fold-5", "its folds are 0 to 4"),
        ("kfold-8", r"class 'moss' has 7 images; ask for at most kfold-7"),
    ],
)
def test_folds_that_cannot_be(plants, split_id, problem):
    with pytest.raises(InputError, match=problem):
        opened(plants, split_id)


def test_folds_that_groups_do_not_allow(plants, tmp_path):
    with pytest.raises(InputError, match=r"class 'moss' lies in 4 groups of images; ask for at most kfold-4"):
        opened(plants.with_suffix(".csv"), "kfold-5", kind="table")


@pytest.mark.parametrize(
    ("images", "least", "problem"),
    [
        (2, None, "class 'a' has 2 images; at least 3 are needed"),
        (3, 3, "class 'a' has 3 images; ask for kfold-3"),
        (4, 2, "class 'a' has 4 images; ask for at most kfold-4"),
        (5, 2, "class 'a' has 5 images; ask for at most kfold-5"),
    ],
)
def test_every_division_by_folds_that_are_not_refused_can_be_made(images, least, problem, tmp_path):
    for number in range(2 * images):
        picture(number, tmp_path / "few" / "ab"[number % 2] / f"{number // 2}.png")
    for folds in range(2, 7):
        if least is None or not least <= folds <= images:
            with pytest.raises(InputError, match=problem):
                opened(tmp_path / "few", f"kfold-{folds}")
        else:
            assert len(divisions(tmp_path / "few", folds, 0)) == folds


def test_data_with_a_test_split_of_its_own_has_no_folds(plants, tmp_path):
    for number in range(12):
        split = ("train", "test")[number // 6]
        picture(number, tmp_path / "given" / split / "ab"[number % 2] / f"{number}.png")
    with pytest.raises(InputError, match='its split id is "given" or "given-val-10", not "kfold-3"'):
        opened(tmp_path / "given", "kfold-3")


def test_other_data_sets_have_no_folds():
    with pytest.raises(InputError, match='digits has no split id "kfold-5"'):
        open_dataset("digits", "kfold-5", ".")


def test_ids_are_read_back():
    for one in (KFold(5), *KFold(10).of_repeat(3)):
        assert read_kfold(one.split_id) == one
    assert read_kfold("given") is None and read_kfold(None) is None
    seeds = [one.seed for repeat in range(4) for one in KFold(5).of_repeat(repeat)]
    assert seeds == list(range(20))

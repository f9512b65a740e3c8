"""Data sets of Hugging Face that lie in a folder."""

import io
import shutil

import datasets
import numpy as np
import pytest
from PIL import Image

from bench.data import open_dataset
from bench.data.datasets.huggingface import is_one
from bench.errors import DataError
from bench.planning.new_suite import own_name

FEATURES = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["dog", "cat"])})


def picture(i):
    return Image.fromarray(np.random.default_rng(i).integers(0, 256, (6, 5, 3), dtype=np.uint8))


def part(start, count, features=FEATURES, **columns):
    rows = {"image": [picture(start + i) for i in range(count)], "label": [i % 2 for i in range(count)]}
    return datasets.Dataset.from_dict({**rows, **columns}, features=features)


def opened(root, split_id=None, store=None):
    return open_dataset(f"huggingface:{root}", split_id, root, store=store)


@pytest.fixture
def saved(tmp_path):
    whole = datasets.DatasetDict(train=part(0, 20), validation=part(20, 4), test=part(30, 6))
    whole.save_to_disk(tmp_path / "pets")
    return tmp_path / "pets"


def test_images_and_labels_are_those_of_the_library(saved):
    dataset, theirs = opened(saved), datasets.load_from_disk(saved)
    assert dataset.name == "pets" and dataset.class_names == ["cat", "dog"] and is_one(saved)
    assert dataset.split_id == "given" and dataset.counts() == {"train": 20, "val": 4, "test": 6}
    for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
        for i, row in zip(dataset.splits[split].tolist(), theirs[name], strict=True):
            np.testing.assert_array_equal(dataset.read(i), np.asarray(row["image"]))
            assert dataset.class_names[dataset.labels[i]] == ["dog", "cat"][row["label"]]
    assert dataset.source(int(dataset.splits["val"][1])) == "validation image 1"
    assert dataset.warnings == ()


def test_an_image_changed_since_it_was_listed_is_refused(saved):
    """One byte of it, in the file that is mapped."""
    dataset, place = opened(saved), int(opened(saved).splits["test"][2])
    content = datasets.load_from_disk(saved)["test"].cast_column("image", datasets.Image(decode=False))[2]
    (path,) = (saved / "test").glob("*.arrow")
    dataset.read(place)
    with path.open("r+b") as file:
        file.seek(path.read_bytes().index(content["image"]["bytes"]) + 40)
        file.write(b"?")
    with pytest.raises(DataError, match="test/000000002 was changed since it was listed"):
        dataset.read(place)


def test_parquet_files_of_the_hub_are_the_same_data(saved, tmp_path):
    snapshot = tmp_path / "hub" / "datasets--somebody--pets" / "snapshots" / "0123"
    (snapshot / "data").mkdir(parents=True)
    for name, one in datasets.load_from_disk(saved).items():
        one.to_parquet(snapshot / "data" / f"{name}-00000-of-00001.parquet")
    dataset = opened(snapshot)
    assert dataset.name == "pets" and dataset.fingerprint == opened(saved).fingerprint
    np.testing.assert_array_equal(dataset.read(7), opened(saved).read(7))


def test_a_configuration_lies_in_a_folder_of_its_own(saved, tmp_path):
    root = tmp_path / "hub"
    for name, one in datasets.load_from_disk(saved).items():
        (root / "plain_text").mkdir(parents=True, exist_ok=True)
        one.to_parquet(root / "plain_text" / f"{name}-00000-of-00001.parquet")
    assert own_name(root) == f"huggingface:{root}"
    assert opened(root).fingerprint == opened(saved).fingerprint
    shutil.copytree(root / "plain_text", root / "another")
    with pytest.raises(DataError, match=r"configurations another, plain_text; name one of them: .*/another"):
        opened(root)
    assert opened(root / "plain_text").fingerprint == opened(saved).fingerprint
    # A table beside the images of a class makes no data set.
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    shutil.copy(
        root / "another" / "test-00000-of-00001.parquet", tmp_path / "photos" / "cat" / "meta.parquet"
    )
    assert not is_one(tmp_path / "photos")


def test_a_table_beside_class_folders_makes_no_data_set(tmp_path):
    root = tmp_path / "photos"
    for i, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        picture(i).save(root / name / "1.png")
    part(0, 4).to_parquet(root / "labels.parquet")
    assert not is_one(root) and own_name(root) == f"folder:{root}"
    shutil.rmtree(root / "dog")  # a folder of pictures for the README
    assert is_one(root)
    picture(1).save(tmp_path / "1.png")
    (root / "dog").symlink_to(tmp_path)
    part(0, 4).to_parquet(root / "train.parquet")
    assert is_one(root)


def test_a_readme_of_a_stranger_has_nothing_fetched(saved, tmp_path, monkeypatch):
    """It lists an address: the Parquet files of the folder are what is read."""
    folder = tmp_path / "strange"
    folder.mkdir()
    for name, one in datasets.load_from_disk(saved).items():
        one.to_parquet(folder / f"{name}.parquet")
    head = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: "
    (folder / "README.md").write_text(head + "https://example.invalid/x.parquet\n---\n")

    def refuse(*_, **__):
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr("socket.socket.connect", refuse)
    found, expected = (open_dataset(f"huggingface:{path}", None, tmp_path) for path in (folder, saved))
    assert found.labels.tolist() == expected.labels.tolist()


def test_one_split_is_divided_and_groups_are_kept(tmp_path):
    part(0, 40).save_to_disk(tmp_path / "plain")
    dataset = opened(tmp_path / "plain", store=tmp_path / "results")
    assert dataset.split_id == "stratified-70-10-20"
    assert dataset.counts() == {"train": 28, "val": 4, "test": 8}
    features = datasets.Features({**FEATURES, "group": datasets.Value("int64")})
    part(0, 40, features, group=[i // 4 for i in range(40)]).save_to_disk(tmp_path / "grouped")
    grouped = opened(tmp_path / "grouped")
    assert grouped.split_id == "grouped-70-10-20"
    for positions in grouped.splits.values():
        assert len(positions) == 4 * len(set((positions // 4).tolist()))


def test_an_image_without_a_group_is_one_of_its_own_and_a_split_without_any_is_refused(tmp_path):
    features = datasets.Features({**FEATURES, "group": datasets.Value("int64")})
    groups = [i // 4 if i < 20 else None for i in range(40)]
    part(0, 40, features, group=groups).save_to_disk(tmp_path / "some")
    found = opened(tmp_path / "some")
    assert len(set(found.groups[:20].tolist())) == 5 and len(set(found.groups.tolist())) == 25
    whole = {"train": part(0, 20, features, group=groups[:20]), "test": part(20, 6)}
    datasets.DatasetDict(whole).save_to_disk(tmp_path / "half")
    with pytest.raises(DataError, match="split 'test' has no column \"group\", which others have"):
        opened(tmp_path / "half")


def test_equal_images_are_counted_and_other_splits_told(tmp_path):
    datasets.DatasetDict(train=part(0, 20), test=part(18, 6), extra=part(90, 3)).save_to_disk(
        tmp_path / "pets"
    )
    dataset = opened(tmp_path / "pets")
    assert dataset.overlap["test_in_train"] == 2
    assert dataset.warnings[0] == "pets: 3 images of the split 'extra' passed over"


def test_the_column_named_label_is_that_of_the_labels(tmp_path):
    """Whatever other column holds classes; without it, that column is."""
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.Value("string"), "sex": datasets.ClassLabel(2)}
    )
    rows = {
        "image": [picture(i) for i in range(20)],
        "label": ["oak", "elm"] * 10,
        "sex": [0] * 10 + [1] * 10,
    }
    whole = datasets.Dataset.from_dict(rows, features=features)
    for name, one, classes in (
        ("label", whole, ["elm", "oak"]),
        ("labels", whole.rename_column("label", "labels"), ["elm", "oak"]),
        ("sex", whole.remove_columns("label"), ["0", "1"]),
    ):
        one.save_to_disk(tmp_path / name)
        assert opened(tmp_path / name).class_names == classes


def test_what_is_not_clear_is_one_line(tmp_path):
    unnamed = part(0, 20).rename_column("label", "kind").cast_column("kind", datasets.Value("int64"))
    secret = part(30, 4).map(lambda row: {"label": -1})
    two = datasets.Features(
        {"image": datasets.Image(), "label": datasets.Value("int64"), "mask": datasets.Image()}
    )
    many = datasets.Features({"image": datasets.Image(), "label": datasets.Sequence(datasets.Value("int64"))})
    several = {"image": [picture(i) for i in range(4)], "label": [[0], [0, 1]] * 2}
    broken = io.BytesIO(b"no image").getvalue()
    for name, whole, message in (
        ("secret", {"train": part(0, 20), "test": secret}, "4 image.s. have no label .first: test/000000000"),
        ("two", {"train": part(0, 4, two, mask=[picture(0)] * 4)}, "2 columns of images and 1 of labels"),
        ("no", {"train": unnamed},
         "1 columns of images and 0 of labels"),
        ("several", {"train": datasets.Dataset.from_dict(several, features=many)},
         "column 'label' holds .0.; it should hold text or whole numbers"),
        ("untested", {"train": part(0, 20), "validation": part(20, 6)}, "no image has the split 'test'"),
    ):  # fmt: skip
        datasets.DatasetDict(whole).save_to_disk(tmp_path / name)
        with pytest.raises(DataError, match=message) as caught:
            opened(tmp_path / name)
        assert "\n" not in str(caught.value) and str(tmp_path / name) in str(caught.value)
    rows = {
        "image": [{"bytes": broken, "path": None}] * 2 + [picture(i) for i in range(20)],
        "label": [0, 1] * 11,
    }
    datasets.Dataset.from_dict(rows, features=FEATURES).save_to_disk(tmp_path / "broken")
    with pytest.raises(DataError, match="train/000000000: cannot be decoded"):
        opened(tmp_path / "broken").read(0)
    shutil.rmtree(tmp_path / "broken")
    (tmp_path / "broken").mkdir()
    with pytest.raises(DataError, match="is no folder of save_to_disk"):
        opened(tmp_path / "broken")

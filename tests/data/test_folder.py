"""A folder of one's own images, in both layouts."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from bench.data import open_dataset
from bench.errors import DataError, InputError, StoreError

NAMES = ["a b", "50%", "<script>", "zebra"]


def fill(folder, count, seed=0, size=(9, 7)):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, *folder.name.encode()])
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{i:03d}.png")


@pytest.fixture
def flat(tmp_path):
    root = tmp_path / "my images"
    for name in NAMES:
        fill(root / name, 20)
    return root


def opened(root, split_id=None, store=None):
    return open_dataset(f"folder:{root}", split_id, root, store=store)


def test_as_torchvision_lists_it(flat):
    fill(flat / "zebra" / "deeper", 10, seed=1)
    (flat / "zebra" / "notes.txt").write_text("not an image")
    (flat / "zebra" / "._000.png").write_bytes(b"left by another system")
    (flat / ".hidden").mkdir()
    shutil.copy(flat / "zebra" / "000.png", flat / "stray.png")
    dataset = opened(flat)
    (flat / "zebra" / "._000.png").unlink()
    (flat / ".hidden").rmdir()
    theirs = ImageFolder(flat)
    assert dataset.name == "my images"
    assert dataset.copy == "own data" and dataset.native_size is None
    assert dataset.class_names == theirs.classes
    pairs = [(dataset.source(i), int(label)) for i, label in enumerate(dataset.labels)]
    assert sorted(pairs) == sorted(theirs.samples)
    np.testing.assert_array_equal(dataset.read(3), np.asarray(theirs.loader(dataset.source(3))))


def test_stratified_and_frozen(flat, tmp_path):
    store = tmp_path / "results"
    dataset = opened(flat, store=store)
    assert dataset.split_id == "stratified-70-10-20"
    for split, each in (("train", 14), ("val", 2), ("test", 4)):
        assert np.bincount(dataset.split_labels(split)).tolist() == [each] * 4
    (frozen,) = (store / "splits").iterdir()
    assert frozen.name == f"my images-{dataset.fingerprint[:12]}.json"
    without_store = opened(flat)
    again = opened(flat, "stratified-70-10-20", store)
    for split, positions in dataset.splits.items():
        assert positions.tolist() == again.splits[split].tolist() == without_store.splits[split].tolist()


def test_the_frozen_file_decides_and_is_guarded(flat, tmp_path, monkeypatch):
    store = tmp_path / "results"
    first = opened(flat, store=store)
    monkeypatch.setattr("bench.data.own_split.divide", None)  # never asked again
    assert opened(flat, store=store).splits["val"].tolist() == first.splits["val"].tolist()
    (frozen,) = (store / "splits").iterdir()
    content = json.loads(frozen.read_text())
    content["splits"]["val"][0] += 1
    frozen.write_text(json.dumps(content))
    with pytest.raises(DataError, match="was changed since the split was frozen"):
        opened(flat, store=store)
    frozen.write_text("{")
    with pytest.raises(StoreError, match="not valid JSON"):
        opened(flat, store=store)


def test_fingerprint_follows_content_and_names(flat, tmp_path):
    before = opened(flat).fingerprint
    moved = tmp_path / "elsewhere"
    shutil.copytree(flat, moved)
    assert opened(moved).fingerprint == before
    (moved / "zebra" / "000.png").rename(moved / "zebra" / "999.png")
    assert opened(moved).fingerprint != before


def test_equal_files_are_on_one_side(flat):
    for i in range(10):
        shutil.copy(flat / "zebra" / f"{i:03d}.png", flat / "zebra" / f"copy_{i}.png")
        shutil.copy(flat / "50%" / f"{i:03d}.png", flat / "a b" / f"other_{i}.png")
    dataset = opened(flat)
    side = {i: split for split, positions in dataset.splits.items() for i in positions}
    seen = {}
    for i in range(len(dataset.labels)):
        with open(dataset.source(i), "rb") as file:
            assert seen.setdefault(file.read(), side[i]) == side[i]
    assert len(seen) == 80


def test_given_split(tmp_path):
    root = tmp_path / "split"
    for split, count in (("train", 5), ("val", 2), ("test", 3)):
        for name in NAMES:
            fill(root / split / name, count)
    dataset = opened(root)
    assert dataset.split_id == "given"
    assert dataset.counts() == {"train": 20, "val": 8, "test": 12}
    for split in ("train", "val", "test"):
        theirs = ImageFolder(root / split)
        ours = [(dataset.source(i), int(dataset.labels[i])) for i in dataset.splits[split]]
        assert ours == theirs.samples
    shutil.rmtree(root / "val")
    without = opened(root, "given")
    assert without.counts() == {"train": 20, "val": 0, "test": 12}
    assert np.bincount(without.split_labels("test")).tolist() == [3] * 4


def test_split_id_has_to_fit_the_layout(flat):
    with pytest.raises(InputError, match='its split id is "stratified-70-10-20", not "given"'):
        opened(flat, "given")


def test_classes_may_be_called_train_and_test(tmp_path):
    for name in ("train", "plane", "test"):
        fill(tmp_path / "toys" / name, 10)
    assert opened(tmp_path / "toys").class_names == ["plane", "test", "train"]


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"train/a": 3, "train/b": 3}, "class folders in train but not in test"),
        ({"val/a": 3, "val/b": 3, "test/a": 1}, "class folders in test, val but not in train"),
        ({"train/a": 3, "train/b": 3, "test/a": 3}, "class 'b' is in train but not in test"),
        ({"train/a": 3, "train/b": 3, "test/a": 3, "test/b": 1, "test/c": 1}, "class 'c' is in test but not"),
        ({"train/a": 1, "train/b": 1, "test/a": 1, "test/b": 1, "valid/a": 1}, "name it 'val'"),
        (
            {"Train/a": 9, "Train/b": 9, "Test/a": 9, "Test/b": 9},
            "folder 'Test' holds class folders; name it 'test'",
        ),
        ({"train/a": 1, "train/b": 1, "test/a": 1, "test/b": 1, "more/a": 1}, "folder 'more' beside train"),
        ({"train/a": 1, "train/b": 0, "test/a": 1, "test/b": 1}, "train/b: holds no image"),
        ({"a": 9, "b": 0}, "b: holds no image"),
        ({"a": 9}, "1 class folder"),
        ({}, "0 class folder"),
        ({"a": 9, "b": 2}, "class 'b' has too few images"),
    ],
)
def test_unclear_layouts(layout, message, tmp_path):
    root = tmp_path / "pictures"
    root.mkdir()
    for name, count in layout.items():
        fill(root / name, count)
    with pytest.raises(DataError, match=message) as caught:
        opened(root)
    assert "\n" not in str(caught.value)


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        opened(tmp_path / "nowhere")


def test_images_of_any_mode(tmp_path):
    for label, name in enumerate(("a", "b")):
        folder = tmp_path / "mixed" / name
        folder.mkdir(parents=True)
        for i, mode in enumerate(["L", "RGBA", "P", "CMYK", "RGB"]):
            image = Image.new("RGB", (8 + i, 10), (40 * i, 90, 200 * label)).convert(mode)
            image.save(folder / f"{i}{'.jpg' if mode == 'CMYK' else '.png'}")
    dataset = opened(tmp_path / "mixed")
    for i in range(10):
        assert dataset.read(i).shape == (10, 8 + i % 5, 3)

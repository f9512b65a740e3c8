"""A folder of one's own images, in both layouts."""

import hashlib
import io
import json
import os
import shutil
import struct
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features
from torchvision.datasets import ImageFolder

from bench.data import open_dataset
from bench.errors import DataError, InputError, StoreError
from bench.files import cache_dir

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
    (flat / "zebra" / "Thumbs.db").write_bytes(b"kept by Windows")
    (flat / "zebra" / ".DS_Store").write_bytes(b"kept by macOS")
    (flat / "zebra" / "._000.png").write_bytes(b"left by another system")
    (flat / ".hidden").mkdir()
    shutil.copy(flat / "zebra" / "000.png", flat / "stray.png")
    dataset = opened(flat)
    (flat / "zebra" / "._000.png").unlink()
    (flat / ".hidden").rmdir()
    theirs = ImageFolder(flat)
    assert dataset.name == "my images"
    assert dataset.warnings == ("my images: 2 files passed over: 1 .txt, 1 in no class folder",)
    notes, stray = flat / "zebra" / "notes.txt", flat / "stray.png"
    expected = {f"{notes}: passed over (.txt)", f"{stray}: passed over (in no class folder)"}
    assert set(dataset.skipped) == expected and len(dataset.skipped) == 2
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


@pytest.mark.parametrize("names", [("Train", "valid", "testing"), ("training", "Validation", "TEST")])
def test_other_spellings_of_splits(names, tmp_path):
    for folder, count in zip(names, (5, 2, 3), strict=True):
        for name in NAMES:
            fill(tmp_path / "split" / folder / name, count)
    dataset = opened(tmp_path / "split")
    assert dataset.split_id == "given" and dataset.counts() == {"train": 20, "val": 8, "test": 12}


def test_val_images_in_no_class_folder_are_named(tmp_path):
    for split in ("train", "test"):
        for name in NAMES:
            fill(tmp_path / "split" / split / name, 4, seed=len(split))
    fill(tmp_path / "split" / "val", 3)
    dataset = opened(tmp_path / "split")
    assert dataset.counts() == {"train": 16, "val": 0, "test": 16}
    assert dataset.warnings[0] == "split: 3 files passed over: 3 in no class folder"
    assert all("val/" in line and "in no class folder" in line for line in dataset.skipped)


def test_images_beside_the_class_folders_of_a_split_are_named(tmp_path):
    for split in ("train", "test"):
        for name in NAMES:
            fill(tmp_path / "split" / split / name, 4, seed=len(split))
        fill(tmp_path / "split" / split, 1, seed=9)
    dataset = opened(tmp_path / "split")
    assert dataset.split_id == "given" and dataset.class_names == sorted(NAMES)
    assert dataset.warnings[0] == "split: 2 files passed over: 2 in no class folder"
    # Beside other classes they are classes, too.
    fill(tmp_path / "split" / "plane", 4, seed=7)
    assert opened(tmp_path / "split").class_names == ["plane", "test", "train"]


def test_val_is_taken_from_train_where_asked(tmp_path):
    root, store = tmp_path / "split", tmp_path / "results"
    for split, count in (("train", 20), ("test", 3)):
        for name in NAMES:
            fill(root / split / name, count, seed=len(split))
    shutil.copy(root / "train/zebra/000.png", root / "train/zebra/again.png")
    whole, carved = opened(root), opened(root, "given-val-10", store)
    assert whole.split_id == "given" and not len(whole.splits["val"])
    assert carved.fingerprint == whole.fingerprint
    assert carved.splits["test"].tolist() == whole.splits["test"].tolist()
    both = np.sort(np.concatenate([carved.splits["train"], carved.splits["val"]]))
    assert both.tolist() == whole.splits["train"].tolist()
    assert np.bincount(carved.split_labels("val")).tolist() == [2] * 4
    assert carved.overlap["val_in_train"] == 0
    again = opened(root, "given-val-10", store)
    assert again.splits["val"].tolist() == carved.splits["val"].tolist()
    assert opened(root, "given-val-10").splits["val"].tolist() == carved.splits["val"].tolist()
    assert opened(root, None, store).splits["val"].tolist() == []
    fill(root / "val" / "zebra", 1)
    with pytest.raises(DataError, match="in train but not in val"):
        opened(root)


def test_val_cannot_be_taken_from_one_image(tmp_path):
    for folder in ("train/a", "train/b", "test/a", "test/b"):
        fill(tmp_path / "one" / folder, 1)
    assert opened(tmp_path / "one").counts() == {"train": 2, "val": 0, "test": 2}
    with pytest.raises(DataError, match="class 'a' has too few training images for a val split"):
        opened(tmp_path / "one", "given-val-10")


def test_classes_that_differ_in_case_or_spaces_are_named(tmp_path):
    for name in ("cat", "Cat ", "dog"):
        fill(tmp_path / "pets" / name, 4, seed=ord(name[0]))
    (line,) = opened(tmp_path / "pets").warnings
    assert "the classes 'Cat ', 'cat' differ in case or spaces alone" in line


def test_split_id_has_to_fit_the_layout(flat):
    with pytest.raises(InputError, match='its split id is "stratified-70-10-20" or "kfold-K", not "given"'):
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
        ({"train/a": 1, "train/b": 1, "test/a": 1, "test/b": 1, "valid/a": 1}, "in train but not in val"),
        ({"train/a": 1, "test/a": 1, "val/a": 1, "Valid/a": 1}, "folders 'Valid' and 'val' are both val"),
        ({"train/a": 1, "train/b": 1, "test": 3}, "3 images in test/ have no labels; .* name .*/train"),
        ({"train/a": 1, "train/b": 1, "test/a": 1, "test/b": 1, "more/a": 1}, "folder 'more' beside train"),
        ({"train/a": 1, "train/b": 0, "test/a": 1, "test/b": 1}, "train/b: holds no image"),
        ({"train": 9, "test": 9}, "holds test and train, .* names of splits, with no class folders in them"),
        ({"Train": 9, "valid": 9}, "holds Train and valid, .*; should be train/CLASS/IMAGE and test/CLASS"),
        ({"train/a": 3, "train/b": 3, "train": 1, "test": 3}, "3 images in test/ have no labels; .*/train"),
        ({"train/a": 3, "train/b": 3, "train": 1, "val/a": 1, "val/b": 1, "val": 1}, "but not in test"),
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


def test_every_ending_of_a_kind_that_is_read_counts(tmp_path):
    endings = [
        ".jpg",
        ".JPG",
        ".jpeg",
        ".jfif",
        ".jpe",
        ".png",
        ".gif",
        ".webp",
        ".bmp",
        ".tif",
        ".TIFF",
        ".jp2",
    ]
    endings += [".avif"] * features.check("avif")
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i, ending in enumerate(endings):
            Image.new("RGB", (8, 8), (20 * i, ord(name[0]), 9)).save(
                tmp_path / "pets" / name / f"{i}{ending}"
            )
    (tmp_path / "pets" / "cat" / "phone.HEIC").write_bytes(b"not read here")
    (tmp_path / "pets" / "cat" / "other.heic").write_bytes(b"not read here")
    (tmp_path / "pets" / "dog" / "README").write_text("about the dogs")
    dataset = opened(tmp_path / "pets")
    assert len(dataset.labels) == 2 * len(endings)
    for i in range(len(dataset.labels)):
        assert dataset.read(i).shape == (8, 8, 3)
    assert dataset.warnings == ("pets: 3 files passed over: 2 .heic, 1 without an ending",)
    only = tmp_path / "phone"
    for name in ("cat", "dog"):
        (only / name).mkdir(parents=True)
        (only / name / "1.heic").write_bytes(b"not read here")
    with pytest.raises(DataError, match="cat: holds no image .*JPEG, PNG.*, but 2 .heic was passed over"):
        opened(only)


def test_only_regular_files_are_images_and_folders_are_entered(flat):
    before = opened(flat)
    thumbs = flat / "zebra" / "@eaDir" / "000.png"  # how a NAS keeps its thumbnails
    fill(thumbs, 2)
    fill(flat / "__MACOSX" / "zebra", 2)
    os.mkfifo(flat / "zebra" / "live.png")
    (flat / "zebra" / "endless.png").symlink_to("/dev/zero")
    dataset = opened(flat)
    assert dataset.fingerprint == before.fingerprint and dataset.class_names == before.class_names
    assert dataset.warnings == ("my images: 2 files passed over: 2 pipe or device",)
    fill(flat / "zebra" / "album.png", 3, seed=9)
    assert len(opened(flat).labels) == len(before.labels) + 3
    (flat / "zebra" / "gone.png").symlink_to(flat / "nothing.png")
    with pytest.raises(DataError, match="gone.png: cannot be read"):
        opened(flat)


def test_links_are_followed_but_not_in_circles(flat, tmp_path):
    fill(tmp_path / "elsewhere", 20, seed=3)
    (flat / "bird").symlink_to(tmp_path / "elsewhere")
    (flat / "bird" / "again").symlink_to(tmp_path / "elsewhere")
    (flat / "zebra" / "up").symlink_to(flat)
    dataset = opened(flat)
    assert dataset.class_names == sorted([*NAMES, "bird"])
    assert np.bincount(dataset.labels)[dataset.class_names.index("bird")] == 20
    assert any("link to a folder above it" in line for line in dataset.warnings)


def test_composed_and_decomposed_names_are_one_class(tmp_path):
    root = tmp_path / "menu"
    for seed, (split, form) in enumerate([("train", "NFC"), ("val", "NFD"), ("test", "NFD")]):
        for name in ("café", "thé"):
            folder = root / split / unicodedata.normalize(form, name)
            fill(folder, 4, seed=10 * seed + len(name))
    dataset = opened(root)
    assert dataset.class_names == ["café", "thé"]
    assert dataset.counts() == {"train": 8, "val": 8, "test": 8}
    for split in ("train", "val", "test"):
        for i, label in zip(dataset.splits[split], dataset.split_labels(split), strict=True):
            folder = unicodedata.normalize("NFC", Path(dataset.source(i)).parent.name)
            assert folder == dataset.class_names[label]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_classes_are_in_the_order_of_their_composed_names(tmp_path, form):
    for name in ("café", "cafz"):
        fill(tmp_path / "menu" / unicodedata.normalize(form, name), 10)
    dataset = opened(tmp_path / "menu")
    assert dataset.class_names == ["cafz", "café"]
    assert Path(dataset.source(int(np.flatnonzero(dataset.labels == 0)[0]))).parent.name == "cafz"


def test_equal_files_across_a_given_split_are_counted(tmp_path):
    root = tmp_path / "pets"
    for name in ("cat", "dog"):
        for seed, (split, count) in enumerate([("train", 10), ("val", 4), ("test", 6)]):
            fill(root / split / name, count, seed=seed)
    assert opened(root).warnings == () and opened(root).duplicates is None
    assert set(opened(root).overlap.values()) == {0}
    for i in range(3):
        shutil.copy(root / "train" / "cat" / f"{i:03d}.png", root / "test" / "cat" / f"{i + 2:03d}.png")
    shutil.copy(root / "val" / "cat" / "000.png", root / "test" / "cat" / "000.png")
    shutil.copy(root / "train" / "dog" / "000.png", root / "val" / "dog" / "000.png")
    shutil.copy(root / "test" / "dog" / "000.png", root / "train" / "cat" / "009.png")
    dataset = opened(root)
    assert dataset.overlap == {"test_in_train": 4, "test_in_val": 1, "val_in_train": 1, "two_labels": 2}
    assert dataset.duplicates.tolist() == [0, 2, 3, 4, 6]
    said = "\n".join(dataset.warnings)
    for words in (
        "4 of 12 test images are also in train", "1 of 12 test images are also in val",
        "1 of 8 val images are also in train", "2 images are also in another class",
    ):  # fmt: skip
        assert words in said
    assert [line.split(":")[0] for line in dataset.warnings] == ["pets"] * 4


def test_what_is_known_of_equal_files_is_checked_when_read_again(tmp_path):
    root = tmp_path / "twins"
    for name in ("cat", "dog"):
        fill(root / name, 6)
        shutil.copy(root / name / "000.png", root / name / "copy.png")
    shutil.copy(root / "cat" / "000.png", root / "dog" / "cat.png")
    first = opened(root)
    assert first.overlap["two_labels"] == 3
    memory = cache_dir() / "equal-files" / first.fingerprint
    assert memory.exists()
    for damage in ("{", "[]", "[]\n0\n", "[[0,1]]\n" + hashlib.sha256(b"[]").hexdigest() + "\n"):
        memory.write_text(damage)
        assert opened(root).overlap == first.overlap


def test_many_small_classes(tmp_path):
    root = tmp_path / "many"
    content = io.BytesIO()
    Image.new("RGB", (2, 2)).save(content, "BMP")
    for name in range(400):
        (root / f"{name:04d}").mkdir(parents=True)
        for i in range(3):
            picture = content.getvalue()[:-8] + struct.pack("<HHHH", name, i, 0, 0)
            (root / f"{name:04d}" / f"{i}.bmp").write_bytes(picture)
    dataset = opened(root)
    assert dataset.counts() == {"train": 400, "val": 400, "test": 400}
    assert dataset.warnings == ()


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

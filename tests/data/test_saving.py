"""PyTorch Datasets as folders of images."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

import vcbench
from bench.data import open_dataset
from bench.errors import InputError

KINDS = {
    "pil": Image.fromarray,
    "array": lambda pixels: pixels,
    "uint8 tensor": lambda pixels: torch.from_numpy(pixels).permute(2, 0, 1),
    "float tensor": lambda pixels: torch.from_numpy(pixels).permute(2, 0, 1) / 255,
}


class Pictures(torch.utils.data.Dataset):
    def __init__(self, start, count, classes, form=Image.fromarray):
        self.labels = [i % classes for i in range(count)]
        self.pixels = [
            np.random.default_rng(start + i).integers(0, 256, (7, 6, 3), dtype=np.uint8) for i in range(count)
        ]
        self.form = form

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.form(self.pixels[i]), self.labels[i]


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_and_labels_stay(tmp_path, kind):
    train, test = Pictures(0, 24, 12, KINDS[kind]), Pictures(50, 12, 12, KINDS[kind])
    name = vcbench.save_images(tmp_path / "photos", train, test)
    dataset = open_dataset(name, None, tmp_path)
    assert dataset.class_names == [f"{i:02d}" for i in range(12)]
    for split, theirs in (("train", train), ("test", test)):
        stored = {dataset.read(i).tobytes(): dataset.labels[i] for i in dataset.splits[split].tolist()}
        expected = zip(theirs.pixels, theirs.labels, strict=True)
        assert stored == {pixels.tobytes(): label for pixels, label in expected}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_names_keep_their_numbers_and_train_alone_is_divided(tmp_path):
    train = Pictures(0, 40, 2)
    train.classes = ["dog", "cat"]
    name = vcbench.save_images(tmp_path / "a", train)
    dataset = open_dataset(name, None, tmp_path)
    assert dataset.class_names == ["0-dog", "1-cat"] and dataset.split_id == "stratified-70-10-20"
    again = ImageFolder(tmp_path / "a")
    assert vcbench.save_images(tmp_path / "b", again, class_names=["x", "y"]) == f"folder:{tmp_path / 'b'}"
    assert open_dataset(f"folder:{tmp_path / 'b'}", None, tmp_path).class_names == ["x", "y"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": lambda pixels: torch.zeros(3, 7, 6) - 1}, "train image 0: float32 of .*normalised"),
        ({"form": lambda pixels: pixels[..., :2]}, "train image 0: uint8 of shape"),
        ({"labels": [0, 1, -1, 0]}, "train image 2: its label is -1"),
        ({"labels": [0, 1, 0.5, 0]}, "train image 2: its label is 0.5"),
        ({"labels": [0, 1, "cat", 0]}, "train image 2: its label is 'cat'"),
        ({"classes": ["cat"]}, "1 class names, but there is a label 1"),
        ({"classes": ["a/b", "c"]}, "class name 'a/b'"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_leaves_nothing(tmp_path, change, message):
    train = Pictures(0, 4, 2)
    vars(train).update(change)
    with pytest.raises(InputError, match=message):
        vcbench.save_images(tmp_path / "photos", train, Pictures(9, 4, 2))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match="exists already"):
        vcbench.save_images(tmp_path / "photos", Pictures(0, 4, 2))
    with pytest.raises(InputError, match="val without test"):
        vcbench.save_images(tmp_path / "other", Pictures(0, 4, 2), val=Pictures(0, 4, 2))

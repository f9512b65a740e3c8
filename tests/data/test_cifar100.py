"""CIFAR-100: official counts, a frozen split, and damaged copies."""

import csv
import hashlib
from collections import Counter

import numpy as np
import pytest
from data.conftest import frozen_text

from bench.data import dataset_facts, draw_subset, open_dataset
from bench.data.datasets import cifar100
from bench.data.stratify import FOLDER, divide, twins_of
from bench.errors import DataError


@pytest.fixture(scope="module")
def opened(real_data):
    return open_dataset("cifar100", None, real_data)


@pytest.fixture(scope="module")
def pixels(opened):
    """SHA-256 of every image, by the flat loop."""
    return [hashlib.sha256(opened.read(i).tobytes()).hexdigest() for i in range(60000)]


def test_counts_and_balance(opened):
    assert opened.split_id == "official-45k"
    assert opened.counts() == dataset_facts()["cifar100"].splits["official-45k"]
    assert sorted(np.concatenate(list(opened.splits.values()))) == list(range(60000))
    for split, each in (("train", 450), ("val", 50), ("test", 100)):
        assert np.bincount(opened.split_labels(split)).tolist() == [each] * 100
    assert len(opened.class_names) == 100 and opened.class_names[0] == "apple"
    assert opened.copy == "verified"


def test_same_images_and_labels_as_torchvision(opened, real_data):
    from torchvision.datasets import CIFAR100

    train, test = CIFAR100(real_data, train=True), CIFAR100(real_data, train=False)
    assert opened.labels.tolist() == train.targets + test.targets
    for theirs, ours in ((train, 0), (test, 50000)):
        for i in (0, 1234, 9999):
            image, label = theirs[i]
            np.testing.assert_array_equal(opened.read(ours + i), np.asarray(image))
            assert opened.labels[ours + i] == label
    assert opened.source(17) == "train image 17"
    assert opened.source(50003) == "test image 3"


def test_equal_pixels_are_on_one_side(opened, pixels):
    val = {pixels[i] for i in opened.splits["val"]}
    assert not val & {pixels[i] for i in opened.splits["train"]}
    assert max(Counter(pixels[:50000]).values()) == 2  # there are such images


def test_the_frozen_file_is_made_again(opened, pixels):
    """50 val images of each class, images with equal pixels on one side."""
    divided = divide(
        opened.labels[:50000],
        keys=[str(i) for i in range(50000)],
        twins=twins_of(pixels[:50000]),
        quota=lambda count: {"val": 50},
        salt="cifar100 official-45k",
    )
    comment = "cifar100 official-45k: positions in the training set; all others are train"
    assert (FOLDER / cifar100.SPLIT_FILE).read_text() == frozen_text(divided, comment)


def test_duplicates_are_those_of_the_source(opened, pixels):
    with (FOLDER / cifar100.DUPLICATES_FILE).open() as file:
        rows = list(csv.DictReader(line for line in file if line[0] != "#"))
    assert len(rows) == 995
    assert len({r["test_index"] for r in rows if r["other"] == "train"}) == 891
    assert opened.duplicates.tolist() == sorted({int(r["test_index"]) for r in rows})
    assert len(opened.duplicates) == 927
    # Whatever is equal to the last bit is among them.
    train = set(pixels[:50000])
    assert {i for i in range(10000) if pixels[50000 + i] in train} <= set(opened.duplicates.tolist())
    # The rows mean what they say: same pixels but for noise and brightness.
    for row in rows:
        if row["judgment"] == "0" and row["other"] == "train":
            a, b = opened.read(50000 + int(row["test_index"])), opened.read(int(row["other_index"]))
            assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9


def test_subsets_of_one_split(opened):
    labels = opened.split_labels("train")
    five = draw_subset("cifar100", opened.split_id, labels, 5, 3)
    one = draw_subset("cifar100", opened.split_id, labels, 1, 3)
    assert len(five) == 500 and set(one) <= set(five)


def linked(real_data, tmp_path, *names):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(real_data.absolute() / "cifar-100-python" / name)
    return folder


def test_fingerprint_is_of_the_content_not_the_place(opened, real_data, tmp_path):
    linked(real_data, tmp_path, "train", "test", "meta")
    assert open_dataset("cifar100", None, tmp_path).fingerprint == opened.fingerprint


@pytest.mark.parametrize(
    ("present", "damaged", "message"),
    [
        ((), (), "train, test, meta missing under"),
        (("train", "meta"), (), "cifar100: test missing under"),
        (("train", "test"), ("meta",), r"cifar100: meta damaged \(not the official md5\)"),
        (("test",), ("train",), "meta missing and train damaged"),
    ],
)
def test_what_is_wrong_is_named(present, damaged, message, real_data, tmp_path):
    folder = linked(real_data, tmp_path, *present)
    for name in damaged:
        (folder / name).write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(DataError, match=message) as caught:
        open_dataset("cifar100", None, tmp_path)
    assert f"vcbench data fetch cifar100 --data-dir {tmp_path}" in str(caught.value)
    assert "\n" not in str(caught.value)

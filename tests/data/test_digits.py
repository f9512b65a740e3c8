"""The bundled digits."""

import numpy as np
from data.conftest import frozen_text
from sklearn.datasets import load_digits

from bench.data import dataset_facts, draw_subset, open_dataset
from bench.data.datasets import digits
from bench.data.stratify import FOLDER, divide, twins_of


def test_agrees_with_sklearn(tmp_path):
    dataset = open_dataset("digits", None, tmp_path)
    bundle = load_digits()
    assert dataset.split_id == "frozen"
    assert dataset.copy == "verified"
    assert dataset.labels.tolist() == bundle.target.tolist()
    for i in (0, 17, 1796):
        image = dataset.read(i)
        assert image.shape == (dataset.native_size, dataset.native_size, 3) and image.dtype == np.uint8
        np.testing.assert_allclose(image[..., 1] / 255 * 16, bundle.images[i], atol=0.04)
    assert dataset.source(3) == "digits image 3"


def test_split(tmp_path):
    dataset = open_dataset("digits", "frozen", tmp_path)
    assert dataset.counts() == dataset_facts()["digits"].splits["frozen"]
    assert sorted(np.concatenate(list(dataset.splits.values()))) == list(range(1797))
    assert set(np.bincount(dataset.split_labels("test"))) == {60}
    assert set(np.bincount(dataset.split_labels("val"))) == {20}
    labels = dataset.split_labels("train")
    assert np.bincount(labels).min() >= 80
    assert len(draw_subset("digits", "frozen", labels, 80, 0)) == 800


def test_the_frozen_file_is_made_again():
    """60 test and 20 val images of each class."""
    bundle = load_digits()
    divided = divide(
        bundle.target,
        keys=[str(i) for i in range(1797)],
        twins=twins_of([image.tobytes() for image in bundle.images]),
        quota=lambda count: {"val": 20, "test": 60},
        salt="digits frozen",
    )
    comment = "digits frozen: positions in the bundled order; all others are train"
    assert (FOLDER / digits.SPLIT_FILE).read_text() == frozen_text(divided, comment)

"""Images of one's own without a split id: that of their results, else that of a new suite."""

import numpy as np
import pytest
from PIL import Image
from small_store import write_store

from bench.cli.picking import _open
from bench.data import open_dataset
from bench.data.meant import open_meant
from bench.errors import InputError


@pytest.fixture
def photos(tmp_path):
    """Train and test, and no val."""
    for split, count in (("train", 10), ("test", 4)):
        for label in "ab":
            folder = tmp_path / "photos" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                colour = (number, 200 if label == "a" else 20, 100 if split == "test" else 0)
                Image.new("RGB", (16, 16), colour).save(folder / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def keep(photos, tmp_path):
    """Writes results of the images by a split id."""
    fingerprint = open_dataset(f"folder:{photos}", None, tmp_path).fingerprint
    right = np.ones((1, 40), bool)

    def write(split_id, fingerprint=fingerprint):
        write_store(
            tmp_path / "store", {("vit", None): right, ("resnet", None): right}, suite=split_id,
            dataset="photos", split_id=split_id, fingerprint=fingerprint,
        )  # fmt: skip

    return write


def test_without_results_as_a_new_suite(photos, tmp_path):
    name, store = f"folder:{photos}", tmp_path / "store"
    assert open_meant(name, None, tmp_path, store=store).split_id == "given-val-10"
    assert open_meant(name, None, tmp_path).split_id == "given-val-10"
    assert open_meant(name, "given", tmp_path, store=store).split_id == "given"
    by_name, by_path = _open(name, tmp_path, store)[0], _open(str(photos), tmp_path, store)[0]
    assert by_name.split_id == by_path.split_id == "given-val-10"
    assert open_meant("digits", None, tmp_path, store=store).split_id == "frozen"


def test_as_the_results_that_there_are(photos, keep, tmp_path):
    name, store = f"folder:{photos}", tmp_path / "store"
    keep("given-val-10", fingerprint="e" * 64)  # of other images
    keep("given")
    assert open_meant(name, None, tmp_path, store=store).split_id == "given"
    keep("given-val-10")
    with pytest.raises(InputError, match="several split ids: given, given-val-10; name one"):
        open_meant(name, None, tmp_path, store=store)
    assert open_meant(name, "given", tmp_path, store=store).split_id == "given"

"""Images that are decoded whenever they are wanted."""

import numpy as np
import pytest
from PIL import Image

from bench.data import open_dataset
from bench.data.cache import Array, decoded
from bench.data.streamed import LIMIT, Streamed, decoded_or_streamed, fits
from bench.errors import DataError, InputError
from bench.files import cache_dir

HOW = {"size": 24, "resize": "crop", "interpolation": "bicubic"}


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setenv("VCBENCH_CACHE", str(tmp_path / "cache"))
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(30):
            pixels = np.random.default_rng([i, ord(name)]).integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def opened(photos):
    return open_dataset(f"folder:{photos}", None, photos)


def test_a_stream_reads_as_the_array(photos, monkeypatch):
    dataset = opened(photos)
    monkeypatch.setenv(LIMIT, "0.00001")
    seen = []
    stream = decoded_or_streamed(dataset, "train", progress=lambda done, total: seen.append(done), **HOW)
    assert isinstance(stream, Streamed) and not list((cache_dir() / "images").glob("*.npy"))
    assert seen[-1] == 42
    again = decoded_or_streamed(dataset, "train", progress=lambda done, total: seen.append(-1), **HOW)
    assert -1 not in seen  # every image was looked at
    monkeypatch.delenv(LIMIT)
    array = decoded_or_streamed(dataset, "train", **HOW)
    assert isinstance(array, np.ndarray) and stream.shape == array.shape and len(stream) == 42
    for positions in (np.array([3]), np.array([41, 0, 7, 7]), np.arange(42), np.arange(0)):
        np.testing.assert_array_equal(stream[positions], array[positions])
        np.testing.assert_array_equal(again[positions], array[positions])
    monkeypatch.setenv(LIMIT, "0")  # what is there already is used
    assert isinstance(decoded_or_streamed(dataset, "train", **HOW), np.ndarray)


def test_the_limit_is_over_all_that_is_decoded(photos, monkeypatch):
    dataset = opened(photos)
    val, test = (Array.of(dataset, split, **HOW) for split in ("val", "test"))
    limit = val.file_bytes + test.file_bytes + 100
    for size, planned, expected in ((limit, 0, True), (limit - 200, 0, False), (limit, 200, False)):
        decoded(dataset, "val", **HOW)
        monkeypatch.setenv(LIMIT, repr(size / 1e9))
        assert fits(test, planned) == expected
    monkeypatch.setenv(LIMIT, "many")
    with pytest.raises(InputError, match="VCBENCH_CACHE_GB=many: should be a number of GB"):
        fits(test)


def test_a_damaged_image_is_known_before_it_is_streamed(photos, monkeypatch):
    dataset = opened(photos)
    damaged = dataset.source(int(dataset.splits["test"][3]))
    with open(damaged, "r+b") as file:
        file.truncate(200)
    monkeypatch.setenv(LIMIT, "0")
    with pytest.raises(DataError, match="cannot be decoded"):
        decoded_or_streamed(opened(photos), "test", **HOW)

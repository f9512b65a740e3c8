"""Images that are decoded whenever they are wanted."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data import open_dataset
from bench.data.cache import Array, decoded
from bench.data.square import fit
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


def test_a_file_of_another_process_may_be_renamed_meanwhile(photos, monkeypatch):
    test = Array.of(opened(photos), "test", **HOW)
    monkeypatch.setenv(LIMIT, repr((test.file_bytes + 1) / 1e9))
    test.path.parent.mkdir(parents=True)
    (test.path.parent / "other.npy.building").symlink_to("gone")
    assert fits(test)


def test_a_damaged_image_is_known_before_it_is_streamed(photos, monkeypatch):
    dataset = opened(photos)
    damaged = dataset.source(int(dataset.splits["test"][3]))
    with open(damaged, "r+b") as file:
        file.truncate(200)
    monkeypatch.setenv(LIMIT, "0")
    with pytest.raises(DataError, match="cannot be decoded"):
        decoded_or_streamed(opened(photos), "test", **HOW)


@pytest.mark.parametrize("limit", [None, "0"])
def test_an_image_changed_since_its_fingerprint_was_taken_is_refused(photos, monkeypatch, limit):
    """Cached it would falsify every later run, streamed this one: a good image of the same size and time."""
    for path in sorted(photos.glob("*/*.png")):  # uncompressed: a turned bit is another image, and no damage
        Image.open(path).save(path.with_suffix(".bmp"))
        path.unlink()
    if limit:
        monkeypatch.setenv(LIMIT, limit)
    dataset = opened(photos)
    place = len(dataset.splits["train"]) - 1
    path = Path(dataset.source(int(dataset.splits["train"][place])))
    stream = decoded_or_streamed(dataset, "train", **HOW) if limit else None
    content, times = path.read_bytes(), path.stat()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 128]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(DataError, match=f"{path.name}: was changed since .* run the same command again"):
        stream[np.array([0, place])] if limit else decoded_or_streamed(dataset, "train", **HOW)
    assert not list((cache_dir() / "images").glob("[!.]*"))
    path.write_bytes(content)
    whole = decoded_or_streamed(opened(photos), "train", **HOW)
    expected = fit(Image.open(path), HOW["size"], HOW["resize"], HOW["interpolation"])
    np.testing.assert_array_equal(whole[np.array([place])][0], np.asarray(expected))


def test_headers_of_changed_files_say_nothing_of_the_earlier(photos):
    dataset = opened(photos)
    Image.new("RGB", (500, 400)).save(dataset.source(3))
    with pytest.raises(DataError, match="was changed since"):
        dataset.largest(1000)
    assert opened(photos).largest(1000) == (400, 500)

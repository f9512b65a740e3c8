"""Images decoded once: right, built once, and never half."""

import hashlib
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as tv

from bench.data import cache, open_dataset
from bench.data.base import Dataset
from bench.data.cache import bytes_to_decode, decoded
from bench.data.square import fit
from bench.errors import DataError, StoreError, TrialError
from bench.files import cache_dir

HOW = {"size": 16, "resize": "crop", "interpolation": "bicubic"}

# A dataset of 40 images that are slow to read; every read leaves a line in a file.
SLOW = """
import sys, time
import numpy as np
from bench.data.base import Dataset
from bench.data.cache import decoded

log, pause = sys.argv[1], float(sys.argv[2])

def read(i):
    time.sleep(pause)
    with open(log, "a") as file:
        file.write(f"{i}\\n")
    return np.full((20, 24, 3), i, dtype=np.uint8)

splits = {"train": np.arange(40), "val": np.arange(0), "test": np.arange(0)}
dataset = Dataset("slow", "s", ["a"], np.zeros(40, int), splits, sys.argv[3], "own data", read, str)
print(int(decoded(dataset, "train", size=16, resize="crop", interpolation="bicubic").astype(int).sum()))
"""
SUM = sum(range(40)) * 16 * 16 * 3


def digest_of(text):
    return hashlib.sha256(text.encode()).hexdigest()


def slow(log, pause, fingerprint):
    command = [sys.executable, "-c", SLOW, str(log), str(pause), fingerprint]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def noise(sizes, fingerprint, **changes):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for width, height in sizes]
    count = len(images)
    splits = {"train": np.arange(count)[::-1], "val": np.arange(0), "test": np.arange(0)}
    dataset = Dataset(
        "noise/%", "s", ["a"], np.zeros(count, int), splits, fingerprint, "own data", images.__getitem__, str
    )
    return images, replace(dataset, **changes)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_same_as_torchvision(resize, interpolation):
    images, dataset = noise([(40, 30), (31, 57), (16, 16), (9, 11), (100, 17)], "t" * 64)
    result = decoded(dataset, "train", size=16, resize=resize, interpolation=interpolation)
    mode = InterpolationMode(interpolation)
    for image, ours in zip(images[::-1], result, strict=True):  # in the order of the split
        theirs = tv.resize(Image.fromarray(image), 16 if resize == "crop" else [16, 16], mode)
        np.testing.assert_array_equal(ours, np.asarray(tv.center_crop(theirs, [16, 16])))


def test_mapped_read_only_and_reused(monkeypatch):
    _, dataset = noise([(20, 20)] * 3, "r" * 64)
    seen = []
    first = decoded(dataset, "train", **HOW, progress=lambda done, total: seen.append((done, total)))
    assert isinstance(first, np.memmap) and not first.flags.writeable
    assert seen == [(1, 3), (2, 3), (3, 3)]
    again = decoded(replace(dataset, read=None), "train", **HOW)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    "change", [{"size": 12}, {"resize": "squash"}, {"interpolation": "bilinear"}, {"fingerprint": "2" * 64},
               {"split_id": "t"}],
)  # fmt: skip
def test_whatever_changes_the_pixels_has_a_file_of_its_own(change):
    _, dataset = noise([(20, 24)], "1" * 64)
    decoded(dataset, "train", **HOW)
    how = {**HOW, **{key: value for key, value in change.items() if key in HOW}}
    other = replace(dataset, **{key: value for key, value in change.items() if key not in HOW})
    read = []
    decoded(replace(other, read=lambda i: read.append(i) or dataset.read(i)), "train", **how)
    assert read == [0]


def test_another_division_under_the_same_id_has_its_own_pixels():
    """Of as many images, as two stores with frozen files of their own may have it."""
    images, dataset = noise([(16, 16)] * 4, "d" * 64)
    for positions in ([0, 1, 2], [1, 2, 3], [2, 1, 0]):
        divided = replace(dataset, splits=dataset.splits | {"test": np.array(positions)})
        np.testing.assert_array_equal(decoded(divided, "test", **HOW), [images[at] for at in positions])


def test_small_squares_are_kept_as_they_are(tmp_path):
    digits = open_dataset("digits", None, tmp_path)
    stored = decoded(digits, "val", size=32, resize="crop", interpolation="bicubic")
    assert stored.shape == (200, 8, 8, 3)
    np.testing.assert_array_equal(stored, [digits.read(i) for i in digits.splits["val"]])
    same = decoded(digits, "val", size=224, resize="squash", interpolation="bilinear")
    assert same.filename == stored.filename
    assert decoded(digits, "val", size=6, resize="crop", interpolation="bicubic").shape == (200, 6, 6, 3)


def test_empty_split():
    _, dataset = noise([(20, 20)], "e" * 64)
    assert decoded(dataset, "val", **HOW).shape == (0, 16, 16, 3)


def test_a_damaged_image_leaves_nothing(tmp_path):
    for i in range(3):
        Image.new("RGB", (20, 20)).save(tmp_path / f"{i}.jpg")
    (tmp_path / "1.jpg").write_bytes((tmp_path / "0.jpg").read_bytes()[:200])
    from bench.data.images import read_image

    _, dataset = noise([(20, 20)] * 3, "d" * 64, read=lambda i: read_image(tmp_path / f"{i}.jpg"))
    before = set((cache_dir() / "images").glob("*.npy"))
    with pytest.raises(DataError, match="1.jpg: cannot be decoded"):
        decoded(dataset, "train", **HOW)
    assert set((cache_dir() / "images").glob("*.npy")) == before
    assert not list((cache_dir() / "images").glob("*.building"))


def test_a_damaged_cache_is_built_again():
    _, dataset = noise([(20, 20)] * 3, "c" * 64)
    first = decoded(dataset, "train", **HOW)
    content, path = np.array(first), first.filename
    with open(path, "r+b") as file:
        file.truncate(500)
    np.testing.assert_array_equal(decoded(dataset, "train", **HOW), content)


def test_two_processes_build_one_cache_once(tmp_path):
    both = [slow(tmp_path / "log", 0.02, "b" * 64) for _ in range(2)]
    outputs = [process.communicate(timeout=1800) for process in both]
    assert [out.strip() for out, _ in outputs] == [str(SUM)] * 2, outputs
    assert sorted(map(int, (tmp_path / "log").read_text().split())) == list(range(40))


def test_killed_in_the_middle(tmp_path):
    process = slow(tmp_path / "log", 0.05, "a" * 64)
    folder = cache_dir() / "images"
    while not (tmp_path / "log").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert list(folder.glob("slow-train-16-*.npy.building"))
    read_before = len((tmp_path / "log").read_text().split())
    assert read_before < 40
    out, err = slow(tmp_path / "log", 0, "a" * 64).communicate(timeout=1800)
    assert out.strip() == str(SUM), err
    assert not list(folder.glob("*.building"))


def test_no_room_is_a_store_error(tmp_path):
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n" + SLOW
    command = [sys.executable, "-c", limited, str(tmp_path / "log"), "0", "f" * 64]
    before = set((cache_dir() / "images").iterdir())
    done = subprocess.run(command, capture_output=True, text=True)
    assert "StoreError" in done.stderr and "cannot be written" in done.stderr
    left = {path.suffix for path in set((cache_dir() / "images").iterdir()) - before}
    assert left <= {".lock"}


def test_an_unusable_cache_folder(tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "images").touch()
    monkeypatch.setenv("VCBENCH_CACHE", str(tmp_path / "cache"))
    _, dataset = noise([(20, 20)], "u" * 64)
    with pytest.raises(StoreError, match="images"):
        decoded(dataset, "train", **HOW)


def test_crop_is_centred():
    image = np.zeros((10, 30, 3), dtype=np.uint8)
    image[:, 10:20] = 255
    assert np.asarray(fit(Image.fromarray(image), 10, "crop", "bilinear")).min() == 255


def test_of_a_thin_image_only_the_middle_is_scaled():
    """1 x 20000 px at 224 px would take a scaled image of 4 GB."""
    ramp = np.linspace(0, 255, 20_000).astype(np.uint8)
    thin = Image.fromarray(np.repeat(ramp[:, None, None], 3, axis=2))
    for image in (thin, thin.transpose(Image.Transpose.ROTATE_90)):
        result = np.asarray(fit(image, 224, "crop", "bicubic"))
        assert result.shape == (224, 224, 3) and abs(int(result.mean()) - 127) <= 1
    noise = np.random.default_rng(0).integers(0, 256, (200, 50, 3), dtype=np.uint8)
    theirs = tv.center_crop(tv.resize(Image.fromarray(noise), 30), [30, 30])
    # What is cut off beyond does not reach the centre.
    ends = np.zeros((3000, 50, 3), np.uint8)
    longer = np.concatenate([ends, noise, ends])
    np.testing.assert_array_equal(
        np.asarray(fit(Image.fromarray(longer), 30, "crop", "bilinear")), np.asarray(theirs)
    )


DAMAGE = {
    "a bit of an image": lambda path: flip(path, path.stat().st_size // 2),
    "a bit of the last image": lambda path: flip(path, -1),
    "a bit of the header": lambda path: flip(path, 60),
    "zeros": lambda path: write_at(path, 1000, bytes(100_000)),
    "cut short": lambda path: os.truncate(path, path.stat().st_size - 5000),
    "too long": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "empty": lambda path: os.truncate(path, 0),
    "a bit of the checksums": lambda path: flip(path.with_suffix(".crc"), 2),
    "no checksums": lambda path: path.with_suffix(".crc").unlink(),
    "half the checksums": lambda path: os.truncate(path.with_suffix(".crc"), 6),
}


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def write_at(path, position, content):
    with path.open("r+b") as file:
        file.seek(position)
        file.write(content)


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_noticed_and_made_good(kind, caplog, monkeypatch):
    _, dataset = noise([(20, 24)] * 300, digest_of(kind))
    array = decoded(dataset, "train", **HOW)
    content, path = np.array(array), Path(array.filename)
    monkeypatch.setattr(cache, "_checked", {})  # as in another process
    DAMAGE[kind](path)
    with caplog.at_level(logging.WARNING, "vcbench"):
        np.testing.assert_array_equal(decoded(dataset, "train", **HOW), content)
    (line,) = caplog.messages
    assert str(path) in line
    cache._checked.clear()
    again = decoded(replace(dataset, read=None), "train", **HOW)
    np.testing.assert_array_equal(again, content)


def test_only_what_is_damaged_is_decoded_anew():
    _, dataset = noise([(20, 24)] * 300, "7" * 64)
    path = Path(decoded(dataset, "train", **HOW).filename)
    flip(path, path.stat().st_size // 2)
    read = []
    decoded(replace(dataset, read=lambda i: read.append(i) or dataset.read(i)), "train", **HOW)
    assert sorted(read) == sorted(dataset.splits["train"][128:256].tolist())


def test_what_is_changed_while_it_is_read_is_noticed(monkeypatch):
    """A bit turned in place is; the same bytes written again, another file in its place, and none are not."""
    monkeypatch.setattr(cache, "_mapped", {})
    _, dataset = noise([(20, 24)] * 300, "8" * 64)
    array = decoded(dataset, "train", **HOW)
    path, content = Path(array.filename), np.array(array)
    cache.require_unchanged()
    whole = path.read_bytes()
    write_at(path, 200, whole[200:300])
    cache.require_unchanged()
    flip(path, path.stat().st_size // 2)
    with pytest.raises(TrialError, match="was changed while it was read"):
        cache.require_unchanged()
    np.testing.assert_array_equal(decoded(dataset, "train", **HOW), content)  # is decoded anew
    cache.require_unchanged()
    other = path.with_suffix(".other")
    other.write_bytes(bytes(len(whole)))
    other.rename(path)
    cache.require_unchanged()
    path.unlink()
    cache.require_unchanged()


class Enough(Exception):
    """Raised where a test has seen enough."""


def test_decoding_that_is_stopped_goes_on_where_it_was():
    _, dataset = noise([(20, 24)] * 300, "8" * 64)
    read = []
    counting = replace(dataset, read=lambda i: read.append(i) or dataset.read(i))

    def stop_at(limit):
        def progress(done, total):
            if done >= limit:
                raise Enough

        return progress

    for limit in (200, 300):
        with pytest.raises(Enough):
            decoded(counting, "train", **HOW, progress=stop_at(limit))
        assert not list((cache_dir() / "images").glob(f"*-{'8' * 64}.npy"))
    array = decoded(counting, "train", **HOW)
    assert len(read) <= 300 + 2 * 128
    _, other = noise([(20, 24)] * 300, "9" * 64)
    np.testing.assert_array_equal(array, decoded(other, "train", **HOW))


def test_a_process_that_waits_for_another_can_be_stopped(tmp_path):
    process = slow(tmp_path / "log", 0.05, "3" * 64)
    while not (tmp_path / "log").exists():
        time.sleep(0.01)
    splits = {"train": np.arange(40), "val": np.arange(0), "test": np.arange(0)}
    dataset = Dataset("slow", "s", ["a"], np.zeros(40, int), splits, "3" * 64, "own data", None, str)

    def progress(done, total):
        assert (done, total) == (0, 40)
        raise Enough

    with pytest.raises(Enough):
        decoded(dataset, "train", **HOW, progress=progress)
    process.kill()
    process.communicate()


def test_small_images_are_not_blown_up_on_the_disk():
    """They are stored at what the largest of them needs, where that is half of what is asked for or less."""
    images, dataset = noise(
        [(10, 10), (10, 10)], "4" * 64, largest=lambda limit: (10, 10) if limit >= 10 else None
    )
    stored = decoded(dataset, "train", size=32, resize="crop", interpolation="bicubic")
    np.testing.assert_array_equal(stored, images[::-1])
    _, dataset = noise([(8, 12), (10, 10)], "5" * 64, largest=lambda limit: (10, 12) if limit >= 10 else None)
    for resize, side in (("crop", 10), ("squash", 12)):
        stored = decoded(dataset, "train", size=32, resize=resize, interpolation="bicubic")
        assert stored.shape == (2, side, side, 3)
        assert decoded(dataset, "train", size=16, resize=resize, interpolation="bicubic").shape[1] == 16


def test_bytes_that_decoding_will_take():
    _, dataset = noise([(20, 24)] * 3, "6" * 64)
    expected = bytes_to_decode(dataset, "train", **HOW)
    path = Path(decoded(dataset, "train", **HOW).filename)
    assert expected == path.stat().st_size and bytes_to_decode(dataset, "train", **HOW) == 0
    assert bytes_to_decode(dataset, "val", **HOW) == 0


def test_seconds_an_image_are_those_of_the_images_that_were_read(tmp_path, monkeypatch):
    dataset, read, clock = open_dataset("digits", None, tmp_path), [], iter([5.0, 13.0])
    counted = replace(dataset, read=lambda i: read.append(i) or dataset.read(i))
    monkeypatch.setattr(cache.time, "perf_counter", lambda: next(clock))
    assert cache.seconds_an_image(counted, 4, **HOW) == 2.0
    last = len(dataset.labels) - 1
    assert sorted(read) == [0, last // 3, 2 * last // 3, last]

"""Fingerprints that are remembered, and what killed writers leave."""

import errno
import hashlib
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from bench.data import open_dataset
from bench.data.images import largest_sides
from bench.errors import StoreError
from bench.files import (
    SMALL,
    cache_dir,
    locked,
    relative_names,
    remember,
    remembered,
    sha256_file,
    sha256_files,
    write_text,
)


def test_a_file_changed_in_place_has_another_fingerprint_whatever_its_time_says(tmp_path):
    path = tmp_path / "image.bmp"
    path.write_bytes(b"a" * 100)
    before, times = sha256_file(path), path.stat()
    with path.open("r+b") as file:
        file.write(b"b")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_mtime_ns == times.st_mtime_ns and sha256_file(path) != before
    # Nor is another file of the same name, size and time taken for it.
    other = tmp_path / "other"
    other.write_bytes(b"a" * 100)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.replace(other, path)
    assert sha256_file(path) == before


@pytest.mark.parametrize("content", [b"", b"0" * 64, b"abc\n", b"\xff\xfe\n\n", None])
def test_a_damaged_memory_is_not_believed(tmp_path, content):
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(50))
    before = set((cache_dir() / "fingerprints").glob("*"))
    value = sha256_file(path)
    (memory,) = set((cache_dir() / "fingerprints").glob("*")) - before
    flipped = memory.read_bytes()
    memory.write_bytes(content if content is not None else bytes([flipped[0] ^ 1]) + flipped[1:])
    assert remembered(memory) is None and sha256_file(path) == value and remembered(memory) == value


def test_one_hash_over_names_and_contents(tmp_path):
    sizes = {"a.png": 0, "b/c.png": 1, "b/d.png": SMALL - 1, "b/e.png": SMALL, "z.png": 3 * SMALL + 7}
    for name, size in sizes.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(os.urandom(size))
    paths = [tmp_path / name for name in sizes]
    each = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    whole = "".join(f"{name}\0{content}\n" for name, content in zip(sizes, each, strict=True))
    hashes, again = [], []
    assert sha256_files(paths, tmp_path, hashes=hashes) == hashlib.sha256(whole.encode()).hexdigest()
    assert hashes == each
    assert sha256_files(paths, tmp_path, hashes=again) == hashlib.sha256(whole.encode()).hexdigest()
    assert again == []  # remembered, and not read
    assert [sha256_file(path) for path in paths] == each
    assert relative_names(paths, tmp_path) == list(sizes)
    with pytest.raises(ValueError, match="is not below"):
        relative_names(paths, tmp_path / "b")


def test_a_file_that_comes_in_parts_is_read_to_its_end(tmp_path, monkeypatch):
    """As from a network."""
    path, read = tmp_path / "image", os.read
    path.write_bytes(os.urandom(100))
    monkeypatch.setattr(os, "read", lambda file, count: read(file, min(count, 7)))
    assert sha256_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "image").write_bytes(b"a")

    def fail(file, count):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "read", fail)
    with pytest.raises(OSError, match="Input/output error") as caught:
        sha256_file(tmp_path / "image")
    assert caught.value.filename == str(tmp_path / "image")


def test_what_is_remembered_is_one_line(tmp_path):
    remember(tmp_path / "line", "5 7")
    assert remembered(tmp_path / "line") == "5 7" and remembered(tmp_path / "none") is None


WRITER = """
import sys, time
from pathlib import Path
from bench.files import staged
with staged(Path(sys.argv[1])) as part:
    part.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_the_next_writer_removes_what_a_killed_one_left_but_not_what_a_living_one_writes(tmp_path):
    path = tmp_path / "table.csv"
    command = [sys.executable, "-c", WRITER, str(path)]
    killed, living = (subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2))
    for process in (killed, living):
        assert process.stdout.readline().strip() == "ready"
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert len(list(tmp_path.glob(".table.csv.*.part"))) == 2
    write_text(path, "whole")
    assert len(list(tmp_path.glob(".table.csv.*.part"))) == 1 and path.read_text() == "whole"
    living.kill()
    living.communicate()
    write_text(path, "whole again")
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.csv"]


HOLDER = """
import sys, time
from pathlib import Path
from bench.files import locked
with locked(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def test_a_lock_has_one_holder_and_is_free_when_that_one_is_killed(tmp_path):
    path = tmp_path / "folder" / "a.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline().strip() == "True"
    for _ in range(2):
        with locked(path) as mine:
            assert not mine
    holder.kill()
    holder.communicate()
    with locked(path) as mine, locked(path) as again:
        assert mine and not again
    with locked(path) as mine:
        assert mine


def test_a_lock_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="a.lock: cannot be written"), locked(tmp_path / "file" / "a.lock"):
        pass


def test_sides_of_small_images_are_read_from_their_headers(tmp_path):
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        for name, size in (("a", (12, 20)), ("b", (16, 10))):
            folder = tmp_path / "own" / split / name
            folder.mkdir(parents=True)
            pixels = random.integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "1.png")
    dataset = open_dataset(f"folder:{tmp_path / 'own'}", None, tmp_path)
    assert dataset.largest(11) is None
    assert dataset.largest(12) == (12, 20)
    # Remembered: the files are not looked at again.
    assert largest_sides([], dataset.fingerprint, 12, []) == (12, 20)
    assert largest_sides([], dataset.fingerprint, 11, []) is None

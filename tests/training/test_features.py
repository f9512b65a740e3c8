"""Features in the cache: shared by processes, kept when stopped, and computed again where damaged."""

import logging
import os
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from bench.data import open_dataset
from bench.training import features as module
from bench.training.features import KEYS, computed, features_path, frozen_features
from bench.training.observer import Silent, Stopped

COUNT = 2500  # two chunks and a half


def expected(start, stop):
    return np.stack([np.full(3, i, np.float32) for i in range(start, stop)])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "features" / "net-train-0123.npy"


class Counting:
    """Computes features and counts the images; asks to stop after so many, if told."""

    def __init__(self, limit=None):
        self.images, self.limit, self.pieces = 0, limit, []

    def __call__(self, start, stop):
        if self.limit is not None and self.images >= self.limit:
            raise Stopped
        self.images += stop - start
        self.pieces.append((start, stop))
        return expected(start, stop)


def take(path, compute):
    return frozen_features(path, COUNT, compute, {"device": "cpu"}, Silent())


def test_computed_once_and_kept_with_their_facts(path):
    compute = Counting()
    array, facts = take(path, compute)
    np.testing.assert_array_equal(array, expected(0, COUNT))
    assert facts.keys() == {"device", "seconds"} and compute.images == COUNT
    again, same = take(path, None)
    np.testing.assert_array_equal(again, array)
    assert same == facts and computed(path, COUNT) == COUNT
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".json", ".lock", ".npy"]


def test_what_was_computed_before_a_stop_is_kept(path):
    pieces = []
    for limit in (300, 1000, 1000):
        compute = Counting(limit)
        with pytest.raises(Stopped):
            take(path, compute)
        pieces += compute.pieces
        assert computed(path, COUNT) == sum(stop - start for start, stop in pieces)
    compute = Counting()
    array, _ = take(path, compute)
    np.testing.assert_array_equal(array, expected(0, COUNT))
    # Nothing twice, and in the same batches as without a stop.
    whole = Counting()
    take(path.with_name("other.npy"), whole)
    assert sorted(pieces + compute.pieces) == whole.pieces


def test_each_division_has_features_of_its_own(tmp_path):
    identity = dict.fromkeys(KEYS, "same") | {"model": {"name": "net"}, "recipe": {"augment": {}}}
    ours = open_dataset("digits", None, tmp_path)
    test = ours.splits["test"].copy()
    test[0] += 1
    theirs = replace(ours, splits=ours.splits | {"test": test})
    same = {
        split: features_path(identity, ours, split) == features_path(identity, theirs, split)
        for split in ours.splits
    }
    assert same == {"train": True, "val": True, "test": False}


DAMAGE = {
    "a bit": lambda path: flip(path, -5),
    "a bit of the header": lambda path: flip(path, 30),
    "cut short": lambda path: os.truncate(path, path.stat().st_size - 100),
    "empty": lambda path: os.truncate(path, 0),
    "zeros": lambda path: path.write_bytes(path.read_bytes()[:2000] + bytes(path.stat().st_size - 2000)),
    "no facts": lambda path: path.with_suffix(".json").unlink(),
    "facts are nonsense": lambda path: path.with_suffix(".json").write_text("[]"),
    "facts cut short": lambda path: os.truncate(path.with_suffix(".json"), 9),
}


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_noticed_and_made_good(path, kind, caplog):
    take(path, Counting())
    DAMAGE[kind](path)
    with caplog.at_level(logging.WARNING, "vcbench"):
        array, _ = take(path, Counting())
    np.testing.assert_array_equal(array, expected(0, COUNT))
    assert len(caplog.messages) == (kind != "no facts")
    take(path, None)


@pytest.mark.parametrize("kind", ["a bit", "a bit of the header", "cut short", "empty", "zeros"])
def test_damage_of_a_part_is_noticed_and_made_good(path, kind):
    with pytest.raises(Stopped):
        take(path, Counting(1200))
    DAMAGE[kind](path.with_suffix("") / "0.safetensors")
    array, _ = take(path, Counting())
    np.testing.assert_array_equal(array, expected(0, COUNT))


SHARED = """
import sys, time
from pathlib import Path
import numpy as np
from bench.training.features import frozen_features
from bench.training.observer import Silent

log = Path(sys.argv[2])

def compute(start, stop):
    with log.open("a") as file:
        file.write(f"{start}\\n")
    time.sleep(0.02)
    return np.stack([np.full(3, i, np.float32) for i in range(start, stop)])

for turn in range(6):
    array, _ = frozen_features(Path(sys.argv[1] + f"-{turn}.npy"), 5000, compute, {}, Silent())
    assert (array[:, 0] == np.arange(5000)).all()
"""


def test_processes_that_need_the_same_share_the_work(tmp_path):
    """Nothing is computed twice, and none of them ends because another has cleared up."""
    command = [sys.executable, "-c", SHARED, str(tmp_path / "net"), str(tmp_path / "log")]
    several = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [process.communicate(timeout=1800)[1] for process in several]
    assert errors == [""] * 3
    starts = [int(line) for line in (tmp_path / "log").read_text().split()]
    assert sorted(starts) == sorted(
        [s for c in range(0, 5000, 1024) for s in range(c, min(c + 1024, 5000), 128)] * 6
    )


def test_a_process_that_waits_can_be_stopped(path, monkeypatch):
    """Another has all that is missing in hand."""
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    begun, go_on = threading.Event(), threading.Event()

    def slow(start, stop):
        begun.set()
        go_on.wait(60)
        return expected(start, stop)

    class Stopping(Silent):
        def should_stop(self):
            return True

    other = threading.Thread(target=frozen_features, args=(path, 100, slow, {}, Silent()))
    other.start()
    begun.wait(60)
    with pytest.raises(Stopped):
        frozen_features(path, 100, None, {}, Stopping())
    go_on.set()
    other.join()
    assert computed(path, 100) == 100

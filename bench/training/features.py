"""Frozen features: computed once for each image and model, then read from the cache.

Several processes that need the same features share the work, CHUNK images at a time. Everything stored has a
SHA-256, which every process compares once; what is damaged is computed again.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes
from torch import nn

from bench.data.base import Dataset
from bench.errors import StoreError, warn
from bench.files import cache_dir, digest, locked, read_json, staged, write_bytes, write_json
from bench.machine import versions
from bench.spec.job import CLEAN
from bench.training.observer import Observer, Stopped

FORMAT = 3
CHUNK = 1024  # images that one process takes on at a time
PIECE = 128  # images after which it looks whether to stop
WAIT_SECONDS = 0.2
# What of a trial's identity decides its features.
KEYS = ("model", "weights", "dataset", "data", "split_id", "input_size", "precision")

# Files whose checksum this process has compared: their inode, size and time of change then.
_checked: dict[Path, tuple[int, int, int]] = {}


def features_path(identity: dict[str, Any], dataset: Dataset, split: str, condition: str = CLEAN) -> Path:
    """Where the features of a split lie, of a trial with this identity."""
    key = {name: identity[name] for name in KEYS}
    libraries = {name: versions()[name] for name in ("torch", "timm")}
    key |= {
        "augment": identity["recipe"]["augment"],
        "split": split,
        "division": dataset.divisions[split],
        "format": FORMAT,
        "versions": libraries,
    }
    if condition != CLEAN:
        key |= {"condition": condition}
    return cache_dir() / "features" / f"{identity['model']['name']}-{split}-{digest(key)}.npy"


def computed(path: Path, count: int) -> int:
    """How many of the features of `count` images are in the cache, by the sizes of files alone."""
    if path.exists() and path.with_suffix(".json").exists():
        return count
    return sum(_rows_in(part) for part in path.with_suffix("").glob("*.safetensors"))


def frozen_features(
    path: Path,
    count: int,
    compute: Callable[[int, int], np.ndarray],
    facts: dict[str, Any],
    observer: Observer,
) -> tuple[np.ndarray, dict[str, Any]]:
    """The features at `path`, computed if they are not there, and by what they were made.

    What has been computed is kept when this is stopped, and another process goes on with it.

    Args:
        count: number of images of the split.
        compute: gives the features of the images from a start to a stop, shape (stop - start, width); it may
            raise Stopped.
        facts: device, library versions and commit, which are kept beside the features.
        observer: asked whether to stop while another process is at what is missing.

    Returns:
        Features, float32, shape (count, width); and the facts of when they were made, with `seconds`.

    Raises:
        Stopped: `compute` or the observer asked for it.
        StoreError: they cannot be written or read.
    """
    while True:
        stored = _read(path, count)
        if stored is not None:
            return stored
        chunks = [_Chunk(path, start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
        missing = [chunk for chunk in chunks if not chunk.is_complete()]
        worked = [chunk.work(compute) for chunk in missing]
        if not missing:
            with locked(path.with_name(f".{path.name}.lock")) as mine:
                if mine:
                    _assemble(path, chunks, facts)
        elif not any(worked):
            # Another process has all that is missing in hand.
            if observer.should_stop():
                raise Stopped
            time.sleep(WAIT_SECONDS)


def _read(path: Path, count: int) -> tuple[np.ndarray, dict[str, Any]] | None:
    """Features and facts, or None where they are not there; damaged ones are removed with a warning."""
    facts_path = path.with_suffix(".json")
    if not facts_path.exists():
        path.unlink(missing_ok=True)  # the facts are written first: without them it is of no use
    if not path.exists():
        return None
    problem = "do not have their checksum"
    try:
        facts = read_json(facts_path)
        features = np.load(path, mmap_mode="r")
        stat, expected = path.stat(), facts.pop("sha256")
        state = (stat.st_ino, stat.st_size, stat.st_ctime_ns)
        good = features.shape[:1] == (count,) and features.dtype == np.float32 and features.ndim == 2
        if good and _checked.get(path) != state:
            good = _sha256(features) == expected
    except (ValueError, EOFError, KeyError, AttributeError, TypeError, StoreError) as error:
        good, problem = False, f"cannot be read ({error})"
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    if good:
        _checked[path] = state
        return features, facts
    warn(f"{path}: these features are damaged and are computed again: they {problem}")
    facts_path.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    return None


def _assemble(path: Path, chunks: "list[_Chunk]", facts: dict[str, Any]) -> None:
    """Join the chunks into one file; its lock is held."""
    parts = [chunk.read() for chunk in chunks]
    if path.exists() or any(len(rows) < chunk.size for (rows, _), chunk in zip(parts, chunks, strict=True)):
        return  # another process was first, or a chunk was damaged and is now missing
    features = np.concatenate([rows for rows, _ in parts])
    # The facts come first: features count only with both.
    seconds = round(sum(spent for _, spent in parts), 3)
    write_json(path.with_suffix(".json"), facts | {"seconds": seconds, "sha256": _sha256(features)})
    with staged(path) as part, part.open("wb") as file:
        np.save(file, features)
    shutil.rmtree(path.with_suffix(""), ignore_errors=True)


class _Chunk:
    """The features of the images from `start` to `stop`, as far as they are computed."""

    def __init__(self, whole: Path, start: int, stop: int) -> None:
        self.whole, self.start, self.size = whole, start, stop - start
        self.path = whole.with_suffix("") / f"{start}.safetensors"

    def is_complete(self) -> bool:
        """Whether all of it is there, by what its header says."""
        return _rows_in(self.path) == self.size

    def read(self) -> tuple[np.ndarray, float]:
        """The rows there are, float32 (n, width), and the seconds they took; none where they are damaged."""
        try:
            with safe_open(self.path, framework="np") as file:
                metadata, rows = file.metadata(), file.get_tensor("features")
            if metadata["sha256"] == _sha256(rows):
                return rows, float(metadata["seconds"])
            problem = "its checksum is another"
        except FileNotFoundError:
            return np.empty((0, 0), np.float32), 0.0
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            problem = str(error)
        warn(f"{self.path}: these features are damaged and are computed again ({problem})")
        self.path.unlink(missing_ok=True)
        return np.empty((0, 0), np.float32), 0.0

    def work(self, compute: Callable[[int, int], np.ndarray]) -> bool:
        """Compute what is missing, unless another process is at it; returns whether this one did.

        Raises:
            Stopped: what had been computed is stored.
        """
        with locked(self.path.with_suffix(".lock")) as mine:
            if not mine:
                return False
            # In this order: chunks are removed only after the whole is there.
            if self.is_complete() or self.whole.exists():
                return True
            rows, seconds = self.read()
            pieces = [rows] if len(rows) else []
            began = time.perf_counter()
            try:
                for start in range(len(rows), self.size, PIECE):
                    stop = min(start + PIECE, self.size)
                    pieces.append(compute(self.start + start, self.start + stop))
            finally:
                if sum(map(len, pieces)) > len(rows):
                    self._write(np.concatenate(pieces), seconds + time.perf_counter() - began)
            return True

    def _write(self, rows: np.ndarray, seconds: float) -> None:
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        write_bytes(
            self.path, to_bytes({"features": rows}, {"sha256": _sha256(rows), "seconds": f"{seconds:.3f}"})
        )


def _rows_in(part: Path) -> int:
    """How many rows a chunk's file has by its header; 0 where there is none."""
    try:
        with part.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return int(header["features"]["shape"][0])
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, MemoryError):
        return 0


def _sha256(features: np.ndarray) -> str:
    """Of shape and values."""
    whole = hashlib.sha256(f"{features.shape}".encode())
    whole.update(np.ascontiguousarray(features).data)
    return whole.hexdigest()


def penultimate(network: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """The function from images to what the last layer of a timm network reads, shape (n, width)."""
    timm: Any = network
    return lambda images: timm.forward_head(timm.forward_features(images), pre_logits=True)

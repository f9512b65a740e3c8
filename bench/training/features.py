"""Frozen features: computed once for each image and model, then read from the cache."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.config import cache_dir, digest
from bench.files import read_json, staged, write_json
from bench.machine import versions

FORMAT = 2
CHUNK = 1024
# What of a trial's identity decides its features.
KEYS = ("model", "weights", "dataset", "data", "split_id", "input_size", "precision")


def features_path(identity: dict[str, Any], split: str) -> Path:
    """Where the features of a split lie."""
    key = {name: identity[name] for name in KEYS}
    libraries = {name: versions()[name] for name in ("torch", "timm")}
    key |= {
        "augment": identity["recipe"]["augment"],
        "split": split,
        "format": FORMAT,
        "versions": libraries,
    }
    return cache_dir() / "features" / f"{identity['model']['name']}-{split}-{digest(key)}.npy"


def frozen_features(
    path: Path, count: int, compute: Callable[[int, int], np.ndarray], facts: dict[str, Any]
) -> tuple[np.ndarray, dict[str, Any]]:
    """The features at `path`, computed if they are not there, and by what they were made.

    They are stored CHUNK images at a time, so that what was interrupted goes on where it stopped.

    Args:
        count: number of images of the split.
        compute: gives the features of the images from a start to a stop, shape (stop - start, width).
        facts: device, library versions and commit, which are kept beside the features.

    Returns:
        Features, float32, shape (count, width); and the facts of when they were made, with `seconds`.
    """
    words, parts = path.with_suffix(".json"), path.with_suffix("")
    if not (path.exists() and words.exists()):
        chunks, seconds = [], 0.0
        for start in range(0, count, CHUNK):
            chunk, spent = parts / f"{start}.npy", parts / f"{start}.json"
            if not (chunk.exists() and spent.exists()):
                began = time.perf_counter()
                _save(chunk, compute(start, min(start + CHUNK, count)))
                write_json(spent, time.perf_counter() - began)
            chunks.append(np.load(chunk))
            seconds += read_json(spent)
        _save(path, np.concatenate(chunks))
        write_json(words, facts | {"seconds": round(seconds, 3)})
        shutil.rmtree(parts, ignore_errors=True)
    return np.load(path, mmap_mode="r"), read_json(words)


def _save(path: Path, features: np.ndarray) -> None:
    with staged(path) as part, part.open("wb") as file:
        np.save(file, features)


def penultimate(network: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """The function from images to what the last layer of a timm network reads, shape (n, width)."""
    return lambda images: network.forward_head(network.forward_features(images), pre_logits=True)

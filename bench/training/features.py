"""Frozen features: computed once for each image and model, then read from the cache."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.config import cache_dir, digest
from bench.files import staged

FORMAT = 1
# What of a trial's identity decides its features.
KEYS = ("model", "weights", "dataset", "data", "split_id", "input_size", "precision")


def features_path(identity: dict[str, Any], split: str) -> Path:
    """Where the features of a split lie."""
    key = {name: identity[name] for name in KEYS}
    key |= {"augment": identity["recipe"]["augment"], "split": split, "format": FORMAT}
    return cache_dir() / "features" / f"{identity['model']['name']}-{split}-{digest(key)}.npy"


def frozen_features(path: Path, compute: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """The features at `path`, computed and stored if they are not there; and the seconds that took."""
    began = time.perf_counter()
    if not path.exists():
        features = compute()
        with staged(path) as part, part.open("wb") as file:
            np.save(file, features)
    return np.load(path, mmap_mode="r"), time.perf_counter() - began


def penultimate(network: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """The function from images to what the last layer of a timm network reads, shape (n, width)."""
    return lambda images: network.forward_head(network.forward_features(images), pre_logits=True)

"""The features of a candidate for the images that a pick looks at, and how fast the candidate is here."""

import time
from collections.abc import Callable
from functools import cached_property
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.data import Dataset
from bench.data.augment import Pipeline
from bench.data.cache import Array, decoded
from bench.data.streamed import Streamed
from bench.errors import REFUSALS, InputError, first_line
from bench.files import cache_dir, digest
from bench.machine import commit, device_name, versions
from bench.networks import make_model
from bench.picking.candidates import Candidate
from bench.spec.recipe import Augment
from bench.training.evaluate import forward_all
from bench.training.features import frozen_features, penultimate
from bench.training.images import Images
from bench.training.observer import Observer, Part, Stopped
from bench.training.step import autocast, set_backends, trained_form

HELD_BYTES = 1.5e9  # of decoded images that are kept for the next candidate
TIMED = {"cpu": 8, "cuda": 64, "mps": 64}  # images in a batch that is timed
PASSES = 3


class Pictures:
    """Decoded images of a dataset for one input size, of which only those are decoded that are looked at.

    Args:
        observer: shows how far a check of images decoded earlier is, and says when to stop.
    """

    def __init__(
        self, dataset: Dataset, input_size: int, device: str, augment: Augment, observer: Observer
    ) -> None:
        self.dataset, self.input_size, self.device, self.augment = dataset, input_size, device, augment
        self._observer = observer
        self._held: dict[str, dict[int, np.ndarray]] = {}
        self._bytes = 0
        self._decoded, self._seconds = 0, 0.0

    @property
    def decoded_images(self) -> int:
        """How many were decoded so far."""
        return self._decoded

    @property
    def seconds_an_image(self) -> float:
        """What decoding one took so far; 0 before the first."""
        return self._seconds / self._decoded if self._decoded else 0.0

    def at(self, split: str, positions: np.ndarray) -> Images:
        """Images at some positions of a split, int64 (n,).

        Raises:
            DataError: one of them is damaged.
            Stopped: the observer asked for it.
        """
        how: dict[str, Any] = {
            "size": self.augment.stored_size(self.input_size),
            "resize": self.augment.resize,
            "interpolation": self.augment.interpolation,
        }
        array = Array.of(self.dataset, split, **how)
        if array.path.exists():
            images = decoded(self.dataset, split, **how, progress=self._checking)
            return Images(images, positions, self.device)
        images = self._looked_at(split, Streamed(array), positions)
        return Images(images, np.arange(len(positions)), self.device)

    def _checking(self, done: int, total: int) -> None:
        self._observer.progress("checking decoded images", done, total)
        if self._observer.should_stop():
            raise Stopped

    def _looked_at(self, split: str, stream: Streamed, positions: np.ndarray) -> np.ndarray:
        held = self._held.setdefault(split, {})
        new = np.array([at for at in positions.tolist() if at not in held], dtype=np.int64)
        began = time.perf_counter()
        fresh = dict(zip(new.tolist(), stream[new], strict=True)) if len(new) else {}
        self._decoded += len(new)
        self._seconds += time.perf_counter() - began
        images = np.stack([held[at] if at in held else fresh[at] for at in positions.tolist()])
        room = HELD_BYTES - self._bytes
        kept = {at: image for at, image in fresh.items()} if images.nbytes <= room else {}
        held.update(kept)
        self._bytes += sum(image.nbytes for image in kept.values())
        return images


class Extractor:
    """A candidate's network, its speed, and its features, which the cache keeps.

    Args:
        precision: "fp32" or "bf16".
        observer: shows how far it is, and says when to stop.
    """

    def __init__(self, candidate: Candidate, pictures: Pictures, precision: str, observer: Observer) -> None:
        self.candidate, self.pictures, self.precision, self.observer = (
            candidate,
            pictures,
            precision,
            observer,
        )
        card = candidate.card
        self._pipeline = Pipeline(
            pictures.augment, input_size=candidate.input_size, mean=card.mean, std=card.std
        )
        self._features: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    @cached_property
    def network(self) -> nn.Module:
        """In evaluation mode, in the layout in which it is trained."""
        candidate = self.candidate
        network = make_model(
            candidate.card, candidate.weights, classes=candidate.classes, input_size=candidate.input_size
        ).to(self.pictures.device)
        return trained_form(network, candidate.card.memory_format).eval()

    def forget(self) -> None:
        """Give up the network and the features that are in memory; either comes back when it is asked for."""
        self.__dict__.pop("network", None)
        self._features.clear()

    @cached_property
    def width(self) -> int:
        """How many features an image has."""
        timm: Any = self.network
        return int(timm.num_features)

    def milliseconds(self, batch: int, is_late: Callable[[], bool]) -> float:
        """Of a forward pass over so many random images: the median of PASSES, after one that does not count.

        Args:
            is_late: asked between passes whether to stop.

        Raises:
            InputError: the network takes no images of this size.
            Stopped: it is late.
        """
        device, size = self.pictures.device, self.candidate.input_size
        images = torch.randn(batch, 3, size, size, device=device)
        set_backends(device)
        seconds: list[float] = []
        try:
            with torch.inference_mode(), autocast(self.precision, device):
                for _ in range(1 + PASSES):
                    if seconds and is_late():
                        raise Stopped
                    began = time.perf_counter()
                    self.network(images)
                    if device == "cuda":
                        torch.cuda.synchronize()
                    seconds.append(time.perf_counter() - began)
        except REFUSALS as error:
            raise InputError(
                f"{self.candidate.name}: takes no images of {size} px ({first_line(error)})"
            ) from error
        return 1000 * median(seconds[1:])

    def features(self, split: str, positions: np.ndarray) -> np.ndarray:
        """Of the images at some positions of a split, float32 (n, width); only new ones are computed.

        Raises:
            Stopped: the observer asked for it; what was computed is in the cache.
            DataError: an image is damaged.
        """
        known, rows = self._features.get(split, (np.empty(0, np.int64), np.empty((0, 0), np.float32)))
        new = np.setdiff1d(positions, known)
        if len(new):
            fresh, _ = frozen_features(
                self._path(split, new), len(new), self._computing(split, new), self._facts(), self.observer
            )
            known = np.concatenate([known, new])
            rows = np.concatenate([rows, fresh]) if rows.size else np.asarray(fresh)
            self._features[split] = known, rows
        order = np.argsort(known)
        return rows[order[np.searchsorted(known[order], positions)]]

    def _computing(self, split: str, positions: np.ndarray) -> Callable[[int, int], np.ndarray]:
        def compute(start: int, stop: int) -> np.ndarray:
            return forward_all(
                self.network,
                self.pictures.at(split, positions[start:stop]),
                self._pipeline,
                precision=self.precision,
                phase=f"{self.candidate.card.title}: features of {split}",
                observer=Part(self.observer, start, len(positions)),
                forward=penultimate(self.network),
            )

        return compute

    def _facts(self) -> dict[str, Any]:
        return {"device": device_name(self.pictures.device), "versions": versions(), "commit": commit()}

    def _path(self, split: str, positions: np.ndarray) -> Any:
        dataset, card = self.pictures.dataset, self.candidate.card
        key = {
            "card": card.model_dump(mode="json", include={"architecture", "options", "stem", "mean", "std"}),
            "weights": self.candidate.weights.fingerprint,
            "data": dataset.fingerprint,
            "split": [dataset.split_id, split],
            "positions": dataset.splits[split][positions].tolist(),
            "augment": self.pictures.augment.model_dump(mode="json"),
            "input_size": self.candidate.input_size,
            "precision": self.precision,
            "versions": {name: versions()[name] for name in ("torch", "timm")},
        }
        return cache_dir() / "features" / f"{card.name}-pick-{digest(key)}.npy"

"""JPEG files made on the spot, and the way from their bytes to a batch that a network takes."""

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench.data.augment import Pipeline
from bench.data.square import fit
from bench.spec.recipe import Augment

WIDTH, HEIGHT = 500, 375
QUALITY = 90
PICTURES = 16


def make_jpegs(count: int = PICTURES, seed: int = 0) -> list[bytes]:
    """Noise whose amplitude falls as one over frequency, as that of photographs does, and little colour.

    It takes about as many bytes as a photograph of this size, and as long to decode. Source of the spectrum:
    Field, "Relations between the statistics of natural images and the response properties of cortical
    cells", 1987.
    """
    random = np.random.default_rng(seed)
    across, down = np.fft.rfftfreq(WIDTH) * WIDTH, np.fft.fftfreq(HEIGHT) * HEIGHT
    frequency = np.maximum(np.hypot(across, down[:, None]), 1.0)

    def field() -> np.ndarray:
        noise = np.fft.rfft2(random.normal(size=(HEIGHT, WIDTH))) / frequency
        values = np.fft.irfft2(noise, (HEIGHT, WIDTH))
        return (values - values.mean()) / values.std()

    files = []
    for _ in range(count):
        light, tints = field(), np.stack([field() for _ in range(3)], 2)
        pixels = np.clip(118 + 55 * light[..., None] + 12 * tints, 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
        files.append(file.getvalue())
    return files


def describe_jpegs(files: Sequence[bytes]) -> dict[str, str | float]:
    """jpeg_px, width x height; jpeg_kib, their mean size in KiB."""
    return {"jpeg_px": f"{WIDTH}x{HEIGHT}", "jpeg_kib": sum(map(len, files)) / len(files) / 1024}


def batches(files: Sequence[bytes], batch_size: int) -> Iterator[list[bytes]]:
    """The files in turn, for ever, `batch_size` at a time."""
    endless = cycle(files)
    while True:
        yield list(islice(endless, batch_size))


class Preparation:
    """What a service does to a picture before the network: decode, scale the short side, crop, normalise.

    Pictures of a batch are decoded and scaled by as many threads as are given; the arithmetic is that of the
    harness's evaluation.
    """

    def __init__(
        self, input_size: int, mean: Sequence[float], std: Sequence[float], device: str, threads: int
    ) -> None:
        self._augment, self._device = Augment(), device
        self._stored = self._augment.stored_size(input_size)
        self._pipeline = Pipeline(self._augment, input_size=input_size, mean=mean, std=std)
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def decode(self, files: Sequence[bytes]) -> list[Image.Image]:
        """RGB pictures."""
        return self._each(_decode, files)

    def transform(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """float32 on the device, shape (n, 3, input_size, input_size)."""
        scaled = self._each(self._scale, pictures)
        return self._pipeline.evaluate(torch.from_numpy(np.stack(scaled)).to(self._device))

    def _scale(self, picture: Image.Image) -> np.ndarray:
        return np.asarray(fit(picture, self._stored, self._augment.resize, self._augment.interpolation))

    def _each(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        if self._pool is None or len(items) == 1:
            return [function(item) for item in items]
        return list(self._pool.map(function, items))


def _decode(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file)).convert("RGB")

"""Images that are decoded whenever they are wanted, where all of them decoded would not fit into the cache.

VCBENCH_CACHE_GB says how many GB of decoded images the cache may hold; without it there is no limit.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.base import Dataset
from bench.data.cache import Array, Progress, decoded, decoded_in
from bench.errors import InputError
from bench.files import cache_dir, remember, remembered

LIMIT = "VCBENCH_CACHE_GB"


class Streamed:
    """Reads as the array that it stands for, uint8 (n, s, s, 3), but at arrays of positions alone."""

    def __init__(self, array: Array) -> None:
        self._array = array
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1)
        self.shape = (array.count, array.side, array.side, 3)

    def __len__(self) -> int:
        return self._array.count

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        """The images at some positions, int64 (m,): uint8 (m, s, s, 3).

        Raises:
            DataError: an image was damaged since it was checked.
        """
        wanted = self._array.dataset.splits[self._array.split][positions].tolist()
        images = np.empty((len(wanted), *self.shape[1:]), dtype=np.uint8)
        for place, pixels in enumerate(self._pool.map(self._array.pixels, wanted)):
            images[place] = np.frombuffer(pixels, dtype=np.uint8).reshape(self.shape[1:])
        return images


def decoded_or_streamed(
    dataset: Dataset, split: str, *, progress: Progress | None = None, **how: Any
) -> np.ndarray | Streamed:
    """All images of a split as `decoded` gives them, or a stream of the same where they do not fit.

    Before it is streamed for the first time every image is decoded once, so that a damaged one is known
    before anything is trained.

    Args:
        how: size, resize and interpolation, as of `decoded`.

    Raises:
        InputError: the limit is no number.
        DataError, StoreError: as `decoded`.
    """
    array = Array.of(*decoded_in(dataset, split), **how)
    if fits(array):
        return decoded(dataset, split, progress=progress, **how)
    checked = cache_dir() / "decodable" / array.path.stem
    if remembered(checked) is None:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for start, stop in array.chunks():
                array.decode(start, stop, pool, progress or (lambda done, total: None))
        remember(checked, "every image was decoded")
    return Streamed(Array.of(dataset, split, **how))


def fits(array: Array, planned: int = 0) -> bool:
    """Whether a decoded split is in the cache, or would fit beside what is there and `planned` further bytes.

    Raises:
        InputError: the limit is no number.
    """
    limit = _limit()
    if limit is None or array.path.exists() or not array.count:
        return True
    folder = array.path.parent
    others = folder.glob("*.npy*") if folder.exists() else ()
    held = sum(_size(path) for path in others if path != array.building)
    return held + planned + array.file_bytes <= limit


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another process has renamed or removed it since
        return 0


def _limit() -> float | None:
    """The bytes that decoded images may take; None without a limit."""
    text = os.environ.get(LIMIT)
    if not text:
        return None
    try:
        limit = float(text) * 1e9
    except ValueError as error:
        raise InputError(f"{LIMIT}={text}: should be a number of GB, as in 50") from error
    if not limit >= 0:
        raise InputError(f"{LIMIT}={text}: should be a number of GB, as in 50")
    return limit

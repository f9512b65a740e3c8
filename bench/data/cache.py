"""Images decoded and resized once, as arrays on disk that every trial reads."""

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from bench.config import cache_dir, digest
from bench.data.base import Dataset
from bench.errors import StoreError
from bench.files import cannot_write, staged

FORMAT = 1
CHUNK = 128  # images decoded ahead of the writer
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

Progress = Callable[[int, int], None]


def decoded(
    dataset: Dataset,
    split: str,
    *,
    size: int,
    resize: Literal["squash", "crop"],
    interpolation: Literal["bilinear", "bicubic"],
    progress: Progress | None = None,
) -> np.ndarray:
    """All images of a split, uint8 (n, s, s, 3), read-only and mapped from disk; built the first time.

    s is `size`, but a dataset whose images are natively square and no larger is kept as it is, for the
    device to scale up. Two processes that ask at once build it once; one that dies leaves nothing that
    could be taken for the whole.

    Args:
        size: side in px.
        resize: "squash" to size x size, or "crop": the short side to size, then the centre. Both are
            antialiased.
        progress: called with images done and images in all while the array is built.

    Raises:
        DataError: an image is damaged.
        StoreError: the cache cannot be written, or the disk is full.
    """
    native = dataset.native_size is not None and dataset.native_size <= size
    side = dataset.native_size if native else size
    how = {"resize": "none"} if native else {"resize": resize, "interpolation": interpolation}
    key = {
        "format": FORMAT,
        "data": dataset.fingerprint,
        "split_id": dataset.split_id,
        "split": split,
        "size": side,
    }
    label = re.sub(r"[^\w.-]", "_", f"{dataset.name[:40]}-{split}-{side}")
    path = cache_dir() / "images" / f"{label}-{digest({**key, **how})}.npy"
    shape = (len(dataset.splits[split]), side, side, 3)
    if not shape[0]:
        return np.empty(shape, dtype=np.uint8)
    images = _mapped(path, shape)
    if images is None:
        with _locked(path):
            images = _mapped(path, shape)
            if images is None:
                _build(
                    path, dataset, split, shape, None if native else (size, resize, interpolation), progress
                )
                images = _mapped(path, shape)
    return images


def fit(
    image: Image.Image,
    size: int,
    resize: Literal["squash", "crop"],
    interpolation: Literal["bilinear", "bicubic"],
) -> Image.Image:
    """An image at size x size px, by the same arithmetic as torchvision's Resize and CenterCrop."""
    if resize == "squash":
        return image.resize((size, size), FILTERS[interpolation])
    width, height = image.size
    short = min(width, height)
    width, height = (size if side == short else int(size * side / short) for side in (width, height))
    image = image.resize((width, height), FILTERS[interpolation])
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array at `path`, or None where there is none of this shape: a cache may always be built again."""
    try:
        images = np.load(path, mmap_mode="r")
    except (FileNotFoundError, ValueError, EOFError):
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    return images if images.shape == shape and images.dtype == np.uint8 else None


def _build(
    path: Path,
    dataset: Dataset,
    split: str,
    shape: tuple[int, ...],
    how: tuple | None,
    progress: Progress | None,
) -> None:
    """Write the whole array; the lock is held, so what another left unfinished is nobody's."""

    def one(index: int) -> bytes:
        image = dataset.read(index)
        if how is not None:
            image = np.asarray(fit(Image.fromarray(image), *how))
        return np.ascontiguousarray(image).tobytes()

    for abandoned in path.parent.glob(f".{path.name}.*.part"):
        abandoned.unlink(missing_ok=True)
    indices = dataset.splits[split].tolist()
    # Plain writes in order: a full disk is then an error here, where a mapped file would kill the process.
    with staged(path) as part, part.open("wb") as file, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        done = 0
        for start in range(0, len(indices), CHUNK):
            for data in pool.map(one, indices[start : start + CHUNK]):
                file.write(data)
                done += 1
                if progress is not None:
                    progress(done, len(indices))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of `path`, waiting for whoever has it; the system frees it when its holder dies."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("w")
    except OSError as error:
        raise cannot_write(lock, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise cannot_write(lock, error) from error
        yield

"""Images decoded and resized once, as arrays on disk that every trial reads.

`NAME.npy` holds the images, `NAME.crc` a checksum of every CHUNK of them. While an array is built the two
grow together as `NAME.npy.building` and `NAME.crc.building`, so that what was stopped goes on where it was,
and what was damaged is decoded again, CHUNK by CHUNK.
"""

import io
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data.base import Dataset
from bench.data.square import Interpolation, Resize, fit
from bench.errors import DataError, StoreError, TrialError, warn
from bench.files import cache_dir, cannot_write, digest, locked

FORMAT = 2
# Images decoded ahead of the writer, and under one checksum; fewer where they are large.
CHUNK, CHUNK_BYTES = 128, 2**25
CRC_BYTES = 4
WAIT_SECONDS = 0.1

Progress = Callable[[int, int], None]

# Arrays whose checksums this process has compared: their inode, size and time of change then.
_checked: dict[Path, tuple[int, int, int]] = {}
# Arrays that this process reads.
_mapped: "dict[Path, Array]" = {}


def decoded(
    dataset: Dataset,
    split: str,
    *,
    size: int,
    resize: Resize,
    interpolation: Interpolation,
    progress: Progress | None = None,
) -> np.ndarray:
    """All images of a split, uint8 (n, s, s, 3), read-only and mapped from disk; built the first time.

    s is `stored_side`. Two processes that ask at once build the array once; one that dies or is stopped
    leaves what it has decoded to the next. Every process compares the checksums once (about a second for
    5 GB that are in memory), and decodes anew what does not have them.

    Args:
        size: side in px.
        resize: "squash" to size x size, or "crop": the short side to size, then the centre. Both are
            antialiased.
        progress: called with images done and images in all while the array is built, and with 0 done while
            this process waits for another or compares checksums. What it raises ends that.

    Raises:
        DataError: an image is damaged.
        StoreError: the cache cannot be written, or the disk is full.
    """
    if dataset.whole is not None:
        images = decoded(
            *decoded_in(dataset, split),
            size=size,
            resize=resize,
            interpolation=interpolation,
            progress=progress,
        )
        return images[dataset.splits[split]]
    array = Array.of(dataset, split, size=size, resize=resize, interpolation=interpolation)
    if not array.count:
        return np.empty((0, array.side, array.side, 3), dtype=np.uint8)
    progress = progress or (lambda done, total: None)
    if not array.is_whole(progress):
        with _waited_for(array.path, lambda: progress(0, array.count)):
            if not array.is_whole(progress):
                array.make(progress)
    _mapped[array.path] = array
    return np.load(array.path, mmap_mode="r")


def decoded_in(dataset: Dataset, split: str) -> tuple[Dataset, str]:
    """The data set and split whose array holds the images of a split: of a fold it is that of all images."""
    return (dataset, split) if dataset.whole is None else (dataset.whole, "test")


def require_unchanged() -> None:
    """Make sure that no array was changed while this process read it.

    Raises:
        TrialError: one was, in place, and lacks a checksum since.
    """
    for path, array in _mapped.items():
        known = _checked.get(path)
        try:
            now = _state(path)
        except FileNotFoundError:
            continue  # what was mapped is there all the same
        if known is None or now == known or now[0] != known[0]:
            continue
        if not array.is_whole(lambda done, total: None):
            raise TrialError(f"{path}: was changed while it was read; run again, it is decoded anew")


def bytes_to_decode(
    dataset: Dataset, split: str, *, size: int, resize: Resize, interpolation: Interpolation
) -> int:
    """Bytes that `decoded` would still write to the disk."""
    array = Array.of(*decoded_in(dataset, split), size=size, resize=resize, interpolation=interpolation)
    there = [path.stat().st_size for path in (array.path, array.building) if path.exists()]
    return max(0, array.file_bytes - max(there, default=0)) if array.count else 0


def seconds_an_image(
    dataset: Dataset, count: int, *, size: int, resize: Resize, interpolation: Interpolation
) -> float:
    """Seconds that decoding takes per image here, from at most `count` images spread over the dataset."""
    array = Array.of(dataset, "train", size=size, resize=resize, interpolation=interpolation)
    chosen = np.unique(np.linspace(0, len(dataset.labels) - 1, count).astype(int)).tolist()
    began = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(array.pixels, chosen))
    return (time.perf_counter() - began) / len(chosen)


def stored_side(dataset: Dataset, size: int, resize: Resize) -> int:
    """The side in px at which images are stored that are wanted at `size`.

    It is `size`, but a dataset whose images are all square and of one size no larger is kept as it is, and
    one whose largest image needs half of `size` or less is stored at what that one needs; the device scales
    up.
    """
    if dataset.native_size is not None:
        return min(size, dataset.native_size)
    sides = dataset.largest(size // 2) if dataset.largest is not None else None
    needed = size if sides is None else sides[0] if resize == "crop" else sides[1]
    return needed if needed <= size // 2 else size


@dataclass(frozen=True)
class Array:
    """One decoded split: where it lies, and how its images are made."""

    path: Path
    dataset: Dataset
    split: str
    side: int
    how: tuple[Resize, Interpolation] | None

    @classmethod
    def of(
        cls, dataset: Dataset, split: str, *, size: int, resize: Resize, interpolation: Interpolation
    ) -> "Array":
        """The array of a split at a size; nothing is read or written."""
        side = stored_side(dataset, size, resize)
        native = side == dataset.native_size
        how = {"resize": "none"} if native else {"resize": resize, "interpolation": interpolation}
        key = {
            "format": FORMAT,
            "data": dataset.fingerprint,
            "split_id": dataset.split_id,
            "split": split,
            "division": dataset.divisions[split],
            "size": side,
        }
        label = re.sub(r"[^\w.-]", "_", f"{dataset.name[:40]}-{split}-{side}")
        path = cache_dir() / "images" / f"{label}-{digest({**key, **how})}.npy"
        return cls(path, dataset, split, side, None if native else (resize, interpolation))

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.dataset.splits[self.split])

    @property
    def image_bytes(self) -> int:
        """Bytes of one image."""
        return self.side * self.side * 3

    @property
    def header(self) -> bytes:
        """What stands before the pixels in a .npy file."""
        text = io.BytesIO()
        shape = (self.count, self.side, self.side, 3)
        np.lib.format.write_array_header_1_0(text, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return text.getvalue()

    @property
    def file_bytes(self) -> int:
        """Size of the whole file."""
        return len(self.header) + self.count * self.image_bytes

    @property
    def building(self) -> Path:
        """The array as far as it is, while it is being built."""
        return self.path.with_suffix(".npy.building")

    def chunks(self) -> list[tuple[int, int]]:
        """First image and end of every chunk."""
        each = max(1, min(CHUNK, CHUNK_BYTES // self.image_bytes))
        return [(start, min(start + each, self.count)) for start in range(0, self.count, each)]

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Offset and length in bytes of some images in the file."""
        return len(self.header) + start * self.image_bytes, (stop - start) * self.image_bytes

    def is_whole(self, progress: Progress) -> bool:
        """Whether the array is there with all its checksums; compared once in a process for the same file."""
        try:
            state = _state(self.path)
            if state[1] != self.file_bytes:
                return False
            if _checked.get(self.path) == state:
                return True
            sums = _sums(self.path.with_suffix(".crc").read_bytes())
            whole = len(sums) == len(self.chunks()) and not self.damaged(self.path, sums, progress)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be read ({error.strerror})") from error
        if whole:
            _checked[self.path] = state
        return whole

    def damaged(self, path: Path, sums: list[bytes], progress: Progress) -> list[int]:
        """Numbers of the chunks in the file at `path` that lack their checksums; all if its header does."""
        with path.open("rb") as file:
            if file.read(len(self.header)) != self.header:
                return list(range(len(sums)))
            wrong = []
            for number, ((start, stop), expected) in enumerate(zip(self.chunks(), sums, strict=False)):
                progress(0, self.count)
                content = file.read(self.span(start, stop)[1])
                if len(content) != self.span(start, stop)[1] or _crc(content) != expected:
                    wrong.append(number)
            return wrong

    def make(self, progress: Progress) -> None:
        """Decode what is missing or damaged; the lock is held."""
        sums, sums_building = self.path.with_suffix(".crc"), self.path.with_suffix(".crc.building")
        try:
            if self.path.exists():
                warn(f"{self.path}: is damaged; what does not have its checksum is decoded anew")
                self.path.replace(self.building)
            known = _sums(next((p.read_bytes() for p in (sums_building, sums) if p.exists()), b""))
            known = known[: len(self.chunks())] if self.building.exists() else []
            sums_building.write_bytes(b"".join(known))
            self.fill(known, sums_building, progress)
            sums_building.replace(sums)
            self.building.replace(self.path)
            _checked[self.path] = _state(self.path)
        except (OSError, DataError) as error:
            # Nothing is left on a full disk, nor of images that are others once the damaged one is mended.
            for path in (self.building, sums_building):
                path.unlink(missing_ok=True)
            if isinstance(error, DataError):
                raise
            raise cannot_write(self.path, error) from error

    def fill(self, known: list[bytes], sums_path: Path, progress: Progress) -> None:
        """Write what the array being built lacks: chunks beyond the `known` checksums, and damaged ones."""
        wrong = self.damaged(self.building, known, progress) if known else []
        # Plain writes in order: a full disk is an error then, where a mapped file would kill the process.
        with (
            self.building.open("r+b" if self.building.exists() else "w+b") as file,
            sums_path.open("r+b") as sums_file,
            ThreadPoolExecutor(os.cpu_count() or 1) as pool,
        ):
            file.write(self.header)
            for number, (start, stop) in enumerate(self.chunks()):
                if number < len(known) and number not in wrong:
                    continue
                content = self.decode(start, stop, pool, progress)
                file.seek(self.span(start, stop)[0])
                file.write(content)
                file.flush()
                sums_file.seek(number * CRC_BYTES)
                sums_file.write(_crc(content))
                sums_file.flush()
            for opened, length in ((file, self.file_bytes), (sums_file, len(self.chunks()) * CRC_BYTES)):
                opened.truncate(length)
                os.fsync(opened.fileno())

    def pixels(self, index: int) -> bytes:
        """The pixels of one image of the dataset, as they are stored."""
        image = self.dataset.read(index)
        if self.how is not None:
            image = np.asarray(fit(Image.fromarray(image), self.side, *self.how))
        return np.ascontiguousarray(image).tobytes()

    def decode(self, start: int, stop: int, pool: ThreadPoolExecutor, progress: Progress) -> bytes:
        """The pixels of some images, one after the other."""
        pixels = []
        for content in pool.map(self.pixels, self.dataset.splits[self.split][start:stop].tolist()):
            pixels.append(content)
            progress(start + len(pixels), self.count)
        return b"".join(pixels)


def _crc(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(CRC_BYTES, "little")


def _sums(content: bytes) -> list[bytes]:
    """The checksums of a file, of which the last may be cut short."""
    whole = len(content) // CRC_BYTES
    return [content[CRC_BYTES * number : CRC_BYTES * (number + 1)] for number in range(whole)]


def _state(path: Path) -> tuple[int, int, int]:
    """By what a file is known to be the one that was looked at: inode, size, time of change."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_ctime_ns


@contextmanager
def _waited_for(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of `path`; `waiting` is called while another process has it, and ends that by raising."""
    while True:
        with locked(path.with_name(f".{path.name}.lock")) as mine:
            if mine:
                yield
                return
        waiting()
        time.sleep(WAIT_SECONDS)

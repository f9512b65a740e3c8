"""Images that are there more than once: with equal pixels, or nearly so (saved anew, scaled, made lighter).

Near duplicates are found by a difference hash: of an image as 9 x 9 grey levels, which of two neighbours is
the lighter, to the right (64 bits) and downwards (64 bits). Images are near whose hashes differ in few bits
and whose grey levels are correlated; an image without contrast is near to none.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import chain, combinations, product

import numpy as np
from PIL import Image

from bench.data.base import SPLITS, Dataset
from bench.data.grouped import united
from bench.errors import InputError
from bench.files import cache_dir, write_bytes

SIDE, BITS = 9, 128
# Bits that may differ. A search by bands of 16 bits misses no pair up to FARTHEST.
NEAR, FARTHEST = 6, 7
CORRELATION = 0.98
MANY = 100
FORMAT = 1
DIGEST, HASH = 32, BITS // 8  # bytes

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Alike:
    """Pairs of images that are alike.

    Attributes:
        pairs: int64 (m, 2), positions into the dataset, the smaller first; ascending. Of an image with many
            copies not every pair is there, but all copies are joined.
        distance: int64 (m,), bits in which the hashes differ; -1 where all pixels are equal.
    """

    pairs: np.ndarray
    distance: np.ndarray

    def across(self, dataset: Dataset) -> "Alike":
        """Those whose images lie in different splits or classes."""
        sides = _sides(dataset)
        kept = sides[self.pairs[:, 0]] != sides[self.pairs[:, 1]]
        return Alike(self.pairs[kept], self.distance[kept])

    def count(self, these: np.ndarray, others: np.ndarray) -> int:
        """How many of `these` positions are alike to one of `others`."""
        one = np.concatenate([self.pairs, self.pairs[:, ::-1]])
        return len(np.unique(one[np.isin(one[:, 0], these) & np.isin(one[:, 1], others), 0]))

    def in_words(self, dataset: Dataset) -> list[str]:
        """How many images are alike across splits and across classes, one line each."""
        splits, lines = dataset.splits, []
        for split, other in (("test", "train"), ("test", "val"), ("val", "train")):
            if number := self.count(splits[split], splits[other]):
                lines.append(
                    f"{dataset.name}: {number} of {len(splits[split])} {split} images have equal pixels or a "
                    f"near duplicate in {other}"
                )
        apart = self.pairs[dataset.labels[self.pairs[:, 0]] != dataset.labels[self.pairs[:, 1]]]
        if len(apart):
            lines.append(
                f"{dataset.name}: {len(np.unique(apart))} images are so alike to one of another class"
            )
        return lines

    def groups(self, dataset: Dataset) -> np.ndarray:
        """Groups of images that are alike, joined with those of the dataset, int64 (n,)."""
        own = np.arange(len(dataset.labels)) if dataset.groups is None else dataset.groups
        return united(own, self.pairs.tolist())


def find_alike(
    dataset: Dataset, distance: int = NEAR, progress: Progress = lambda done, total: None
) -> Alike:
    """All pairs of images with equal pixels, or whose hashes differ in at most `distance` bits.

    Every image is decoded once; what is known of it is kept in the cache.

    Raises:
        InputError: the distance is not 0 to FARTHEST.
        DataError: an image is damaged.
    """
    if not 0 <= distance <= FARTHEST:
        raise InputError(f"--distance {distance}: should be 0 to {FARTHEST} (of {BITS} bits)")
    known = _known(dataset, progress)
    _, first, pixels = np.unique(known[:, :DIGEST], axis=0, return_index=True, return_inverse=True)
    copies = _members(pixels)  # of each different image, here known by its first copy
    greys = known[first, DIGEST:].reshape(-1, SIDE, SIDE)
    contrast = np.flatnonzero(greys.reshape(len(greys), -1).std(1) > 0)
    hashes, number = np.unique(difference_hashes(greys[contrast]), axis=0, return_inverse=True)
    alike = [contrast[group] for group in _members(number)]
    near = [(a, b, 0) for group in alike for a, b in combinations(group.tolist(), 2)]
    for one, other, apart in near_pairs(hashes, distance):
        near += [(a, b, apart) for a in alike[one].tolist() for b in alike[other].tolist()]
    table = np.array(near, dtype=np.int64).reshape(-1, 3)
    table = table[_correlation(greys[table[:, 0]], greys[table[:, 1]]) >= CORRELATION]
    sides = _sides(dataset)
    found = [(a, b, -1) for own in copies if len(own) > 1 for a, b in _pairs(own, own, sides)]
    found += [(a, b, apart) for i, j, apart in table.tolist() for a, b in _pairs(copies[i], copies[j], sides)]
    result = np.array(sorted(found), dtype=np.int64).reshape(-1, 3)
    return Alike(result[:, :2], result[:, 2])


def _members(number: np.ndarray) -> list[np.ndarray]:
    """The positions of each number from 0, ascending."""
    order = np.argsort(number, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number[order])) + 1)


def _sides(dataset: Dataset) -> np.ndarray:
    """A number for the split and class of each image, int64 (n,)."""
    split = np.zeros(len(dataset.labels), dtype=np.int64)
    for number, name in enumerate(SPLITS):
        split[dataset.splits[name]] = number
    return split * len(dataset.class_names) + dataset.labels


def _pairs(one: np.ndarray, other: np.ndarray, sides: np.ndarray) -> set[tuple[int, int]]:
    """Pairs of the copies of one image and of another (or the same), the smaller position first.

    Of more than MANY copies each is paired with the first one in every split and class alone.
    """
    if max(len(one), len(other)) <= MANY:
        pairs: Iterable[tuple[int, int]] = product(one.tolist(), other.tolist())
    else:
        first, others = (group[np.unique(sides[group], return_index=True)[1]] for group in (one, other))
        pairs = chain(product(one.tolist(), others.tolist()), product(first.tolist(), other.tolist()))
    return {(min(a, b), max(a, b)) for a, b in pairs if a != b}


def _correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of each pair of grey images (m, s, s), float64 (m,); 0 where one has no contrast."""
    a, b = (levels.reshape(len(levels), SIDE * SIDE).astype(np.float64) for levels in (one, other))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    lengths = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.divide((a * b).sum(1), lengths, out=np.zeros(len(a)), where=lengths > 0)


def near_pairs(hashes: np.ndarray, distance: int) -> Iterator[tuple[int, int, int]]:
    """Each pair of different hashes that differ in at most `distance` bits, once, with that number of bits.

    Of hashes that differ in fewer bits than there are bands, one band is equal: only those are compared.

    Args:
        hashes: uint8 (n, HASH).
        distance: at most FARTHEST.
    """
    bands = np.ascontiguousarray(hashes).view(np.uint16)
    words = np.ascontiguousarray(hashes).view(np.uint64)
    for place in range(bands.shape[1]):
        order = np.argsort(bands[:, place], kind="stable")
        value = bands[order, place]
        left = np.arange(len(order) - 1)
        for step in range(1, len(order)):
            left = left[left + step < len(order)]
            left = left[value[left] == value[left + step]]
            if not len(left):
                break
            one, other = order[left], order[left + step]
            apart = np.bitwise_count(words[one] ^ words[other]).sum(1)
            # Where an earlier band is equal as well, the pair was found there.
            new = (apart <= distance) & (bands[one, :place] != bands[other, :place]).all(1)
            yield from zip(one[new].tolist(), other[new].tolist(), apart[new].tolist(), strict=True)


def grey_levels(image: np.ndarray) -> np.ndarray:
    """An image, uint8 (h, w, 3), as uint8 (SIDE, SIDE)."""
    return np.asarray(Image.fromarray(image).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def difference_hashes(greys: np.ndarray) -> np.ndarray:
    """128 bits an image, uint8 (n, HASH), of grey levels (n, SIDE, SIDE)."""
    right = greys[:, :-1, 1:] > greys[:, :-1, :-1]
    down = greys[:, 1:, :-1] > greys[:, :-1, :-1]
    return np.packbits(np.stack([right, down], 1).reshape(len(greys), BITS), axis=1)


def _known(dataset: Dataset, progress: Progress) -> np.ndarray:
    """Of each image the hash of its pixels and its grey levels: uint8 (n, DIGEST + SIDE * SIDE)."""
    memory = cache_dir() / "alike" / f"{FORMAT}-{dataset.fingerprint}.npy"
    count = len(dataset.labels)
    try:
        known = np.load(memory, allow_pickle=False)
        if known.shape == (count, DIGEST + SIDE * SIDE) and known.dtype == np.uint8:
            return known
    except (FileNotFoundError, ValueError, EOFError):
        pass  # not there, or damaged: made anew

    def of(index: int) -> bytes:
        image = dataset.read(index)
        pixels = hashlib.sha256(str(image.shape).encode() + np.ascontiguousarray(image).tobytes())
        return pixels.digest() + grey_levels(image).tobytes()

    rows = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for row in pool.map(of, range(count)):
            rows.append(row)
            progress(len(rows), count)
    known = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(count, DIGEST + SIDE * SIDE)
    content = BytesIO()
    np.save(content, known)
    write_bytes(memory, content.getvalue())
    return known

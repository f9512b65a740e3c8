"""Dividing images into train, val and test class by class, and freezing the division in a file."""

import csv
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.errors import DataError

FOLDER = Path(__file__).parent / "splits"


def divide(
    labels: np.ndarray,
    keys: Sequence[str],
    twins: Sequence[Sequence[int]],
    quota: Callable[[int], dict[str, int]],
    salt: str,
) -> dict[str, np.ndarray]:
    """Divide images at random but class by class, with equal images on one side.

    Within a class images come in the order of a hash of salt and key, and fill the quotas in turn; what
    is left is train. Equal images go together; those that bear more than one label stay in train.

    Args:
        labels: int64 (n,).
        keys: a lasting name for each image, such as its file.
        twins: groups of positions of images that are equal.
        quota: from the size of a class to the images that each split but train takes of it.
        salt: names the division.

    Returns:
        ascending int64 positions by split, "train" among them.
    """
    side = np.full(len(labels), "train", dtype=object)
    group_of = {position: tuple(group) for group in twins for position in group}
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label).tolist()
        groups = {group_of.get(i, (i,)) for i in members}
        groups = {group for group in groups if len(group) == 1 or (labels[list(group)] == label).all()}
        ordered = sorted(groups, key=lambda group: _rank(salt, min(keys[i] for i in group)))
        for split, room in quota(len(members)).items():
            taken = _fill(ordered, room)
            ordered = [group for group in ordered if group not in taken]
            side[[i for group in taken for i in group]] = split
    names = ["train", *quota(len(labels))]
    return {name: np.flatnonzero(side == name).astype(np.int64) for name in names}


def _fill(groups: Sequence[tuple[int, ...]], room: int) -> set[tuple[int, ...]]:
    """The first groups that fit into `room` images; the smallest one where none is small enough."""
    taken = set()
    left = room
    for group in groups:
        if len(group) <= left:
            taken.add(group)
            left -= len(group)
    if not taken and room and len(groups) > 1:
        taken.add(min(groups, key=len))
    return taken


def twins_of(contents: Sequence[bytes | str]) -> list[list[int]]:
    """Groups of two or more positions whose contents (or their hashes) are equal."""
    groups: dict[bytes | str, list[int]] = defaultdict(list)
    for position, content in enumerate(contents):
        groups[content].append(position)
    return [group for group in groups.values() if len(group) > 1]


def read_frozen(file_name: str, sha256: str, images: int) -> dict[str, np.ndarray]:
    """A frozen division of `images` images by split; train is what the file does not list.

    Raises:
        DataError: the file is not the one that was frozen.
    """
    positions = defaultdict(list)
    for row in read_rows(file_name, sha256):
        positions[row["split"]].append(int(row["index"]))
    return with_train(positions, images)


def with_train(listed: Mapping[str, Sequence[int]], images: int) -> dict[str, np.ndarray]:
    """A division of `images` images of which all splits but train are `listed`: int64 positions by split."""
    others = {split: np.array(positions, dtype=np.int64) for split, positions in listed.items()}
    rest = np.setdiff1d(np.arange(images, dtype=np.int64), np.concatenate(list(others.values())))
    return {"train": rest, **others}


def read_rows(file_name: str, sha256: str) -> list[dict[str, str]]:
    """The rows of a CSV file in `splits/`, whose comment lines begin with #.

    Raises:
        DataError: as `read_frozen`.
    """
    path = FOLDER / file_name
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(
            f"{path}: is not the file that was frozen (SHA-256 {sha256}); restore it from the repository"
        )
    return list(csv.DictReader(line for line in content.decode().splitlines() if not line.startswith("#")))


def _rank(salt: str, key: str) -> bytes:
    return hashlib.sha256(f"{salt}\0{key}".encode()).digest()

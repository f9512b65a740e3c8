"""Images that are there more than once: files with equal bytes."""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.data.stratify import twins_of
from bench.files import cache_dir, canonical, remember, remembered


@dataclass(frozen=True)
class Overlap:
    """How many images have equal bytes where they should not.

    Attributes:
        test_in_train, test_in_val: test images that are also in train, in val.
        val_in_train: val images that are also in train.
        two_labels: images that are also in another class, in whatever split.
    """

    test_in_train: int
    test_in_val: int
    val_in_train: int
    two_labels: int

    def counts(self) -> dict[str, int]:
        """The numbers by their names."""
        return asdict(self)


def equal_files(paths: Sequence[Path | str], fingerprint: str, hashes: list[str]) -> list[list[int]]:
    """Groups of two or more positions of files with equal bytes.

    Without `hashes` of their content, known where they were just read, those of equal size are read. The
    answer is kept in the cache under the fingerprint of the files, which no other content has.
    """
    memory = cache_dir() / "equal-files" / fingerprint
    if (known := remembered(memory)) is not None:
        return json.loads(known)
    groups = twins_of(hashes) if hashes else _by_size(paths)
    remember(memory, canonical(groups))
    return groups


def _by_size(paths: Sequence[Path | str]) -> list[list[int]]:
    by_size = defaultdict(list)
    for position, path in enumerate(paths):
        by_size[os.stat(path).st_size].append(position)
    groups = []
    for alike in by_size.values():
        if len(alike) > 1:
            equal = twins_of([_sha256(paths[position]) for position in alike])
            groups += [[alike[i] for i in group] for group in equal]
    return groups


def overlap_of(groups: list[list[int]], labels: np.ndarray, splits: dict[str, np.ndarray]) -> Overlap:
    """Count equal images across splits and labels.

    Args:
        groups: as `equal_files`.
        labels: int64 (n,).
        splits: positions by "train", "val" and "test".
    """
    return Overlap(
        test_in_train=len(shared(groups, splits["test"], splits["train"])),
        test_in_val=len(shared(groups, splits["test"], splits["val"])),
        val_in_train=len(shared(groups, splits["val"], splits["train"])),
        two_labels=sum(len(group) for group in groups if len(set(labels[group].tolist())) > 1),
    )


def shared(groups: list[list[int]], these: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Where in `these` positions, int64 (n,), stand those of images that are equal to one of `others`."""
    wanted = set(others.tolist())
    equal = {position for group in groups if wanted.intersection(group) for position in group}
    return np.flatnonzero([position in equal for position in these.tolist()]).astype(np.int64)


def _sha256(path: Path | str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()

"""What a dataset is: the facts known without its files, and the opened thing."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

SPLITS = ("train", "val", "test")

Copy = Literal["verified", "copy not verified", "own data"]


@dataclass(frozen=True)
class Facts:
    """What can be said of a dataset without its files.

    Attributes:
        name: the dataset's name, which is the name of its module.
        title: the name as people print it.
        classes: number of classes; None where the user's own images decide.
        splits: images of "train", "val" and "test" by split id, the default split id first; a split id
            whose counts the user's own images decide has an empty dict.
        image: size and kind of the images, in words.
        source: who made it, and where it comes from.
        files: what has to lie in the data directory, and where to get it by hand; empty where nothing has to.
        takes_path: the user names it as "name:PATH".
    """

    name: str
    title: str
    classes: int | None
    splits: dict[str, dict[str, int]]
    image: str
    source: str
    files: str = ""
    takes_path: bool = False


@dataclass(frozen=True)
class Folders:
    """Where a dataset looks for its files.

    Attributes:
        data_dir: the folder of the downloaded datasets.
        images: the PATH of "name:PATH", for a dataset that takes one.
        store: the results folder, where a split made here is frozen; None freezes nothing.
    """

    data_dir: Path
    images: Path | None = None
    store: Path | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """An opened dataset: n images with labels, divided into train, val and test.

    Attributes:
        class_names: one name a class, in the order of the labels.
        labels: int64 (n,), the class of every image.
        splits: int64 positions into the n images for each of "train", "val" (may be empty) and "test".
        fingerprint: hexadecimal hash of the content of all files (or arrays) used.
        copy: whether the files are known to be the official ones.
        read: image i as uint8 (h, w, 3) RGB; raises DataError naming the file when it is damaged.
        source: where image i comes from, in words: its file, or "train image 17".
        folder: where its files lie; None where they do not lie in one folder of their own.
        native_size: the side in px where all images are square and of one size, else None.
        largest: given a limit in px, the largest short and the largest long side among all images, or None
            where a short side is over the limit; where that can be known without decoding them.
        duplicates: int64 positions within the test split to leave out of a deduplicated score, or None
            where there are none or nobody has looked.
        groups: int64 (n,), what is on one side of every division: a patient, a video; None where each image
            is one of its own.
        units: int64 (n,), the same for the folds into which training images are divided: groups, joined where
            images have equal bytes; None where that adds nothing to `groups`.
        overlap: how many images have equal bytes where they should not, by the names of
            `bench.data.equal.Overlap`; empty where nobody has looked.
        skipped: the files that were passed over while it was listed, one line each with the reason.
        warnings: what whoever uses the data should know of it, one line each.
        whole: of one fold, the data set that holds all images as its test split; decoded images are taken
            from there, so that they are decoded once for all folds.
    """

    name: str
    split_id: str
    class_names: list[str] = field(repr=False)
    labels: np.ndarray = field(repr=False)
    splits: dict[str, np.ndarray] = field(repr=False)
    fingerprint: str
    copy: Copy
    read: Callable[[int], np.ndarray] = field(repr=False)
    source: Callable[[int], str] = field(repr=False)
    folder: Path | None = None
    native_size: int | None = None
    largest: Callable[[int], tuple[int, int] | None] | None = field(default=None, repr=False)
    duplicates: np.ndarray | None = field(default=None, repr=False)
    groups: np.ndarray | None = field(default=None, repr=False)
    units: np.ndarray | None = field(default=None, repr=False)
    overlap: dict[str, int] = field(default_factory=dict)
    skipped: tuple[str, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()
    whole: "Dataset | None" = field(default=None, repr=False)

    @property
    def id_name(self) -> str:
        """What ids and draws know it by: the name, but of one's own folder, which may be renamed."""
        return "folder" if self.copy == "own data" else self.name

    @property
    def train_units(self) -> np.ndarray | None:
        """What is in one fold of the training images, int64 (images of the split,); None where each image is
        one of its own."""
        units = self.groups if self.units is None else self.units
        return None if units is None else units[self.splits["train"]]

    @property
    def fold_rule(self) -> dict[str, str]:
        """What ids hold of how training images are divided into folds; nothing where no two are equal."""
        return {} if self.units is None else {"copies": "together"}

    @cached_property
    def divisions(self) -> dict[str, str]:
        """A hash of the positions of each split: two stores may divide images differently under one id."""
        return {
            split: hashlib.sha256(positions.astype("<i8").tobytes()).hexdigest()
            for split, positions in self.splits.items()
        }

    def split_labels(self, split: str) -> np.ndarray:
        """Labels of one split, int64 (images of the split,)."""
        return self.labels[self.splits[split]]

    def file(self, i: int) -> str:
        """Where image i comes from, as `source`, but a file by its path below `folder`, with slashes."""
        if self.folder is None:
            return self.source(i)
        return Path(self.source(i)).relative_to(self.folder).as_posix()

    def counts(self) -> dict[str, int]:
        """Number of images by split."""
        return {split: len(self.splits[split]) for split in SPLITS}

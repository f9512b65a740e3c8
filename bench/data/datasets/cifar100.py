"""CIFAR-100 in torchvision's layout, with 5,000 of its training images set aside as val."""

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.data.base import Dataset, Facts, Folders
from bench.data.official import what_is_wrong
from bench.data.stratify import read_frozen, read_rows
from bench.errors import DataError
from bench.files import sha256_files

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR100

FACTS = Facts(
    name="cifar100",
    title="CIFAR-100",
    classes=100,
    splits={"official-45k": {"train": 45000, "val": 5000, "test": 10000}},
    image="32x32 colour",
    source="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; "
    "https://www.cs.toronto.edu/~kriz/cifar.html",
    files="cifar-100-python/ (train, test, meta), unpacked from "
    "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
)
SPLIT_FILE = "cifar100_official-45k.csv"
SPLIT_SHA256 = "e8f30b91dd9708d02021e623acb01f19916dad105490485fb6ec5891a4fa3dd9"
DUPLICATES_FILE = "cifar100_duplicates.csv"
DUPLICATES_SHA256 = "823c8acc0ec531ea78c6a1c503c6756f15d5a7d9b4b8a4cce5b1c03ed8bb263a"


def load(split_id: str, folders: Folders) -> Dataset:
    """The 50,000 training images followed by the 10,000 test images, in official order.

    torchvision checks the official md5 of every file before it unpickles any, so an opened copy is a
    verified one. `duplicates` are the test images that Barz and Denzler (2020) list with a near-duplicate
    in the training set or elsewhere in the test set, whatever their judgment (0 same pixels but for noise,
    1 same shot, 2 very similar); of two test images that are duplicates of each other they list one, and
    the other stays.

    Raises:
        DataError: a file is missing or does not have its official md5.
    """
    train, test = official(folders.data_dir, train=True), official(folders.data_dir, train=False)
    folder = folders.data_dir / train.base_folder
    held = len(train.data)
    splits = read_frozen(SPLIT_FILE, SPLIT_SHA256, held)
    splits["test"] = np.arange(held, held + len(test.data), dtype=np.int64)
    listed = {int(row["test_index"]) for row in read_rows(DUPLICATES_FILE, DUPLICATES_SHA256)}
    return Dataset(
        name="cifar100",
        split_id=split_id,
        class_names=list(train.classes),
        labels=np.array(train.targets + test.targets, dtype=np.int64),
        splits=splits,
        fingerprint=sha256_files([folder / name for name in _md5s(train)], folder),
        copy="verified",
        read=lambda i: train.data[i] if i < held else test.data[i - held],
        source=lambda i: f"train image {i}" if i < held else f"test image {i - held}",
        native_size=32,
        duplicates=np.array(sorted(listed), dtype=np.int64),
    )


def official(data_dir: Path, *, train: bool) -> "CIFAR100":
    """torchvision's dataset, with its md5s checked.

    Raises:
        DataError: as `load`.
    """
    from torchvision.datasets import CIFAR100

    try:
        return CIFAR100(data_dir, train=train, download=False)
    except RuntimeError as error:
        raise what_is_wrong(FACTS, data_dir / CIFAR100.base_folder, _md5s(CIFAR100), data_dir) from error
    except (OSError, pickle.UnpicklingError) as error:
        raise DataError(f"cifar100: {data_dir} cannot be read ({error})") from error


def download(data_dir: Path) -> None:
    """Fetch and unpack the official archive (169 MB) with torchvision."""
    from torchvision.datasets import CIFAR100

    CIFAR100(data_dir, download=True)


def _md5s(kind: "type[CIFAR100] | CIFAR100") -> dict[str, str]:
    """The official md5 of each unpacked file, by its name."""
    return {**dict(kind.train_list), **dict(kind.test_list), kind.meta["filename"]: kind.meta["md5"]}

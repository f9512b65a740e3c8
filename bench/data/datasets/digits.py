"""The 8x8 digits that come with scikit-learn: real images for a test of everything in seconds."""

import gzip
import hashlib
from importlib.metadata import distribution

import numpy as np

from bench.data.base import Dataset, Facts, Folders
from bench.data.stratify import read_frozen

FACTS = Facts(
    name="digits",
    title="Digits",
    classes=10,
    splits={"frozen": {"train": 997, "val": 200, "test": 600}},
    image="8x8 grey, 17 levels",
    source="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998; part of scikit-learn",
)
FINGERPRINT = "3218799b862dc4833b0dc8ffd2d63f35720c44661b1c4432f2a1742788b09d96"
SPLIT_FILE = "digits_frozen.csv"
SPLIT_SHA256 = "48a1b9c79c9e9398b1b11c4f6746b734e1f860ef77871291a17344fbfaadb5f5"


def load(split_id: str, folders: Folders) -> Dataset:
    """The 1,797 bundled images; needs no files."""
    images, labels = arrays()
    content = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    return Dataset(
        name="digits",
        split_id=split_id,
        class_names=[str(digit) for digit in range(10)],
        labels=labels,
        splits=read_frozen(SPLIT_FILE, SPLIT_SHA256, len(images)),
        fingerprint=content,
        copy="verified" if content == FINGERPRINT else "copy not verified",
        read=lambda i: images[i],
        source=lambda i: f"digits image {i}",
        native_size=8,
    )


def arrays() -> tuple[np.ndarray, np.ndarray]:
    """Images as uint8 (1797, 8, 8, 3), the levels 0 to 16 spread over 0 to 255, and labels int64 (1797,)."""
    # Its file is read as it is: to import scikit-learn takes longer than all else that a plan needs.
    path = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    with gzip.open(str(path)) as file:
        table = np.loadtxt(file, delimiter=",")
    grey = np.rint(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1), table[:, -1].astype("<i8")

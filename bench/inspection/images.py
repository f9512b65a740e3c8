"""The image that is looked at, and a sample of images for what is averaged."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data import Dataset, open_dataset
from bench.data.images import read_image
from bench.errors import DataError, InputError
from bench.inspection.examples import EXAMPLES, random_scene

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Picture:
    """One image.

    Attributes:
        pixels: uint8 (h, w, 3).
        source: where it comes from, in words.
        label: its class, where that is known.
    """

    pixels: np.ndarray
    source: str
    label: str | None = None


@dataclass(frozen=True)
class Sample:
    """Images for what is averaged: uint8 (h, w, 3) each, and where they come from, in words."""

    images: Sequence[np.ndarray]
    source: str

    def first(self, count: int) -> "Sample":
        """The first of them; all where there are no more."""
        if count >= len(self.images):
            return self
        return Sample(self.images[:count], f"the first {count} of {self.source}")


def from_file(path: Path) -> Picture:
    """An image file of any kind, upright, as training would read it: see `bench.data.images.read_image`.

    Raises:
        DataError: it is no image, damaged, or has more pixels than are decoded.
    """
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    try:
        pixels = read_image(path)
    except DataError as error:
        if isinstance(error.__cause__, Image.DecompressionBombError):
            raise DataError(f"{path}: more than {limit / 1e6:.0f} million pixels; make it smaller") from error
        raise
    return Picture(pixels, path.name)


def example(name: str) -> Picture:
    """One of the images that are drawn here, by its name.

    Raises:
        InputError: there is none.
    """
    if name not in EXAMPLES:
        raise InputError(f"no example image {name}; there are {', '.join(EXAMPLES)}")
    return Picture(EXAMPLES[name](), f"drawn by VCBench: {name}")


def open_images(name: str, split_id: str | None, data_dir: Path, store: Path | None = None) -> Dataset:
    """A dataset by its name, or "folder:PATH".

    Raises:
        InputError, DataError: there is none, or its files are not here.
    """
    return open_dataset(name, split_id, data_dir, store=store)


def from_dataset(dataset: Dataset, split: str, index: int) -> Picture:
    """An image of a split by its position in it.

    The test split is not opened here: what is looked at while models are chosen is not tested on.

    Raises:
        InputError: no such split, or no such image in it.
        DataError: the image is damaged.
    """
    positions = positions_of(dataset, split)
    if not 0 <= index < len(positions):
        raise InputError(
            f"--index {index}: {split} of {dataset.name} has {len(positions)} images, 0 to "
            f"{len(positions) - 1}"
        )
    position = int(positions[index])
    label = dataset.class_names[dataset.labels[position]]
    return Picture(dataset.read(position), f"{split} image {index} of {dataset.name}", label)


def positions_of(dataset: Dataset, split: str) -> np.ndarray:
    """Positions of a split's images, int64.

    Raises:
        InputError: it is neither train nor val, or empty.
    """
    if split not in SPLITS:
        raise InputError(f"--split {split}: should be train or val; the test split is only for tests")
    positions = dataset.splits[split]
    if not len(positions):
        raise InputError(f"--split {split}: {dataset.name} has no {split} images; take train")
    return positions


def sample(dataset: Dataset | None, split: str, count: int, seed: int = 0) -> Sample:
    """Images at random of a split; without a dataset, scenes that are drawn at random."""
    generator = np.random.default_rng(seed)
    if dataset is None:
        return Sample([random_scene(generator) for _ in range(count)], f"{count} scenes drawn at random")
    positions = positions_of(dataset, split)
    chosen = generator.choice(positions, min(count, len(positions)), replace=False)
    images = [dataset.read(int(position)) for position in chosen]
    return Sample(images, f"{len(images)} {split} images of {dataset.name}")

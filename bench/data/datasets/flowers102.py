"""Oxford Flowers102 in torchvision's layout, with its official division."""

import os
import tarfile
from pathlib import Path

import numpy as np

from bench.data.base import SPLITS, Dataset, Facts, Folders
from bench.data.images import read_image
from bench.data.official import how_to_get, what_is_wrong
from bench.errors import DataError
from bench.files import cache_dir, sha256_files, write_json

FACTS = Facts(
    name="flowers102",
    title="Flowers102",
    classes=102,
    splits={
        "official": {"train": 1020, "val": 1020, "test": 6149},
        "official-trainval": {"train": 2040, "val": 0, "test": 6149},
    },
    image="colour JPEG of varying size, short side 500 px as published",
    source="Nilsback and Zisserman, Automated Flower Classification over a Large Number of Classes, 2008; "
    "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
    files="flowers-102/ (jpg/, imagelabels.mat, setid.mat), from "
    "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/ (102flowers.tgz, imagelabels.mat, setid.mat)",
)
IMAGES = 8189


def load(split_id: str, folders: Folders) -> Dataset:
    """The images in the order train, val, test, each in torchvision's order.

    `official-trainval` joins train and val. The published files carry no checksum of single images: a copy
    counts as verified once `certify` has compared these very files with the official archive.

    Raises:
        DataError: images are missing, or the label or split file is missing or damaged.
    """
    from torchvision.datasets import Flowers102

    folder = folders.data_dir / "flowers-102"
    try:
        parts = [Flowers102(folders.data_dir, split=split, download=False) for split in SPLITS]
    except RuntimeError as error:
        if not folder.is_dir():
            raise DataError(
                f"flowers102: {folder} is missing; {how_to_get(FACTS, folders.data_dir)}"
            ) from error
        if all(_md5_matches(folder, part) for part in ("label", "setid")):
            raise _images_missing(_all_names(), folders.data_dir) from error
        raise what_is_wrong(FACTS, folder, _mat_md5s(), folders.data_dir) from error
    missing = missing_images(folders.data_dir)
    if missing:
        raise _images_missing(missing, folders.data_dir)
    paths = [Path(path) for part in parts for path in part._image_files]
    bounds = np.cumsum([0, *(len(part) for part in parts)])
    train, val, test = (np.arange(a, b, dtype=np.int64) for a, b in zip(bounds, bounds[1:], strict=False))
    if split_id == "official-trainval":
        train, val = np.concatenate([train, val]), np.empty(0, dtype=np.int64)
    used = [*sorted(paths), *(folder / name for name in _mat_md5s())]
    states: list[int] = []
    fingerprint = sha256_files(used, folder, states=states)
    state_of = dict(zip(used, states, strict=True))
    return Dataset(
        name="flowers102",
        split_id=split_id,
        class_names=list(Flowers102.classes),
        labels=np.array([label for part in parts for label in part._labels], dtype=np.int64),
        splits={"train": train, "val": val, "test": test},
        fingerprint=fingerprint,
        copy="verified" if _receipt(fingerprint).is_file() else "copy not verified",
        read=lambda i: read_image(paths[i], state_of[paths[i]]),
        source=lambda i: str(paths[i]),
        folder=folder,
    )


def missing_images(data_dir: Path) -> list[str]:
    """Names of the images that are not there, ascending."""
    folder = data_dir / "flowers-102" / "jpg"
    present = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    return [name for name in _all_names() if name not in present]


def download(data_dir: Path) -> None:
    """Fetch and unpack the official files (345 MB) with torchvision.

    torchvision only looks whether the image folder exists: one unpacked in part is unpacked again here.
    """
    from torchvision.datasets import Flowers102
    from torchvision.datasets.utils import download_and_extract_archive

    Flowers102(data_dir, download=True)
    if missing_images(data_dir):
        archive, md5 = Flowers102._file_dict["image"]
        url = f"{Flowers102._download_url_prefix}{archive}"
        download_and_extract_archive(url, str(data_dir / "flowers-102"), md5=md5)


def certify(dataset: Dataset, data_dir: Path) -> list[str]:
    """Compare every image with the official archive, where that is here, and write a receipt if all agree.

    The receipt lies in the cache under the fingerprint of the files, so that it holds for these very
    files and no others.

    Returns:
        what differs, one line each; empty where all agree or there is no archive to compare with.
    """
    from torchvision.datasets import Flowers102

    folder = data_dir / "flowers-102"
    name, md5 = Flowers102._file_dict["image"]
    archive = folder / name
    if not archive.is_file() or _receipt(dataset.fingerprint).is_file():
        return []
    if not _md5_matches(folder, "image"):
        return [f"{archive}: does not have its official md5 ({md5}); remove it and fetch again"]
    left, differing = set(_all_names()), []
    with tarfile.open(archive) as tar:
        for member in tar:
            image = Path(member.name).name
            content = tar.extractfile(member)
            if image not in left or content is None:
                continue
            left.remove(image)
            if content.read() != (folder / "jpg" / image).read_bytes():
                differing.append(f"{folder / 'jpg' / image}: differs from the image in {name}")
    differing += [f"{archive}: holds no {image}" for image in sorted(left)]
    if not differing:
        write_json(_receipt(dataset.fingerprint), {"format": 1, "archive": name, "md5": md5})
    return differing


def _all_names() -> list[str]:
    return [f"image_{number:05d}.jpg" for number in range(1, IMAGES + 1)]


def _mat_md5s() -> dict[str, str]:
    from torchvision.datasets import Flowers102

    return dict(Flowers102._file_dict[part] for part in ("label", "setid"))


def _md5_matches(folder: Path, part: str) -> bool:
    from torchvision.datasets import Flowers102
    from torchvision.datasets.utils import check_integrity

    name, md5 = Flowers102._file_dict[part]
    return check_integrity(folder / name, md5)


def _images_missing(missing: list[str], data_dir: Path) -> DataError:
    return DataError(
        f"flowers102: {len(missing)} of {IMAGES} images are missing under {data_dir / 'flowers-102' / 'jpg'} "
        f"(first: {missing[0]}); {how_to_get(FACTS, data_dir)}"
    )


def _receipt(fingerprint: str) -> Path:
    return cache_dir() / "verified" / fingerprint

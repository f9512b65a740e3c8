"""A data set of Hugging Face that lies in a folder, named as "huggingface:PATH"."""

import hashlib
import json
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.base import SPLITS, Dataset, Facts, Folders
from bench.data.images import decode_image
from bench.data.listing import Lister
from bench.data.own import SPLIT_IDS, Listed, own_dataset
from bench.data.rows import SPELLINGS, as_text, rows_of
from bench.data.stratify import twins_of
from bench.errors import DataError
from bench.files import cache_dir, canonical, remember, remembered, sha256_files

if TYPE_CHECKING:
    import datasets

FACTS = Facts(
    name="huggingface",
    title="A data set of Hugging Face",
    classes=None,
    splits=SPLIT_IDS,
    image="what its image column holds",
    source="a folder that save_to_disk wrote, or hf download --repo-type dataset (Parquet files)",
    takes_path=True,
)
SAVED = ("dataset_dict.json", "state.json")


def load(split_id: str | None, folders: Folders) -> Dataset:
    """The images of a data set with one column of images and one of labels, and a column `group` as needed.

    A data set of the one split train is divided; else its splits are taken as they are. Classes come in the
    order of their names as text, whatever their numbers are there.

    Raises:
        InputError: the split id does not fit.
        DataError: `datasets` is not installed, the folder holds no such data set, its columns are not clear,
            or as `rows_of`.
    """
    asked = folders.images
    assert asked is not None  # as of every dataset that takes one
    root = asked.resolve()
    opened = _opened(root)
    passed_over = sorted(name for name in opened if name.lower() not in SPELLINGS)
    splits = {name: part for name, part in opened.items() if name not in passed_over}
    places = [(name, i) for name, part in splits.items() for i in range(len(part))]
    if not places:
        raise DataError(f"{root}: has no images in train, val or test (its splits: {', '.join(opened)})")
    parts = {name: _columns(root, name, part) for name, part in splits.items()}
    keys = [f"{name}/{i:09d}" for name, i in places]
    only_train = len(splits) == 1 and SPELLINGS[next(iter(splits)).lower()] == "train"
    lacking = [name for name, part in splits.items() if "group" not in part.column_names]
    if lacking and len(lacking) < len(splits):
        raise DataError(
            f'{root}: the split {lacking[0]!r} has no column "group", which others have; give it one, or '
            "leave it out everywhere"
        )
    rows = rows_of(
        root,
        keys,
        [label for name in splits for label in parts[name][1]],
        None if only_train else [name for name, _ in places],
        None
        if lacking
        else [one for part in splits.values() for one in as_text(root, "group", part["group"])],
    )
    hashes = [one for name, part in splits.items() for one in _hashes(part, parts[name][0])]
    content = hashlib.sha256("\n".join(hashes).encode()).hexdigest()

    def read(i: int) -> Any:
        name, position = places[i]
        image = splits[name][position][parts[name][0]]
        content = _bytes(image)
        if hashlib.sha256(content).hexdigest() != hashes[i]:
            raise DataError(f"{root}: {keys[i]} was changed since it was listed; run the same command again")
        return decode_image(content, f"{root}: {keys[i]}")

    shown = _name(root)
    listed = Listed(
        asked=f"huggingface:{asked}",
        name=shown,
        root=root,
        class_names=rows.class_names,
        labels=rows.labels,
        keys=keys,
        fingerprint=hashlib.sha256(f"{content}\n{rows.text}\n".encode()).hexdigest(),
        equal=twins_of(hashes),
        read=read,
        source=lambda i: f"{places[i][0]} image {places[i][1]}",
        given=rows.given,
        groups=rows.groups,
        spellings=rows.alike,
        warnings=tuple(
            f"{shown}: {len(opened[name])} images of the split {name!r} passed over" for name in passed_over
        ),
    )
    return own_dataset(listed, split_id, folders.store)


def is_one(folder: Path) -> bool:
    """Whether a folder holds a data set of Hugging Face, rather than folders of images."""
    return any((folder / name).is_file() for name in SAVED) or bool(_parquet_files(folder))


def _has_images(folder: Path) -> bool:
    """Whether images lie in two of its folders, as those of classes or splits do.

    Raises:
        DataError: one cannot be read.
    """
    look = Lister()
    try:
        holding = (name for name in look.folders(folder) if look.below(folder / name))
        return len(list(islice(holding, 2))) == 2
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _split_of(path: Path) -> str:
    """By the name of a Parquet file: of train-00000-of-00002.parquet it is train."""
    return re.split(r"[-_.]", path.stem)[0]


def _parquet_files(folder: Path) -> dict[str, list[str]]:
    """The Parquet files of each split; where there are none here or in data/, those of the one configuration.

    Raises:
        DataError: there are several configurations.
    """
    paths = [*folder.glob("*.parquet"), *folder.glob("data/*.parquet")]
    # Elsewhere, and beside images, only what is named as a split: a table beside images makes no data set.
    if not paths or _has_images(folder):
        paths = [path for path in paths or folder.glob("*/*.parquet") if _split_of(path).lower() in SPELLINGS]
    files: dict[str, list[str]] = {}
    for path in sorted(paths):
        files.setdefault(_split_of(path), []).append(str(path))
    configurations = sorted({path.parent for path in paths} - {folder, folder / "data"})
    if len(configurations) > 1:
        raise DataError(
            f"{folder}: has the configurations {', '.join(one.name for one in configurations)}; name one of "
            f"them: {configurations[0]}"
        )
    order = [*SPLITS, None]
    return dict(sorted(files.items(), key=lambda one: order.index(SPELLINGS.get(one[0].lower()))))


def _opened(root: Path) -> "dict[str, datasets.Dataset]":
    """The splits by name, with images as they are stored."""
    if not root.is_dir() or not is_one(root):
        raise DataError(f"{root}: is no folder of save_to_disk or of Parquet files of the hub")
    try:
        import datasets
    except ImportError as error:
        raise DataError('data sets of Hugging Face need: pip install "vcbench[huggingface]"') from error
    datasets.disable_progress_bars()
    try:
        if any((root / name).is_file() for name in SAVED):
            whole = datasets.load_from_disk(root)
        else:
            # By their names, as what a README lists may lie elsewhere, and would be fetched.
            cache = str(cache_dir() / "huggingface")
            whole = datasets.load_dataset("parquet", data_files=_parquet_files(root), cache_dir=cache)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"{root}: cannot be read ({' '.join(str(error).split())})") from error
    splits = whole if isinstance(whole, dict) else {"train": whole}
    stored = datasets.Image(decode=False)
    return {name: _cast(part, stored) for name, part in splits.items()}


def _cast(part: "datasets.Dataset", stored: "datasets.Image") -> "datasets.Dataset":
    for name, feature in part.features.items():
        if type(feature) is type(stored):
            part = part.cast_column(name, stored)
    return part


def _columns(root: Path, split: str, part: "datasets.Dataset") -> tuple[str, list[str]]:
    """The name of the column of images, and the labels as text, empty where there is none.

    Labels are the column "label" or "labels", else the one column of class labels.

    Raises:
        DataError: there is not one column of images, or not one of labels, or an image has several labels.
    """
    import datasets

    images = [name for name, feature in part.features.items() if isinstance(feature, datasets.Image)]
    classes = [name for name, feature in part.features.items() if isinstance(feature, datasets.ClassLabel)]
    labels = [name for name in ("label", "labels") if name in part.features]
    labels = labels or classes
    if len(images) != 1 or len(labels) != 1:
        columns = ", ".join(part.column_names)
        raise DataError(
            f"{root}: {split} has {len(images)} columns of images and {len(labels)} of labels (its columns: "
            f'{columns}); one of each is needed: name the labels "label"'
        )
    feature = part.features[labels[0]]
    if isinstance(feature, datasets.ClassLabel):
        names = [*feature.names, ""]  # -1, of images whose label is kept secret, is the last
        return images[0], ["" if label is None else names[label] for label in part[labels[0]]]
    return images[0], as_text(root, labels[0], part[labels[0]])


def _hashes(part: "datasets.Dataset", column: str) -> list[str]:
    """SHA-256 of the bytes of each image, kept in the cache under the content of the files they are from."""
    files = [Path(one["filename"]) for one in part.cache_files]
    if not files:  # in memory
        return [hashlib.sha256(_bytes(row[column])).hexdigest() for row in part]
    contents: list[str] = [sha256_files([file], file.parent, named=False) for file in files]
    memory = (
        cache_dir() / "image-hashes" / hashlib.sha256("\n".join([column, *contents]).encode()).hexdigest()
    )
    if (known := remembered(memory)) is not None:
        hashes: list[str] = json.loads(known)
        return hashes
    hashes = [hashlib.sha256(_bytes(row[column])).hexdigest() for row in part]
    remember(memory, canonical(hashes))
    return hashes


def _bytes(image: dict[str, Any] | None) -> bytes:
    """The file of an image, which lies in the data set or beside it; empty where there is none."""
    if image is None:
        return b""
    content: bytes = image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()
    return content


def _name(root: Path) -> str:
    """What tables call it: the name of its folder, in the cache of the hub that of the data set."""
    kept = root.parent.parent.name
    return kept.split("--")[-1] if root.parent.name == "snapshots" and "--" in kept else root.name

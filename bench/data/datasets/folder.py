"""A folder of one's own images, named as "folder:PATH"."""

from pathlib import Path

import numpy as np

from bench.data.base import SPLITS, Dataset, Facts, Folders
from bench.data.images import FORMATS, largest_sides, read_image
from bench.data.listing import NO_CLASS, Lister, in_words
from bench.data.own import SPLIT_IDS, Listed, files_of, own_dataset
from bench.data.own_split import CARVED, GIVEN, STRATIFIED
from bench.data.rows import SPELLINGS
from bench.errors import DataError
from bench.files import relative_names
from bench.spec.kfold import NAMED

FACTS = Facts(
    name="folder",
    title="A folder of images",
    classes=None,
    splits={name: SPLIT_IDS[name] for name in (STRATIFIED, GIVEN, CARVED, NAMED)},
    image="files of any size: JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, AVIF, JPEG 2000",
    source="your own images: PATH/CLASS/IMAGE, or PATH/{train,val,test}/CLASS/IMAGE where the split is given",
    takes_path=True,
)


def load(split_id: str | None, folders: Folders) -> Dataset:
    """The images of a folder with one folder a class, or one folder a split with one folder a class in each.

    Class folders are searched to any depth; what is passed over there is in the dataset's warnings
    (`bench.data.listing`). Without a split of its own the folder is divided 70/10/20 class by class, files
    with equal bytes on one side; where there is a store the division is frozen in its `splits/` and read from
    there ever after. A split of its own is taken as it is, but equal files across its parts are a warning;
    where it has no val, the split id "given-val-10" takes one from train.

    Raises:
        InputError: the split id does not fit the folder's layout.
        DataError: the folder is missing, its layout is unclear or a class is too small.
    """
    images = folders.images
    assert images is not None  # as of every dataset that takes one
    root = images.resolve()
    if not root.is_dir():
        raise DataError(f"folder:{images}: there is no folder {root}")
    lister = Lister()
    given, files = _layout(root, lister)
    class_names = list(files["train" if given else "all"])
    paths = [path for classes in files.values() for name in class_names for path in classes[name]]
    sizes = [len(classes[name]) for classes in files.values() for name in class_names]
    labels = np.repeat(np.tile(np.arange(len(class_names), dtype=np.int64), len(files)), sizes)
    fingerprint, equal, states = files_of(paths, root)
    count = len(lister.skipped)
    listed = Listed(
        asked=f"folder:{images}",
        name=root.name,
        root=root,
        class_names=class_names,
        labels=labels,
        keys=relative_names(paths, root),
        fingerprint=fingerprint,
        equal=equal,
        read=lambda i: read_image(Path(paths[i]), states[i]),
        source=lambda i: paths[i],
        largest=lambda limit: largest_sides(paths, fingerprint, limit, states),
        folder=root,
        given=_spans(files) if given else None,
        skipped=tuple(f"{path}: passed over ({kind})" for path, kind in lister.skipped),
        warnings=(f"{root.name}: {count} files passed over: {in_words(lister.passed_over)}",)
        if count
        else (),
    )
    return own_dataset(listed, split_id, folders.store)


def _spans(files: dict[str, dict[str, list[str]]]) -> dict[str, np.ndarray]:
    """The positions of each given split, which follow one another."""
    bounds = np.cumsum([0, *(sum(map(len, files.get(split, {}).values())) for split in SPLITS)])
    spans = zip(SPLITS, bounds, bounds[1:], strict=False)
    return {split: np.arange(a, b, dtype=np.int64) for split, a, b in spans}


def _layout(root: Path, lister: Lister) -> tuple[bool, dict[str, dict[str, list[str]]]]:
    """Whether the folder is split already, and its files by split ("all" where it is not) and class."""
    try:
        parts = _split_folders(root)
        return bool(parts), _given_files(root, parts, lister) if parts else {
            "all": _class_files(root, lister)
        }
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _split_folders(root: Path) -> dict[str, Path]:
    """The folders of train, val and test, where folders so named hold class folders; else they are classes.

    Where all folders are so named they are no classes, whatever they hold; beside others, one that holds
    images beside its folders may be one.

    Raises:
        DataError: train or test is missing or holds no class folder, two folders are the same split, or
            another lies beside them.
    """
    look = Lister()
    folders = look.folders(root)
    spelled = [name for name in folders if name.lower() in SPELLINGS]
    holding = [name for name in spelled if look.folders(root / name)]
    if not spelled or (spelled != folders and all(look.images(root / name) for name in holding)):
        return {}
    parts: dict[str, Path] = {}
    for name in spelled:
        split = SPELLINGS[name.lower()]
        if split in parts:
            raise DataError(
                f"{root}: folders {parts[split].name!r} and {name!r} are both {split}; keep one of them"
            )
        parts[split] = root / name
    for needed in ("train", "test"):
        if needed not in parts or not look.folders(parts[needed]):
            raise DataError(_lacking(root, needed, parts, look))
    others = [name for name in folders if name not in spelled]
    if others:
        raise DataError(
            f"{root}: folder {others[0]!r} beside train/ and test/; only train, val and test are read"
        )
    return parts


def _lacking(root: Path, needed: str, parts: dict[str, Path], look: Lister) -> str:
    """That train or test has no class folders, and what can be done."""
    named = ", ".join(split for split, folder in parts.items() if look.folders(folder))
    if not named:
        return (
            f"{root}: holds {' and '.join(folder.name for folder in parts.values())}, which are names of "
            "splits, with no class folders in them; should be train/CLASS/IMAGE and test/CLASS/IMAGE"
        )
    line = f"{root}: class folders in {named} but not in {needed}; a given split has train/ and test/"
    if needed == "test":
        loose = len(look.images(parts["test"])) if "test" in parts else 0
        line += f", and the {loose} images in test/ have no labels" if loose else ""
        line += f"; to have a test split taken from train, name {parts['train']}"
    return line


def _given_files(root: Path, parts: dict[str, Path], lister: Lister) -> dict[str, dict[str, list[str]]]:
    """The files of each split by class.

    Raises:
        DataError: the splits do not hold the same classes.
    """
    lister.skip(lister.images(root), NO_CLASS)
    every = {split: _class_files(parts[split], lister) for split in SPLITS if split in parts}
    files = {split: classes for split, classes in every.items() if classes}  # val may have none
    train = set(files["train"])
    for split, classes in files.items():
        lacking, extra = sorted(train - set(classes)), sorted(set(classes) - train)
        if lacking or extra:
            name, where = (
                (lacking[0], f"train but not in {split}")
                if lacking
                else (extra[0], f"{split} but not in train")
            )
            raise DataError(f"{root}: class {name!r} is in {where}; every split needs the same class folders")
    return files


def _class_files(root: Path, lister: Lister) -> dict[str, list[str]]:
    """The images of each class folder, in the order of their relative names.

    Raises:
        DataError: a class folder holds no image.
    """
    files = lister.classes(root)
    empty = [name for name, paths in files.items() if not paths]
    if empty:
        others = f", but {in_words(lister.passed_over)} was passed over" if lister.passed_over.total() else ""
        raise DataError(
            f"{root / empty[0]}: holds no image of a kind that is read ({', '.join(FORMATS)}){others}; "
            "remove it or fill it"
        )
    return files

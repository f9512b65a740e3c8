"""A folder of one's own images, named as "folder:PATH"."""

from pathlib import Path

import numpy as np

from bench.data.base import SPLITS, Dataset, Facts, Folders
from bench.data.equal import Overlap, equal_files, overlap_of, shared
from bench.data.images import FORMATS, largest_sides, read_image
from bench.data.listing import NO_CLASS, Lister, in_words
from bench.data.own_split import own_split
from bench.errors import DataError, InputError
from bench.files import sha256_files

FACTS = Facts(
    name="folder",
    title="A folder of images",
    classes=None,
    splits={"stratified-70-10-20": {}, "given": {}},
    image="files of any size: JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, AVIF, JPEG 2000",
    source="your own images: PATH/CLASS/IMAGE, or PATH/{train,val,test}/CLASS/IMAGE where the split is given",
    takes_path=True,
)
# Other spellings of split folders, which are not to be taken for classes without a word.
SPELLINGS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
SPELLINGS |= {"test": "test", "testing": "test"}


def load(split_id: str | None, folders: Folders) -> Dataset:
    """The images of a folder with one folder a class, or one folder a split with one folder a class in each.

    Class folders are searched to any depth; what is passed over there is in the dataset's warnings
    (`bench.data.listing`). Without a split of its own the folder is divided 70/10/20 class by class, files
    with equal bytes on one side; where there is a store the division is frozen in its `splits/` and read from
    there ever after. A split of its own is taken as it is, but equal files across its parts are a warning.

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
    actual = "given" if given else "stratified-70-10-20"
    if split_id not in (None, actual):
        layout = "train/, val/ and test/" if given else "one folder a class"
        raise InputError(f'folder:{images} has {layout}: its split id is "{actual}", not "{split_id}"')
    class_names = list(files["train" if given else "all"])
    if len(class_names) < 2:
        raise DataError(
            f"{root}: {len(class_names)} class folder(s); at least 2 are needed: PATH/CLASS/IMAGE"
        )
    paths = [path for classes in files.values() for name in class_names for path in classes[name]]
    sizes = [len(classes[name]) for classes in files.values() for name in class_names]
    labels = np.repeat(np.tile(np.arange(len(class_names), dtype=np.int64), len(files)), sizes)
    fingerprint, equal = _content(paths, root)
    if given:
        bounds = np.cumsum([0, *(sum(map(len, files.get(split, {}).values())) for split in SPLITS)])
        spans = zip(SPLITS, bounds, bounds[1:], strict=False)
        splits = {split: np.arange(a, b, dtype=np.int64) for split, a, b in spans}
    else:
        splits = own_split(root, paths, labels, class_names, fingerprint, folders.store, equal)
    overlap = overlap_of(equal, labels, splits)
    elsewhere = shared(equal, splits["test"], np.concatenate([splits["train"], splits["val"]]))
    return Dataset(
        name=root.name,
        split_id=actual,
        class_names=class_names,
        labels=labels,
        splits=splits,
        fingerprint=fingerprint,
        copy="own data",
        read=lambda i: read_image(paths[i]),
        source=lambda i: str(paths[i]),
        largest=lambda limit: largest_sides(paths, fingerprint, limit),
        folder=root,
        duplicates=elsewhere if len(elsewhere) else None,
        overlap=overlap.counts(),
        warnings=_warnings(root.name, lister, overlap, splits),
    )


def _warnings(name: str, lister: Lister, overlap: Overlap, splits: dict[str, np.ndarray]) -> tuple[str, ...]:
    """What was passed over, and equal files where they should not be, one line each."""
    count = lister.passed_over.total()
    warnings = [f"{name}: {count} files passed over: {in_words(lister.passed_over)}"] if count else []
    test, val = len(splits["test"]), len(splits["val"])
    for number, of, where, why in (
        (overlap.test_in_train, f"of {test} test images", "in train", "their accuracy is memory"),
        (
            overlap.test_in_val,
            f"of {test} test images",
            "in val",
            "what was chosen on them is tested on them",
        ),
        (overlap.val_in_train, f"of {val} val images", "in train", "what is chosen on them favours memory"),
        (overlap.two_labels, "images", "in another class", "one of their labels must be wrong"),
    ):
        if number:
            warnings.append(f"{name}: {number} {of} are also {where}, byte by byte: {why}")
    return tuple(warnings)


def _content(paths: list[Path], root: Path) -> tuple[str, list[list[int]]]:
    """The fingerprint of the files, and the groups of equal ones among them."""
    try:
        fingerprint = sha256_files(paths, root)
        return fingerprint, equal_files(paths, fingerprint)
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error
    except UnicodeEncodeError as error:
        raise DataError(f"{root}: the file name {error.object!r} is not valid UTF-8; rename it") from error


def _layout(root: Path, lister: Lister) -> tuple[bool, dict[str, dict[str, list[Path]]]]:
    """Whether the folder is split already, and its files by split ("all" where it is not) and class."""
    try:
        given = _is_given(root)
        return given, _given_files(root, lister) if given else {"all": _class_files(root, lister)}
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _is_given(root: Path) -> bool:
    """Whether folders named as splits hold class folders, rather than being classes themselves.

    Raises:
        DataError: train or test is missing, or another folder lies beside them.
    """
    look = Lister()
    folders = look.folders(root)
    for name in folders:
        if name not in SPLITS and name.lower() in SPELLINGS and look.folders(root / name):
            raise DataError(
                f"{root}: folder {name!r} holds class folders; name it {SPELLINGS[name.lower()]!r} "
                "for a given split"
            )
    named = [
        name
        for name in folders
        if name in SPLITS and look.folders(root / name) and not look.images(root / name)
    ]
    if not named:
        return False
    for needed in ("train", "test"):
        if not look.folders(root / needed):
            raise DataError(
                f"{root}: class folders in {', '.join(named)} but not in {needed}; "
                "a given split has train/ and test/"
            )
    others = [name for name in folders if name not in SPLITS]
    if others:
        raise DataError(
            f"{root}: folder {others[0]!r} beside train/ and test/; only train, val and test are read"
        )
    return True


def _given_files(root: Path, lister: Lister) -> dict[str, dict[str, list[Path]]]:
    """The files of each split by class; a val that is missing or empty is left out.

    Raises:
        DataError: the splits do not hold the same classes.
    """
    lister.passed_over.update({NO_CLASS: len(lister.images(root))})
    files = {split: _class_files(root / split, lister) for split in SPLITS if lister.folders(root / split)}
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


def _class_files(root: Path, lister: Lister) -> dict[str, list[Path]]:
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

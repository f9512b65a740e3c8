"""The division of a folder of one's own images: made once, frozen in the store, read ever after."""

import hashlib
from pathlib import Path

import numpy as np

from bench.data.stratify import divide, with_train
from bench.errors import DataError
from bench.files import canonical, read_json, write_text
from bench.store.layout import Layout


def own_split(
    root: Path,
    paths: list[Path],
    labels: np.ndarray,
    class_names: list[str],
    fingerprint: str,
    store: Path | None,
    equal: list[list[int]],
) -> dict[str, np.ndarray]:
    """The frozen division from the store, made and frozen now where it is not there yet.

    Of each class a fifth is test and a tenth val, at least one image each; files with equal bytes are on
    one side, and those that lie in more than one class are in train.

    Args:
        equal: groups of positions into `paths` of files with equal bytes.

    Returns:
        ascending int64 positions into `paths` by split.

    Raises:
        DataError: a class has too few images, or the frozen file was changed.
    """
    if store is not None:
        # Under whichever name the folder had when it was divided.
        for frozen in sorted(Layout(store).splits.glob(f"*-{fingerprint[:12]}.json")):
            return _thaw(frozen, fingerprint, len(paths))
    keys = [path.relative_to(root).as_posix() for path in paths]
    divided = divide(labels, keys, equal, _quota, "stratified-70-10-20")
    for positions in divided.values():
        counts = np.bincount(labels[positions], minlength=len(class_names))
        if counts.min() == 0:
            few = class_names[int(counts.argmin())]
            raise DataError(
                f"{root}: class {few!r} has too few images to be divided into train, val and test: "
                "at least 3 that differ and lie in no other class are needed (or PATH/{train,val,test}/CLASS)"
            )
    if store is not None:
        frozen = Layout(store).splits / f"{root.name}-{fingerprint[:12]}.json"
        listed = {split: divided[split].tolist() for split in ("val", "test")}
        content = {"format": 1, "fingerprint": fingerprint, "splits": listed, "sha256": _sha256(listed)}
        write_text(frozen, canonical(content) + "\n")
    return divided


def _thaw(frozen: Path, fingerprint: str, images: int) -> dict[str, np.ndarray]:
    """The division in a file of the store; train is what it does not list.

    Raises:
        DataError: the file was changed since it was written.
    """
    content = read_json(frozen)
    whole = isinstance(content, dict) and content.get("sha256") == _sha256(content.get("splits"))
    if not whole or content.get("fingerprint") != fingerprint:
        raise DataError(
            f"{frozen}: was changed since the split was frozen; restore it, or delete it to divide anew"
        )
    return with_train(content["splits"], images)


def _quota(count: int) -> dict[str, int]:
    return {"test": max(1, round(0.2 * count)), "val": max(1, round(0.1 * count))}


def _sha256(listed: object) -> str:
    return hashlib.sha256(canonical(listed).encode()).hexdigest()

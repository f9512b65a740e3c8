"""The division of one's own images: made once, frozen in the store, read ever after."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.data.grouped import divide_groups, straddling, united
from bench.data.stratify import divide, with_train
from bench.errors import DataError
from bench.files import canonical, read_json, write_text
from bench.store.layout import Layout

STRATIFIED, GIVEN, CARVED, GROUPED = "stratified-70-10-20", "given", "given-val-10", "grouped-70-10-20"


def own_split(
    root: Path,
    name: str,
    keys: list[str],
    labels: np.ndarray,
    class_names: list[str],
    fingerprint: str,
    store: Path | None,
    equal: list[list[int]],
    split_id: str,
    given: dict[str, np.ndarray] | None = None,
    groups: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """The frozen division from the store, made and frozen now where it is not there yet.

    Of each class a fifth is test and a tenth val, at least one image each; files with equal bytes are on
    one side, and those that lie in more than one class are in train. CARVED keeps a given test split and
    takes a tenth of each class of the given train for val. With groups, all images of a group are on one
    side, and the shares hold as well as they can. GIVEN is taken as it is.

    Args:
        root, name: of the images, for messages and for the name of the frozen file.
        keys: a lasting name for each image.
        equal: groups of positions of images with equal bytes.
        split_id: by which rule.
        given: positions by split, of a split of its own.
        groups: int64 (n,); None where each image is one of its own.

    Returns:
        ascending int64 positions by split.

    Raises:
        DataError: a class has too few images or groups, a group lies on both sides of a given split, or the
            frozen file was changed.
    """
    if given is not None and groups is not None:
        _refuse_straddling(root, keys, groups, given)
    if given is not None and split_id == GIVEN:
        return given
    if store is not None:
        # Under whichever name the folder had when it was divided.
        for frozen in sorted(Layout(store).splits.glob(f"*-{fingerprint[:12]}.json")):
            return _thaw(frozen, fingerprint, len(keys))
    pool = np.arange(len(labels)) if given is None else given["train"]
    quota = _quota if given is None else val_quota
    within = _within(equal, pool)
    own_keys, own_labels = [keys[i] for i in pool.tolist()], labels[pool]
    if groups is None:
        parts = divide(own_labels, own_keys, within, quota, split_id)
    else:
        parts = divide_groups(own_labels, own_keys, united(groups[pool], within), quota, split_id)
    divided = {split: pool[positions] for split, positions in parts.items()}
    if given is not None:
        divided["test"] = given["test"]
    for split, positions in divided.items():
        counts = np.bincount(labels[positions], minlength=len(class_names))
        if split in parts and counts.min() == 0:
            few = class_names[int(counts.argmin())]
            raise DataError(_too_few(root, few, given is not None, groups is not None))
    if store is not None:
        frozen = Layout(store).splits / f"{name}-{fingerprint[:12]}.json"
        listed = {split: divided[split].tolist() for split in ("val", "test")}
        content = {"format": 1, "fingerprint": fingerprint, "splits": listed, "sha256": checksum(listed)}
        write_text(frozen, canonical(content) + "\n")
    return divided


def _too_few(root: Path, few: str, carved: bool, grouped: bool) -> str:
    """That a class is too small to be on every side."""
    if carved:
        needed = "2 groups" if grouped else "2 that differ and lie in no other class"
        return (
            f"{root}: class {few!r} has too few training images for a val split to be taken from them: at "
            f'least {needed} are needed (or split_id = "{GIVEN}", without val)'
        )
    needed = "3 groups" if grouped else "3 that differ and lie in no other class"
    return (
        f"{root}: class {few!r} has too few images to be divided into train, val and test: "
        f"at least {needed} are needed (or PATH/{{train,val,test}}/CLASS)"
    )


def _refuse_straddling(
    root: Path, keys: list[str], groups: np.ndarray, given: Mapping[str, np.ndarray]
) -> None:
    found = straddling(groups, given)
    if found:
        one, other = found[0]
        raise DataError(
            f"{root}: {keys[one]} and {keys[other]} are of one group and in different splits; a group has to "
            f"lie in one ({len(found)} group(s) do not)"
        )


def _within(equal: list[list[int]], pool: np.ndarray) -> list[list[int]]:
    """Groups of positions as positions into `pool`, which is ascending."""
    place = {int(position): i for i, position in enumerate(pool)}
    groups = ([place[i] for i in group if i in place] for group in equal)
    return [group for group in groups if len(group) > 1]


def _thaw(frozen: Path, fingerprint: str, images: int) -> dict[str, np.ndarray]:
    """The division in a file of the store; train is what it does not list.

    Raises:
        DataError: the file was changed since it was written.
    """
    content = read_json(frozen)
    whole = isinstance(content, dict) and content.get("sha256") == checksum(content.get("splits"))
    if not whole or content.get("fingerprint") != fingerprint:
        raise DataError(
            f"{frozen}: was changed since the split was frozen; restore it, or delete it to divide anew"
        )
    splits = content["splits"]
    lists = list(splits.values()) if isinstance(splits, dict) and splits.keys() == {"val", "test"} else [None]
    listed = [one for part in lists for one in (part if isinstance(part, list) else [None])]
    whole = all(type(one) is int and 0 <= one < images for one in listed)
    if not whole or len(set(listed)) < len(listed):
        raise DataError(f"{frozen}: should list val and test as positions of the {images} images, each once")
    return with_train(splits, images)


def _quota(count: int) -> dict[str, int]:
    return {"test": max(1, round(0.2 * count)), "val": max(1, round(0.1 * count))}


def val_quota(count: int) -> dict[str, int]:
    """A tenth of a class for val, at least one image."""
    return {"val": max(1, round(0.1 * count))}


def checksum(listed: object) -> str:
    """By which a frozen file shows that nobody changed it."""
    return hashlib.sha256(canonical(listed).encode()).hexdigest()

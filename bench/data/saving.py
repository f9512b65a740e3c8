"""The images of a PyTorch Dataset as a folder of PNG files, which is a data set like any other."""

import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.data.images import to_rgb
from bench.errors import InputError
from bench.files import cannot_write


def save_images(
    folder: Path, splits: dict[str, Sequence[tuple[Any, int]]], class_names: Sequence[str] | None
) -> str:
    """Write SPLIT/CLASS/NUMBER.png, or CLASS/NUMBER.png where there is no test; all of it or nothing.

    Args:
        folder: which is not there yet.
        splits: what has a length and gives (image, label) by position, by "train", "val" and "test".
        class_names: see `vcbench.save_images`.

    Returns:
        The name of the data set, "folder:PATH".

    Raises:
        InputError: the folder exists, an image or a label is of another kind, or a class name cannot be that
            of a folder.
        StoreError: the files cannot be written.
    """
    if folder.exists():
        raise InputError(f"{folder} exists already; name a folder that is not there yet")
    if "test" not in splits and "val" in splits:
        raise InputError("val without test: give both, or train alone, which is divided")
    names = class_names if class_names is not None else getattr(splits["train"], "classes", None)
    labels = {
        split: [_label(split, i, images[i][1]) for i in range(len(images))]
        for split, images in splits.items()
    }
    count = 1 + max((max(own, default=0) for own in labels.values()), default=0)
    folders = _folders(names, count)
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}.part")
    try:
        for split, images in splits.items():
            above = part / split if "test" in splits else part
            for name in folders:
                (above / name).mkdir(parents=True, exist_ok=True)
            for i, label in enumerate(labels[split]):
                picture = _picture(f"{split} image {i}", images[i][0])
                picture.save(above / folders[label] / f"{i:07d}.png")
        part.replace(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return f"folder:{folder}"


def _folders(names: Sequence[str] | None, count: int) -> list[str]:
    """Names of class folders whose order as text is that of the labels."""
    digits = len(str(max(count, len(names or ())) - 1))
    if names is None:
        return [f"{label:0{digits}d}" for label in range(count)]
    if len(names) < count:
        raise InputError(f"{len(names)} class names, but there is a label {count - 1}; name every class")
    for name in names:
        if not name or name != name.strip() or "/" in name or "\\" in name or name.startswith("."):
            raise InputError(f"class name {name!r}: cannot be the name of a folder; rename it in class_names")
    ordered = list(names) == sorted(set(names))
    return list(names) if ordered else [f"{label:0{digits}d}-{name}" for label, name in enumerate(names)]


def _label(split: str, i: int, label: Any) -> int:
    try:
        number = int(label)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{split} image {i}: its label is {label!r}; should be a class number from 0"
        ) from error
    if number < 0 or number != label:
        raise InputError(f"{split} image {i}: its label is {label!r}; should be a class number from 0")
    return number


def _picture(where: str, image: Any) -> Image.Image:
    """An image as RGB: of PIL, uint8 (h, w) or (h, w, 3), or a tensor (1 or 3, h, w) of uint8 or 0..1."""
    if isinstance(image, Image.Image):
        return to_rgb(image)
    tensor = hasattr(image, "detach")
    array = image.detach().cpu().numpy() if tensor else np.asarray(image)
    array = array.transpose(1, 2, 0) if tensor and array.ndim == 3 else array
    if array.dtype.kind == "f" and array.size and array.min() >= 0 and array.max() <= 1:
        array = np.rint(array * 255).astype(np.uint8)
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise InputError(
            f"{where}: {array.dtype} of shape {tuple(image.shape)}; should be of PIL, uint8 (h, w, 3), or a "
            "tensor (3, h, w) of uint8 or of 0 to 1: before it is normalised"
        )
    return Image.fromarray(array).convert("RGB")

"""Classes and probabilities for image files."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax
from torch import Tensor

from bench.data.listing import LOOP, Lister
from bench.deploy.calibrate import logits_of
from bench.errors import DataError, InputError
from bench.escape import visible
from bench.inspection.images import from_file
from bench.inspection.loading import Loaded

COLUMNS = ("image", "rank", "class", "probability", "problem")


def image_files(paths: Iterable[Path], out: Path | None = None) -> list[Path]:
    """The files that were named, and all that lie in folders that were but `out`, in order of names.

    Folders are searched as those of images to train on (`bench.data.listing`). Files of other kinds than
    images, and links that lead nowhere, are listed too: whoever reads them says what is wrong.

    Raises:
        InputError: one is not there, or a folder is empty or cannot be read.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            lister = Lister()
            try:
                images = lister.below(path)
            except OSError as error:
                raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
            others = [other for other, kind in lister.skipped if kind != LOOP]
            inside = sorted(one for one in [*map(Path, images), *others] if not _same(one, out))
            if not inside:
                raise InputError(f"{path}: no files in this folder")
            files += inside
        elif path.exists():
            files.append(path)
        else:
            raise InputError(f"{path}: no such file or folder")
    return files


def _same(path: Path, out: Path | None) -> bool:
    """Whether a path is that of the predictions."""
    return out is not None and path.name == out.name and path.resolve() == out.resolve()


def refuse_others(out: Path) -> None:
    """Refuse a path for predictions where there is anything else than such a table.

    Raises:
        InputError: as it says.
    """
    if not out.exists() and not out.is_symlink():
        return
    header = ",".join(COLUMNS).encode()
    if not out.is_file() or not out.open("rb").readline(len(header) + 2).rstrip() == header:
        raise InputError(f"{out}: exists already, and is no table of predictions; choose another --out")


def predict_files(
    loaded: Loaded,
    files: Iterable[Path],
    *,
    temperature: float = 1.0,
    top: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> pd.DataFrame:
    """The likeliest classes of each file.

    Args:
        temperature: that logits are divided by.
        top: how many classes an image gets, a row each.
        progress: called with how many images are predicted.

    Returns:
        image (its path, with what is not UTF-8 as in [U+DCE9]), rank from 1, class, probability, and problem:
        why a file could not be read, of which the others are empty. Files stand in their order, none is left
        out.
    """
    files = list(files)
    problems: dict[Path, str] = {}

    def readable() -> Iterator[Tensor]:
        for path in files:
            try:
                yield loaded.input(from_file(path).pixels)
            except DataError as error:
                problems[path] = str(error).removeprefix(f"{path}: ")

    probabilities = iter(softmax(logits_of(loaded, readable(), progress) / temperature, axis=1))
    rows: list[tuple[str, int | None, str | None, float | None, str | None]] = []
    for path in files:
        name = visible(str(path))
        if path in problems:
            rows.append((name, None, None, None, visible(problems[path])))
            continue
        own = next(probabilities)
        for rank, k in enumerate(np.argsort(-own, kind="stable")[:top], start=1):
            rows.append((name, rank, loaded.classes[k], float(own[k]), None))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"rank": "Int64"})

"""Whether a dataset's files are whole: every image decoded, official checksums compared."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.data.base import Dataset
from bench.data.registry import find_module, open_dataset
from bench.errors import DataError


def verify(
    name: str,
    data_dir: Path | str,
    *,
    store: Path | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Decode every image of a dataset, and compare its files with the official archive where that is here.

    Args:
        progress: called with images decoded and images in all.

    Returns:
        name; counts: images by split id and split; fingerprint; copy; problems: one line for each
        damaged or differing file; warnings: what else is to be known of the data, one line each; skipped:
        files that were passed over, one line each with the reason.

    Raises:
        InputError: there is no such dataset.
        DataError: files are missing, or the dataset cannot be opened for another reason.
    """
    module, _ = find_module(name)
    split_ids = [None] if module.FACTS.takes_path else list(module.FACTS.splits)
    opened = [open_dataset(name, split_id, data_dir, store=store) for split_id in split_ids]
    problems = damaged_images(opened[0], progress)
    if hasattr(module, "certify"):
        problems += module.certify(opened[0], Path(data_dir))
    checked = open_dataset(name, split_ids[0], data_dir, store=store)
    return {
        "name": checked.name,
        "counts": {dataset.split_id: dataset.counts() for dataset in opened},
        "fingerprint": checked.fingerprint,
        "copy": checked.copy,
        "problems": problems,
        "warnings": list(checked.warnings),
        "skipped": list(checked.skipped),
    }


def damaged_images(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> list[str]:
    """One line for each image that cannot be decoded, in the order of the images."""

    def problem(index: int) -> str | None:
        try:
            dataset.read(index)
        except DataError as error:
            return str(error)
        return None

    total, problems = len(dataset.labels), []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for done, line in enumerate(pool.map(problem, range(total)), start=1):
            if line is not None:
                problems.append(line)
            if progress is not None:
                progress(done, total)
    return problems

"""What to say when files of an official dataset are missing or damaged."""

from collections.abc import Mapping
from pathlib import Path

from bench.data.base import Facts
from bench.errors import DataError


def how_to_get(facts: Facts, data_dir: Path) -> str:
    """The end of a sentence about missing files."""
    return f"get it with: vcbench data fetch {facts.name} --data-dir {data_dir} (or by hand: {facts.files})"


def what_is_wrong(facts: Facts, folder: Path, md5s: Mapping[str, str], data_dir: Path) -> DataError:
    """The error that names the files of `folder` that are missing or do not have their official md5."""
    from torchvision.datasets.utils import check_integrity

    missing = [name for name in md5s if not (folder / name).is_file()]
    damaged = [
        name for name, md5 in md5s.items() if name not in missing and not check_integrity(folder / name, md5)
    ]
    problems = [f"{', '.join(missing)} missing"] if missing else []
    problems += [f"{', '.join(damaged)} damaged (not the official md5)"] if damaged else []
    return DataError(f"{facts.name}: {' and '.join(problems)} under {folder}; {how_to_get(facts, data_dir)}")

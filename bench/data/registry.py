"""The one door to datasets: every module of `bench/data/datasets/` is one, under its own name."""

import pkgutil
from importlib import import_module
from pathlib import Path
from types import ModuleType

from bench.data import datasets
from bench.data.base import Dataset, Facts, Folders
from bench.errors import InputError, did_you_mean
from bench.files import from_user
from bench.spec.kfold import NAMED, read_kfold


def dataset_facts() -> dict[str, Facts]:
    """What is known of each dataset without its files, by name."""
    return {name: _module(name).FACTS for name in _names()}


def find_facts(name: str) -> Facts:
    """What is known of the dataset `name` ("cifar100", "folder:PATH") without its files.

    Raises:
        InputError: there is no such dataset, or a path is missing or out of place.
    """
    return find_module(name)[0].FACTS


def open_dataset(
    name: str, split_id: str | None, data_dir: Path | str, *, store: Path | str | None = None
) -> Dataset:
    """Open a dataset whose files are already here; nothing is downloaded.

    Args:
        name: a dataset's name, or "folder:PATH" or "table:FILE" for images of one's own.
        split_id: which division of the images; None for the dataset's default.
        data_dir: the folder of the downloaded datasets.
        store: the results folder, where the split of a folder is frozen and found again.

    Raises:
        InputError: there is no such dataset or split.
        DataError: files are missing or damaged; the line names them and says how to get them.
    """
    module, path = find_module(name)
    facts = module.FACTS
    in_folds = NAMED in facts.splits and read_kfold(split_id) is not None
    if split_id is not None and split_id not in facts.splits and not in_folds:
        raise InputError(
            f'{facts.name} has no split id "{split_id}"{did_you_mean(split_id, facts.splits)}'
            f" (split ids: {', '.join(facts.splits)})"
        )
    if split_id is None and not facts.takes_path:
        split_id = next(iter(facts.splits))
    if path is not None:
        shown = path.resolve().stem if path.is_file() else path.resolve().name
        if shown in _names():
            raise InputError(
                f"{name}: tables would call it by the name of a known dataset; rename {path.resolve().name}"
            )
    return module.load(split_id, Folders(Path(data_dir), path, Path(store) if store is not None else None))


def find_module(name: str) -> tuple[ModuleType, Path | None]:
    """The module of a dataset, and the PATH of "name:PATH".

    Raises:
        InputError: as `find_facts`.
    """
    base, colon, path = name.partition(":")
    names = _names()
    if base not in names and ("/" in base or base.startswith(("~", "."))):
        there = from_user(base).exists()
        raise InputError(
            f"{base}: images of your own are named folder:PATH or table:FILE"
            if there
            else f"{base}: no such file or folder"
        )
    if base not in names:
        raise InputError(f'no dataset "{base}"{did_you_mean(base, names)} (datasets: {", ".join(names)})')
    module = _module(base)
    if module.FACTS.takes_path and not path:
        raise InputError(f'dataset "{base}" needs the path of its images: {base}:PATH')
    if colon and not module.FACTS.takes_path:
        raise InputError(f'dataset "{base}" takes no path; write "{base}"')
    return module, from_user(path) if path else None


def _names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(datasets.__path__))


def _module(name: str) -> ModuleType:
    return import_module(f"{datasets.__name__}.{name}")

"""Test images for a report, on request only."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import InputError

if TYPE_CHECKING:
    from bench.report.examples import Pictures
    from bench.store.records.trials import Result


def refuse_if_committed(folder: Path) -> None:
    """Pictures of a dataset must not get into a repository.

    Raises:
        InputError: the folder lies in a git repository that does not ignore it.
    """
    parent = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.is_dir())
    if not shutil.which("git"):
        return
    page = str(folder.resolve() / "index.html")
    # 0: ignored; 1: it is not; 128: no repository.
    if subprocess.run(["git", "-C", parent, "check-ignore", "-q", page], capture_output=True).returncode == 1:
        raise InputError(
            f"--out {folder}: git does not ignore it, and pictures of the dataset would be written there; "
            "take a folder under reports/"
        )


def reader(data: Path, results: Path, folders: Sequence[str] = ()) -> "Pictures":
    """Opens the dataset of a trial and returns its test images by position.

    Args:
        data: the folder of the downloaded datasets.
        results: the run store.
        folders: names ("folder:PATH") under which images of one's own may lie; those count that the trial
            was tested on, whatever their folder is called now.

    Raises:
        InputError: the images are not those that the trial was tested on.
    """
    from bench.data import open_dataset
    from bench.store.lookup import own_images
    from bench.store.run_store import RunStore

    store = RunStore(results)

    def pictures(record: "Result") -> Any:
        wanted = record.data
        own = wanted.data_copy == "own data"
        listed = own_images(store, record.id) if own else None
        names = [*folders, *([listed] if listed else [])] if own else [wanted.dataset]
        for name in names:
            try:
                opened = open_dataset(name, wanted.split_id, data, store=results)
            except InputError:
                if not own:
                    raise
                continue  # one's own images of another layout
            if (opened.split_id, opened.fingerprint) == (wanted.split_id, wanted.fingerprint):
                return lambda position: opened.read(int(opened.splits["test"][position]))
        if own:
            searched = f" (they are not in {', '.join(names)})" if names else ""
            raise InputError(
                f'--with-images: the runs were tested on your own images "{wanted.dataset}"; say where '
                f"they are with --dataset folder:PATH{searched}"
            )
        raise InputError(
            f"--data-dir {data}: its {wanted.dataset} is not the copy that the runs were tested on"
        )

    return pictures


def own_folders(suite: str) -> list[str]:
    """The images of one's own that a suite's file names, where the file is here; none where it is not."""
    from bench.data.registry import find_module
    from bench.spec.suite import load_suite

    try:
        comparisons = load_suite(suite.partition("+")[0] if not suite.endswith(".toml") else suite).comparison
    except InputError:
        return []
    names = dict.fromkeys(comparison.dataset for comparison in comparisons)
    return [name for name in names if (path := find_module(name)[1]) is not None and path.exists()]

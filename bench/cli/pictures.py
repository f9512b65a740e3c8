"""Test images for a report, on request only."""

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import InputError

if TYPE_CHECKING:
    from bench.report.examples import Pictures


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
            f"--out {folder}: git does not ignore it, and --with-images writes pictures of the dataset; "
            "take a folder under reports/"
        )


def reader(data: Path, results: Path) -> "Pictures":
    """Opens the dataset of a trial and returns its test images by position.

    Raises:
        InputError: the images are not those that the trial was tested on.
    """
    from bench.data import open_dataset
    from bench.lookup import own_images
    from bench.store import RunStore

    store = RunStore(results)

    def pictures(record: dict[str, Any]) -> Any:
        wanted = record["data"]
        name = own_images(store, record["id"]) or wanted["dataset"]
        opened = open_dataset(name, wanted["split_id"], data, store=results)
        if opened.fingerprint != wanted["fingerprint"]:
            raise InputError(
                f"--data-dir {data}: its {wanted['dataset']} is not the copy that the runs were tested on"
            )
        return lambda place: opened.read(int(opened.splits["test"][place]))

    return pictures

"""A run store as it was at a tag or commit of git."""

import io
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import InputError, first_line


@contextmanager
def store_at(place: Path) -> Iterator[Path]:
    """The folder of a store; of FOLDER@REVISION, where there is no such folder, what git keeps of FOLDER.

    It is unpacked into a temporary folder that goes when the block ends.

    Raises:
        InputError: FOLDER is in no git repository, or no store was committed there at that revision.
    """
    folder, at, revision = str(place).rpartition("@")
    if not at or place.exists():
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="vcbench-") as temporary:
        packed = _archive(Path(folder), revision, place)
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            archive.extractall(there := Path(temporary) / place.name)
        if not (there / "store.json").exists():
            raise InputError(f"{place}: no run store was committed there")
        yield there


def _archive(folder: Path, revision: str, place: Path) -> bytes:
    """A folder as committed, as a zip file."""
    near = next(parent for parent in folder.absolute().parents if parent.is_dir())
    root = Path(_git(near, place, "rev-parse", "--show-toplevel").decode().rstrip("\n"))
    inside = folder.resolve().relative_to(root.resolve()).as_posix()
    commit = _git(root, place, "rev-parse", "--verify", f"{revision}^{{commit}}")
    return _git(root, place, "archive", "--format=zip", f"{commit.decode().strip()}:{inside}")


def _git(root: Path, place: Path, *arguments: str) -> bytes:
    try:
        return subprocess.run(["git", "-C", root, *arguments], capture_output=True, check=True).stdout
    except FileNotFoundError as error:
        raise InputError(f"{place}: no such folder, and no git here to look for a tag or commit") from error
    except subprocess.CalledProcessError as error:
        said = first_line(RuntimeError(error.stderr.decode(errors="replace")))
        raise InputError(f"{place}: no such folder, nor one committed under that tag ({said})") from error

"""Small disks, processes and their locks, as Linux has them."""

import errno
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def mounted(path: Path, options: str) -> Iterator[bool]:
    """A tmpfs at a path; gives False where it may not be mounted."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    there = shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield there
    finally:
        if there:
            subprocess.run(["umount", "--lazy", str(path)], check=True)


def remount(path: Path, options: str) -> None:
    """Change the options of a tmpfs."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(path)], check=True)


def children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
        except OSError as error:
            assert error.errno in (errno.ENOENT, errno.ESRCH)
    return found


def with_a_job(folder: Path) -> set[int]:
    """The processes that hold the lock of a job, as the system lists them."""
    locks = {path.stat().st_ino for path in folder.glob("store/.locks/*.lock")}
    lines = Path("/proc/locks").read_text().splitlines()
    held = (line.split() for line in lines if "->" not in line)  # those who wait for it
    return {int(pid) for _, _, _, _, pid, file, *_ in held if int(file.rpartition(":")[2]) in locks}

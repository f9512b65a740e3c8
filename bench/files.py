"""Files that are written whole or not at all, hashes of plain data and of files, and the cache folder."""

import errno
import glob
import hashlib
import json
import math
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, MutableSequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import InputError, StoreError, shortened
from bench.escape import all_visible

if TYPE_CHECKING:
    from filelock import FileLock

LONGEST_SLUG = 60
# The listing of a suite of 100,000 trials has a fifth of it.
LARGEST_JSON = 2**27
SMALL = 2**16  # bytes of a file that is read at once


def canonical(value: Any) -> str:
    """The one text of plain data: sorted keys, no spaces.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the canonical text."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def cache_dir() -> Path:
    """The folder of everything that can be made again: decoded images, features, fingerprints."""
    root = os.environ.get("VCBENCH_CACHE")
    try:
        base = (
            Path(root)
            if root
            else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vcbench"
        )
    except RuntimeError as error:  # a user without a name and without HOME
        raise InputError("no home folder for the cache; set VCBENCH_CACHE to a writable folder") from error
    try:
        base.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cache folder {base} cannot be made ({error.strerror}); set VCBENCH_CACHE to a writable folder"
        ) from error
    return base


def slug(text: str) -> str:
    """A name that is safe in a file name and an address: lower-case letters, digits and hyphens.

    The end of a long one is a hash, so that names made of several fit into 255 bytes.
    """
    short = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unnamed"
    if len(short) <= LONGEST_SLUG:
        return short
    return f"{short[: LONGEST_SLUG - 9].rstrip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def within(folder: Path, name: str) -> Path:
    """A file of this name in a folder, whatever somebody put into the name: no path leads out of it."""
    return folder / (re.sub(r"[^\w.+-]+", "-", name, flags=re.ASCII).lstrip(".") or "unnamed")


def from_user(path: str) -> Path:
    """A path as it was written, with ~ for the home folder.

    Raises:
        InputError: there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{path}: there is no home folder of that user") from error


PARTS = ".*.part*"
"""How the names of temporary files and of their locks end, after a dot and the name of the file."""


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place when the block ends well.

    The content reaches the disk before the name changes, so that a reader sees the old file or the
    whole new one, whatever happens in between. The names are there after the block, also without power.

    Raises:
        StoreError: the folder cannot be written or the disk is full.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        missing = list(takewhile(lambda folder: not folder.exists(), path.parents))
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            _sync_names(folder.parent)
        remove_abandoned(path.parent.glob(f".{glob.escape(path.name)}{PARTS}"))
        lock = _hold(part)
        try:
            part.touch(exist_ok=False)
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
            _sync_names(path.parent)
        finally:
            _remove(part, lock)
    except OSError as error:
        raise cannot_write(path, error) from error


def _sync_names(folder: Path) -> None:
    """Have the names in a folder reach the disk, wherever the system can do that with folders."""
    try:
        opened = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows, or a folder that may not be listed
        return
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # as some network file systems say
            raise
    finally:
        os.close(opened)


def _hold(part: Path) -> "FileLock":
    """The lock of a temporary file that nobody else has; nothing stays where the file system has no locks."""
    try:
        while (lock := _acquire(_lock_of(part))) is None:  # somebody thinks that it was left there
            continue
    except OSError:
        _lock_of(part).unlink(missing_ok=True)
        raise
    return lock


def remove_abandoned(left: Iterable[Path]) -> None:
    """Of temporary files and their locks, remove what writers that were killed have left: nobody holds it."""
    for part in {one.with_suffix("") if one.suffix == ".lock" else one for one in left}:
        if (lock := _acquire(_lock_of(part))) is not None:
            _remove(part, lock)


def _lock_of(part: Path) -> Path:
    """The lock of a temporary file, which shows it to be in use for as long as its writer lives."""
    return part.with_name(f"{part.name}.lock")


def _remove(part: Path, lock: "FileLock") -> None:
    """Remove a temporary file with its lock, which is held."""
    part.unlink(missing_ok=True)
    lock.release()
    _lock_of(part).unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold the lock file at `path`; gives False at once where somebody else holds it.

    The operating system lets go of the lock when the process ends, however it ends.

    Raises:
        StoreError: the file cannot be written.
    """
    try:
        lock = _acquire(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def _acquire(path: Path) -> "FileLock | None":
    """The lock file at `path`, held; None where somebody else holds it."""
    from filelock import FileLock, Timeout  # readers do not need to import it

    lock = FileLock(path)
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
            return lock
        except Timeout:
            return None
        except FileNotFoundError:  # its folder was removed meanwhile
            continue
        except NotImplementedError as error:  # so filelock says it
            raise OSError(errno.ENOLCK, "the file system has no locks") from error


def cannot_write(path: Path, error: OSError) -> StoreError:
    """The one line for a write that failed."""
    if error.errno == errno.ENOSPC:
        return StoreError(f"{path}: the disk is full; free some space and run the same command again")
    return StoreError(f"{path}: cannot be written ({error.strerror or error})")


def write_bytes(path: Path, data: bytes) -> None:
    """Write all of `data` or nothing."""
    with staged(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write all of `text` as UTF-8 or nothing."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write plain data as indented JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The plain data of a JSON file, hidden characters in it made visible (see `bench.escape`).

    Raises:
        StoreError: the file cannot be read, is not JSON, or has a number that is not finite.
    """
    try:
        text = read_regular(path, LARGEST_JSON)
        content = json.loads(text, parse_float=_finite, parse_int=_whole, parse_constant=_finite)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise StoreError(f"{path}: not valid JSON ({error})") from error
    except RecursionError as error:
        raise StoreError(f"{path}: not valid JSON (nested too deeply)") from error
    # Other letters than ASCII are rare, and escaped where this package wrote the file.
    return content if text.isascii() and b"\\u" not in text else all_visible(content)


def read_regular(path: Path, most: int | None = None) -> bytes:
    """The content of a file of at most so many bytes; not of a pipe or a device, which may never end.

    Raises:
        OSError: it cannot be read, or is not one.
    """
    size = require_regular(path).st_size
    if most is not None and size > most:
        raise OSError(errno.EFBIG, f"{size:,} bytes; at most {most:,} are read", str(path))
    return path.read_bytes()


def require_regular(path: Path) -> os.stat_result:
    """What the system says of a file that reading comes to an end of.

    Raises:
        OSError: it is not there, or is a folder, a pipe or a device.
    """
    facts = path.stat()
    if stat.S_ISDIR(facts.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return facts


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{shortened(text)} is not a finite number")
    return value


def _whole(text: str) -> int:
    if len(text) > 19:
        raise ValueError(f"{shortened(text)} has more digits than a whole number of 64 bits")
    return int(text)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, remembered as by `sha256_files`."""
    return sha256_files([path], path.parent, named=False)


def sha256_files(
    paths: Iterable[Path | str],
    root: Path,
    *,
    named: bool = True,
    hashes: list[str] | None = None,
    states: MutableSequence[int] | None = None,
) -> str:
    """One SHA-256 over the contents of files and, where `named`, their names relative to `root`.

    The answer is remembered by the paths, inodes, sizes and both times of change of all of them: programs can
    set the one time back, but not the other. Where the files are read, `hashes` gets the hash of each;
    `states` gets the `state` of each, as it was before.
    """
    paths = list(paths)
    signature = _signature(paths, f"{named}\0{root.absolute()}", states)
    memory = cache_dir() / "fingerprints" / signature
    if (known := remembered(memory)) is not None:
        return known
    contents = [_content(path) for path in paths]
    if named:
        whole = hashlib.sha256()
        for name, content in zip(relative_names(paths, root), contents, strict=True):
            whole.update(f"{name}\0{content}\n".encode())
        value = whole.hexdigest()
    else:
        (value,) = contents
    if signature == _signature(
        paths, f"{named}\0{root.absolute()}"
    ):  # else something was written to meanwhile
        remember(memory, value)
    if hashes is not None:
        hashes += contents
    return value


def relative_names(paths: Iterable[Path | str], root: Path) -> list[str]:
    """Paths below a folder as seen from it, with slashes; of a million in a second or two.

    Raises:
        ValueError: one is not below it.
    """
    above = os.path.join(root, "")
    names = []
    for path in map(str, paths):
        if not path.startswith(above):
            raise ValueError(f"{path} is not below {root}")
        names.append(path[len(above) :])
    return names if os.sep == "/" else [name.replace(os.sep, "/") for name in names]


def remember(path: Path, text: str) -> None:
    """Keep one line of text in the cache, under a checksum."""
    write_text(path, f"{text}\n{hashlib.sha256(text.encode()).hexdigest()}\n")


def remembered(path: Path) -> str | None:
    """What was kept at `path`; None where there is nothing or it is damaged."""
    try:
        text, checksum = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ValueError):
        return None
    return text if hashlib.sha256(text.encode()).hexdigest() == checksum else None


def state(stat: os.stat_result) -> int:
    """What changes with every change of a file's content, but by a chance of 1 in 2^64."""
    return hash((stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))


def _signature(paths: Iterable[Path | str], start: str, states: MutableSequence[int] | None = None) -> str:
    """A hash of `start` and of what changes with every change of a file's content, of each file."""
    here, signature = os.getcwd(), hashlib.sha256(start.encode())
    for path in paths:
        stat = os.stat(path)
        whole = os.path.join(here, path)  # which an absolute path stays
        facts = f"\0{whole}\0{stat.st_ino} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
        signature.update(facts.encode(errors="surrogateescape"))
        if states is not None:
            states.append(state(stat))
    return signature.hexdigest()


def _content(path: Path | str) -> str:
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:  # a file object costs more than most files
            content = os.read(file, SMALL)
            if len(content) < SMALL and not os.read(file, 1):
                return hashlib.sha256(content).hexdigest()
        finally:
            os.close(file)
        with open(path, "rb") as whole:
            return hashlib.file_digest(whole, "sha256").hexdigest()
    except OSError as error:  # what fails in reading does not say of which file
        raise OSError(error.errno, error.strerror, str(path)) from error

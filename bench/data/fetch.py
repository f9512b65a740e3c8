"""Getting a dataset from its official place."""

import http.client
import socket
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.data.registry import find_module
from bench.data.verify import verify
from bench.errors import DataError, InputError

TIMEOUT_S = 10  # without an answer of the server


def fetch(
    name: str, data_dir: Path | str, *, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Download a dataset into `data_dir` with torchvision, which shows its own progress, and verify it.

    What is already there and whole is not downloaded again.

    Returns:
        as `verify`, to which `progress` goes.

    Raises:
        InputError: there is no such dataset, or nothing to download for it.
        DataError: the download failed; one line, after one attempt.
    """
    module, _ = find_module(name)
    facts = module.FACTS
    if not hasattr(module, "download"):
        raise InputError(f"{facts.name} has nothing to download: {facts.source}")
    data_dir = Path(data_dir)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with _timeout(TIMEOUT_S):
            module.download(data_dir)
    except (OSError, http.client.HTTPException, tarfile.TarError, EOFError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{facts.name}: download into {data_dir} failed ({reason}); "
            f"try again, or bring by hand: {facts.files}"
        ) from error
    return verify(name, data_dir, progress=progress)


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Sockets opened in the block give up after so long without an answer."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)

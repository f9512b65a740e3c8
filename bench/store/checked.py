"""Which records of a store were read and believed, so that asking how far a suite is need not read them all.

Only whether a job is done is taken from here. Numbers always come from the records themselves, checked.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import StoreError, warn
from bench.files import cache_dir, canonical, digest, remember, remembered

# A store of fewer records is read in a moment.
MANY = 500
Stamp = tuple[int, ...] | None


class Done(NamedTuple):
    """What a believed record says of a job: how it ended, and the checksum of its weights, if it has one."""

    outcome: str
    weights_sha256: str | None


class Checked:
    """What is done by record, each with the stamps of the record and of its predictions as they were then.

    It is kept in the cache, under a checksum, by the path of the store.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._known: dict[str, list[Any]] | None = None
        self._changed = False

    def done(self, record: str, stamps: tuple[Stamp, Stamp]) -> Done | None:
        """What a record said whose files had these stamps; None where it has to be read."""
        known = self._load().get(record, [])
        return Done(*known[2:]) if known[:2] == _plain(stamps) and len(known) == 4 else None

    def add(self, record: str, stamps: tuple[Stamp, Stamp], done: Done) -> None:
        """Note that a record was believed."""
        self._load()[record] = [*_plain(stamps), *done]
        self._changed = True

    def keep(self) -> None:
        """Write it to the cache, if it is worth it."""
        if self._changed and len(self._load()) >= MANY:
            try:
                remember(self._path, canonical(self._known))
            except StoreError as error:
                warn(f"{error}; the next command has to read all records again")
            self._changed = False

    @property
    def _path(self) -> Path:
        return cache_dir() / "checked" / digest(str(self._root))

    def _load(self) -> dict[str, list[Any]]:
        if self._known is None:
            text = remembered(self._path)
            self._known = {} if text is None else json.loads(text)
        return self._known


def _plain(stamps: tuple[Stamp, Stamp]) -> list[Any]:
    """As JSON gives them back."""
    return [None if stamp is None else list(stamp) for stamp in stamps]

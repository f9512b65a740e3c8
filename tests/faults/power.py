"""A file layer that loses what was not synced when the power goes.

Names change in their order, as in the journal of a file system, but the last changes in folders that were not
synced since may not have reached the disk: some of them are undone, and a new folder goes with what is in it.
Of a file whose content was not synced nothing is left.
"""

import os
import random
import shutil
from pathlib import Path
from unittest import mock


class Layer:
    """Watches what is written below a folder, in this process.

    Args:
        folder: what lies elsewhere is not lost.
        seed: of how many changes of names are undone.
    """

    def __init__(self, folder: Path, seed: str) -> None:
        self.folder, self.random = str(folder), random.Random(seed)
        self._kept = Path(f"{folder}-kept")
        self._dirty: set[str] = set()
        self._changes: list[tuple[str, str, str | None]] = []  # (what, path, where its old content is)
        self._copies = 0
        self._patches: list = []
        self._lost = False

    def __enter__(self) -> "Layer":
        import sys

        shutil.rmtree(self._kept, ignore_errors=True)
        self._kept.mkdir()
        fsync, replace, unlink, mkdir = os.fsync, os.replace, os.unlink, os.mkdir

        def syncing(number):
            fsync(number)
            path = os.readlink(f"/proc/self/fd/{number}")
            if os.path.isdir(path):
                self._changes = [change for change in self._changes if os.path.dirname(change[1]) != path]
            self._dirty.discard(path)

        def replacing(source, target, **options):
            source, target = os.path.abspath(source), os.path.abspath(target)
            old = self._keep(target)
            replace(source, target, **options)
            self._changes.append(("replaced", target, old))
            if source in self._dirty:
                self._dirty ^= {source}
                self._dirty.add(target)

        def unlinking(path, **options):
            full = os.path.abspath(path)
            if not options and full.startswith(self.folder) and os.path.isfile(full):
                self._changes.append(("removed", full, self._keep(full)))
            unlink(path, **options)

        def making(path, *mode, **options):
            mkdir(path, *mode, **options)
            if (full := os.path.abspath(path)).startswith(self.folder):
                self._changes.append(("made", full, None))

        patches = {"fsync": syncing, "replace": replacing, "unlink": unlinking, "mkdir": making}
        for name, patched in patches.items():
            self._patches.append(mock.patch.object(os, name, patched))
            self._patches[-1].start()
        sys.addaudithook(self._opened)
        return self

    def __exit__(self, *_) -> None:
        for patch in self._patches:
            patch.stop()

    def lose(self) -> None:
        """The power goes: nothing of this process is done after this."""
        self._lost = True
        last = self.random.randint(0, len(self._changes))
        for what, path, old in reversed(self._changes[len(self._changes) - last :]):
            if old is not None:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                shutil.copyfile(old, path)
            elif what == "made":
                shutil.rmtree(path, ignore_errors=True)
            elif what == "replaced" and os.path.exists(path):
                os.remove(path)
        for path in self._dirty:
            if os.path.isfile(path):
                os.truncate(path, 0)

    def _keep(self, path: str) -> str | None:
        if not path.startswith(self.folder) or not os.path.isfile(path):
            return None
        self._copies += 1
        kept = self._kept / str(self._copies)
        shutil.copyfile(path, kept)
        return str(kept)

    def _opened(self, event: str, arguments: tuple) -> None:
        if self._lost or event != "open" or not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            return
        path = os.path.abspath(str(arguments[0]))
        if path.startswith(self.folder):
            self._dirty.add(path)

"""Which files of a folder are images, and what is passed over on the way."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.data.images import extensions
from bench.files import relative_names

# Folders that systems put beside people's files, and small files of the same kind; those that begin with
# a dot are passed over as well.
SYSTEM_FOLDERS = {
    "@eadir", "#recycle", "#snapshot", "@recycle", "@tmp", "__macosx", "__pycache__", "$recycle.bin",
    "lost+found", "system volume information",
}  # fmt: skip
SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
NO_CLASS = "in no class folder"
LOOP = "link to a folder above it"


class Lister:
    """Lists folders, and keeps what it passes over: `skipped` has each file with its kind.

    Paths of images are text: of a million, `Path` objects would take much time and memory.

    Hidden files and folders (with a dot in front) and those of SYSTEM_FOLDERS and SYSTEM_FILES are passed
    over without being counted.
    """

    def __init__(self) -> None:
        self.skipped: list[tuple[Path, str]] = []

    @property
    def passed_over(self) -> Counter[str]:
        """The number of files that were passed over, by kind."""
        return Counter(kind for _, kind in self.skipped)

    def folders(self, folder: Path) -> list[str]:
        """Names of the folders in a folder and of links to folders, ascending; none where there is no folder.

        Raises:
            OSError: the folder cannot be read.
        """
        if not folder.is_dir():
            return []
        return sorted(
            entry.name
            for entry in _visible(folder)
            if entry.is_dir() and entry.name.lower() not in SYSTEM_FOLDERS
        )

    def images(self, folder: Path) -> list[str]:
        """The images that lie directly in a folder, in no order: regular files, and links to such, by name.

        A link that leads nowhere counts, so that whoever opens it can tell which image is missing.

        Raises:
            OSError: the folder cannot be read.
        """
        paths = []
        for entry in _visible(folder):
            if entry.is_dir() or entry.name.lower() in SYSTEM_FILES:
                continue
            if not entry.name.lower().endswith(extensions()):
                self.skipped.append(
                    (Path(entry.path), Path(entry.name).suffix.lower() or "without an ending")
                )
            elif entry.is_file() or not os.path.exists(entry.path):
                paths.append(entry.path)
            else:
                self.skipped.append((Path(entry.path), "pipe or device"))
        return paths

    def skip(self, paths: list[str], kind: str) -> None:
        """Pass over some files."""
        self.skipped += [(Path(path), kind) for path in paths]

    def classes(self, folder: Path) -> dict[str, list[str]]:
        """The images of each class folder by its name; within a class in the order of their relative names.

        Classes come in the order of their names, which are those of their folders in Unicode's composed form
        (NFC): macOS writes "é" as two characters where others write one, and means the same class.

        Raises:
            OSError: a folder cannot be read.
        """
        self.skip(self.images(folder), NO_CLASS)
        files: dict[str, list[str]] = {}
        above = [_folder_id(parent) for parent in (folder, *folder.parents)]
        for name in self.folders(folder):
            files.setdefault(unicodedata.normalize("NFC", name), []).extend(self.below(folder / name, above))
        return dict(sorted(files.items()))

    def below(self, folder: Path, above: Sequence[tuple[int, int]] = ()) -> list[str]:
        """The images in a folder and all folders in it, in the order of their relative names.

        A link back to one of `above`, or to a folder that it lies in, is not followed.

        Raises:
            OSError: a folder cannot be read.
        """
        folder_id = _folder_id(folder)
        if folder_id in above:
            self.skipped.append((folder, LOOP))
            return []
        paths = self.images(folder)
        for name in self.folders(folder):
            paths += self.below(folder / name, [*above, folder_id])
        names = relative_names(paths, folder)
        return [paths[i] for i in sorted(range(len(paths)), key=names.__getitem__)]


def in_words(passed_over: Counter[str]) -> str:
    """The counts as the end of a sentence, the most frequent kind first."""
    counts = sorted(passed_over.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {kind}" for kind, count in counts if count)


def _folder_id(folder: Path) -> tuple[int, int]:
    """What tells a folder from all others, by whatever path it was reached."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def _visible(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                yield entry

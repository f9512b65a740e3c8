"""What a report consists of, and what it was made from, by hash."""

import re
from pathlib import Path
from typing import Any

import bench
from bench.errors import InputError, StoreError
from bench.files import read_json
from bench.report.evidence import Evidence
from bench.report.literature import literature_file
from bench.store.reading import sha256

FORMAT = 1
# Folders and files as a report names them; nothing else that a manifest lists is ever removed.
SAFE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,250}")


def manifest(evidence: Evidence, folder: Path, written: list[Path]) -> dict[str, Any]:
    """SHA-256 of each file written, and of the record of each run, evaluation, profile and external model."""
    store = evidence.store
    literature = literature_file(store.root)
    return {
        "format": FORMAT,
        "vcbench": bench.__version__,
        "suite": evidence.name,
        "listing": sha256(store.listing_of(evidence.name)),
        "literature": sha256(literature) if literature else None,
        "files": {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(written)},
        "runs": store.hashes("runs", evidence.records),
        "evaluations": store.hashes("evaluations", store.evaluations_of(evidence.records)),
        "brought": store.hashes("brought", (record.id for record in store.externals())),
        "profiles": store.hashes("profiles", (profile.id for profile in evidence.profiles)),
    }


def listed_files(folder: Path) -> set[Path]:
    """The files that the manifest of an earlier rendering lists in a folder; none where it has no manifest.

    Raises:
        InputError: its MANIFEST.json is not of a report.
    """
    path = folder / "MANIFEST.json"
    if not path.exists():
        return set()
    names = read_manifest(path).get("files")
    if not isinstance(names, dict):
        raise InputError(f"{path}: not of a report; choose another --out, or remove it")
    files = {folder / name for name in names if all(map(SAFE_PART.fullmatch, name.split("/")))}
    inside = folder.resolve()
    return {file for file in files if inside in file.resolve().parents}


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a report.

    Raises:
        InputError: the file is something else.
    """
    try:
        content = read_json(path)
    except StoreError as error:
        raise InputError(f"{error}; choose another folder for the report, or remove it") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not of a report; choose another --out, or remove it")
    return content

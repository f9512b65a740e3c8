"""What a report consists of, and what it was made from, by hash."""

import hashlib
from pathlib import Path
from typing import Any

import bench
from bench.report.evidence import Evidence
from bench.report.literature import literature_file

FORMAT = 1


def manifest(evidence: Evidence, folder: Path, written: list[Path]) -> dict[str, Any]:
    """SHA-256 of each file written, and of the record of each run and profile that was used."""
    root = evidence.store.root
    profiles = sorted(profile["id"] for profile in evidence.profiles)
    literature = literature_file(root)
    return {
        "format": FORMAT,
        "vcbench": bench.__version__,
        "suite": evidence.name,
        "listing": _hash(root / "suites" / f"{evidence.name}.json"),
        "literature": _hash(literature) if literature else None,
        "files": {path.relative_to(folder).as_posix(): _hash(path) for path in sorted(written)},
        "runs": {run: _hash(root / "runs" / run / "record.json") for run in sorted(evidence.records)},
        "profiles": {run: _hash(root / "profiles" / run / "record.json") for run in profiles},
    }


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

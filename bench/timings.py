"""Timings that pytest-benchmark saved: how long the harness itself takes, read from its JSON."""

from pathlib import Path
from typing import Any

from bench.errors import InputError, StoreError
from bench.files import read_json

STATISTICS = ("median", "iqr", "rounds", "ops")


def read_timings(path: Path) -> dict[str, Any]:
    """What one file of pytest-benchmark holds.

    Returns:
        file, machine, python, commit (with "+changes" where files differed from it), date (ISO 8601, as it
        stands in the file), and benchmarks: for each its name, median_s and iqr_s (the distance between the
        quartiles) in seconds over its rounds, rounds, and ops_per_s.

    Raises:
        InputError: the file is missing or is something else.
    """
    try:
        content = read_json(path)
    except StoreError as error:
        raise InputError(str(error)) from error
    try:
        machine, commit = content["machine_info"], content["commit_info"]
        cpu = machine.get("cpu", {})
        return {
            "file": str(path),
            "machine": f"{cpu.get('brand_raw') or machine['machine']}, {cpu.get('count', 'unknown')} cores",
            "python": machine["python_version"],
            "commit": (commit.get("id") or "unknown") + ("+changes" if commit.get("dirty") else ""),
            "date": content["datetime"],
            "benchmarks": [_benchmark(entry) for entry in content["benchmarks"]],
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not a file of pytest-benchmark; save one with: nox -s perf, or pytest --benchmark-json"
        ) from error


def compared(first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    """The benchmarks that two files share, with both medians and the second's over the first's.

    Raises:
        InputError: they share none.
    """
    others = {entry["name"]: entry for entry in second["benchmarks"]}
    rows = [
        {
            "name": entry["name"],
            "median_s": entry["median_s"],
            "other_median_s": others[entry["name"]]["median_s"],
            "ratio": others[entry["name"]]["median_s"] / entry["median_s"],
        }
        for entry in first["benchmarks"]
        if entry["name"] in others
    ]
    if not rows:
        raise InputError(f"{first['file']} and {second['file']} have no benchmark in common")
    return rows


def _benchmark(entry: dict[str, Any]) -> dict[str, Any]:
    median, iqr, rounds, ops = (entry["stats"][name] for name in STATISTICS)
    return {
        "name": entry["fullname"],
        "median_s": float(median),
        "iqr_s": float(iqr),
        "rounds": int(rounds),
        "ops_per_s": float(ops),
    }

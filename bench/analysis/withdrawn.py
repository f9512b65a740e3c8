"""Trials that were stored once and taken out of a run store: withdrawn.csv in its folder, written by hand.

Their looks at the test split are counted and their results told, as whoever removed them had seen them.
"""

import csv
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import StoreError
from bench.frames import frame

WITHDRAWN = {
    "suite": "str",
    "comparison": "str",
    "contestant": "str",
    "model": "str",
    "title": "str",
    "recipe": "str",
    "precision": "str",
    "dataset": "str",
    "split_id": "str",
    "shots": "Int64",
    "draw_seed": "Int64",
    "seed": "Int64",
    "outcome": "str",
    "top1": "float64",
    "test_evaluations": "Int64",
    "finished": "str",
    "removed": "str",
    "commit": "str",
    "reason": "str",
    "run": "str",
}
"""Columns of the file: those of the accuracy table, then the day on which the trial was removed, the commit
that did it, and why."""


def read_withdrawn(path: Path) -> pd.DataFrame:
    """The withdrawn trials in a file of a run store; no rows where there is no such file.

    Raises:
        StoreError: the file cannot be read, or lacks a column.
    """
    if not path.exists():
        return frame([], WITHDRAWN)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or ()
            rows: list[dict[str, Any]] = [
                {name: value or None for name, value in row.items()} for row in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"{path}: cannot be read ({error})") from error
    if lacking := [name for name in WITHDRAWN if name not in columns]:
        raise StoreError(f"{path}: should have the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}")
    numbers = {name: int if kind == "Int64" else float for name, kind in WITHDRAWN.items() if kind != "str"}
    try:
        for row in rows:
            for name, kind in numbers.items():
                if row[name] is not None:
                    row[name] = kind(row[name])
    except ValueError as error:
        raise StoreError(f"{path}: column {name}: {row[name]!r} should be a number") from error
    return frame(rows, WITHDRAWN)

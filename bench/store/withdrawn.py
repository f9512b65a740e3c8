"""Trials that were stored once and taken out of a run store: withdrawn.csv in its folder, written by hand.

Their looks at the test split are counted and their results told, as whoever removed them had seen them.
"""

import csv
import io
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import StoreError, shortened
from bench.escape import visible
from bench.files import read_regular
from bench.store.records.base import ID

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 2**24  # bytes; one of 400 trials has 100,000
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


def read_withdrawn(path: Path) -> "pd.DataFrame":
    """The withdrawn trials in a file of a run store; no rows where there is no such file.

    Raises:
        StoreError: as `withdrawn_rows`.
    """
    from bench.frames import frame  # pandas takes a second to import

    return frame(withdrawn_rows(path), WITHDRAWN)


def withdrawn_rows(path: Path) -> list[dict[str, Any]]:
    """The same as plain data: texts with hidden characters shown, numbers, and None in gaps.

    Raises:
        StoreError: the file cannot be read, or lacks a column; a value does not fit its column.
    """
    if not path.exists():
        return []
    try:
        reader = csv.DictReader(io.StringIO(read_regular(path, LARGEST).decode("utf-8-sig"), newline=""))
        columns, rows = reader.fieldnames or (), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(f"{path}: cannot be read ({reason})") from error
    if lacking := [name for name in WITHDRAWN if name not in columns]:
        raise StoreError(f"{path}: should have the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}")
    return [{name: _value(path, name, row[name]) for name in WITHDRAWN} for row in rows]


def _value(path: Path, name: str, text: str | None) -> str | float | None:
    if not text:
        return None
    kind = WITHDRAWN[name]
    if kind == "str":
        if name == "run" and not re.fullmatch(ID, text):
            raise StoreError(f"{path}: column run: {shortened(text)!r} should be the id of a trial")
        return visible(text)
    try:
        number: float = int(text) if kind == "Int64" else float(text)
    except ValueError:
        number = math.nan
    if not -(2**63) < number < 2**63:  # as it is not of what is no number
        raise StoreError(f"{path}: column {name}: {shortened(text)!r} should be a number")
    return number

"""Frames with promised columns."""

from typing import Any

import numpy as np
import pandas as pd

from bench.errors import StoreError
from bench.escape import csv_text

TEXT = pd.Series(dtype="str").dtype
"""The dtype of a column of texts: "str" in pandas 3, object before."""


def frame(rows: list[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    """A frame with exactly `columns`, typed; what a row lacks is missing.

    Raises:
        StoreError: a row has something else in a column, as a damaged record has.
    """
    return pd.DataFrame({name: _column(rows, name, dtype) for name, dtype in columns.items()})


def _column(rows: list[dict[str, Any]], name: str, dtype: str) -> pd.Series:
    values = [row.get(name) for row in rows]
    if dtype == "str":  # pandas 2 would keep None beside the NaN of other columns
        values = [np.nan if value is None else value for value in values]
    try:
        return pd.Series(values, dtype=dtype)
    except (ValueError, TypeError, OverflowError) as error:
        owners = {
            str(row.get("run") or row.get("profile")) for row in rows if not _fits(row.get(name), dtype)
        }
        where = ", ".join(sorted(owners)[:3])
        raise StoreError(f'record of {where}: damaged: "{name}" should be {dtype} ({error})') from error


def _fits(value: Any, dtype: str) -> bool:
    try:
        pd.Series([value], dtype=dtype)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def typed(frame: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Exactly `columns` of a frame that has them, typed as by `frame`."""
    dtypes = {name: TEXT if dtype == "str" else dtype for name, dtype in columns.items()}
    return frame[list(columns)].astype(dtypes)


def for_csv(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as a CSV file has it, without texts that are formulas (see `bench.escape.csv_text`)."""
    texts = [name for name in frame if pd.api.types.is_string_dtype(frame[name].dtype)]
    return frame.assign(**{name: frame[name].map(csv_text, na_action="ignore") for name in texts})

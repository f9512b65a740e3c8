"""Frames with promised columns."""

from typing import Any

import pandas as pd

from bench.escape import csv_text


def frame(rows: list[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    """A frame with exactly `columns`, typed; what a row lacks is missing."""
    return pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=dtype) for name, dtype in columns.items()}
    )


def for_csv(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as a CSV file has it, without texts that are formulas (see `bench.escape.csv_text`)."""
    texts = [name for name in frame if pd.api.types.is_string_dtype(frame[name].dtype)]
    return frame.assign(**{name: frame[name].map(csv_text, na_action="ignore") for name in texts})

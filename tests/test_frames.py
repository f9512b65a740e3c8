"""Columns of texts are alike whichever pandas there is."""

import math

import pandas as pd

from bench.frames import TEXT, frame, typed

COLUMNS = {"name": "str", "count": "Int64"}


def test_what_a_row_lacks_is_missing():
    found = frame([{"name": "a", "count": 1}, {"name": None}, {}], COLUMNS)
    assert found.dtypes.to_dict() == {"name": TEXT, "count": pd.Int64Dtype()}
    assert [isinstance(value, float) and math.isnan(value) for value in found["name"]] == [False, True, True]
    assert found["count"].isna().tolist() == [False, True, True]


def test_typing_keeps_what_is_missing():
    loose = pd.DataFrame({"count": [1.0, None], "other": 0, "name": ["a", None]})
    found = typed(loose, COLUMNS)
    assert list(found) == ["name", "count"] and found["count"].dtype == "Int64"
    assert found.isna().to_numpy().tolist() == [[False, False], [True, True]]
    assert found.dtypes.equals(frame([], COLUMNS).dtypes)

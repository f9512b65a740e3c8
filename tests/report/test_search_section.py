"""Which searches a page shows."""

import pandas as pd
import pytest

from bench.report.sections.searches import _comparisons


@pytest.mark.parametrize(("having", "names"), [("done", ["a", "c"]), ("chosen", ["a"])])
def test_shared_and_unfinished_searches_are_not_drawn(having, names):
    """b has the jobs of a; c has one of its own and no choice yet; of d nothing is done."""
    table = pd.DataFrame(
        [
            ("a", 1, True, "x"),
            ("a", 1, False, "y"),
            ("b", 1, True, "x y"),
            ("c", 1, False, "y z"),
            ("d", 0, False, "w"),
        ],
        columns=["comparison", "done", "chosen", "runs"],
    )
    assert _comparisons(table, having)["comparison"].unique().tolist() == names

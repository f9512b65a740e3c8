"""Which searches a page shows."""

from types import SimpleNamespace

import pandas as pd
import pytest

from bench.report.sections.searches import _comparisons, _waits_for


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


@pytest.mark.parametrize(
    ("rungs", "done", "reason"),
    [
        ([0], 1, "jobs are missing"),
        ([0], 2, "rung 1 of 2 is done, and the next is not listed"),
        ([0, 1], 2, "the same search of other models is not finished"),
    ],
)
def test_why_nothing_is_chosen_is_said(rungs, done, reason):
    search = SimpleNamespace(name="a", search={"rungs": [0.2, 0.5]})
    evidence = SimpleNamespace(suite=SimpleNamespace(comparisons=[search]))
    rows = [{"comparison": "a", "rung": rung, "jobs": 2, "done": done} for rung in rungs]
    assert _waits_for(evidence, pd.DataFrame(rows)) == reason

"""Which searches a page shows."""

from types import SimpleNamespace

import pandas as pd
import pytest

from bench.report.sections.searches import _comparisons, _how, _waits_for


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


@pytest.mark.parametrize(
    ("of_b", "told"), [(6, "as many search jobs as the others (6 or 9"), (5, "differ in")]
)
def test_models_are_said_to_have_as_many_jobs_only_where_they_have(of_b, told):
    comparison = SimpleNamespace(name="c", search={})
    evidence = SimpleNamespace(
        suite=SimpleNamespace(comparisons=[comparison]), cells_of=lambda name: [], cells=[]
    )
    rows = [("a", 5, 6), ("b", 5, of_b), ("a", None, 4), ("a", None, 5), ("b", None, 9)]
    table = pd.DataFrame(rows, columns=["contestant", "shots", "jobs"]).assign(comparison="c")
    assert told in _how(evidence, table) and ("as many" in _how(evidence, table)) == (of_b == 6)

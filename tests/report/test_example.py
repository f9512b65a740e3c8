"""The verdict worked by hand, against the analysis and against scipy."""

import re

import numpy as np
import pytest
from scipy import stats

from bench.analysis.decisions import PairedScores, judge
from bench.report.sections.example import COMPARISONS, example_table, five_numbers, worked_example


def test_the_five_numbers_are_those_of_the_analysis():
    table = example_table()
    a, b = (table > 0).astype(float), (table < 0).astype(float)
    found = judge([PairedScores((a, b))], delta=0.01, comparisons=COMPARISONS)[0]
    mean, runs, images, half, p = five_numbers()
    assert (mean, mean - half, mean + half) == pytest.approx((found.estimate, found.low, found.high))
    assert np.hypot(runs, images) == pytest.approx(found.se) and p == pytest.approx(found.p_adjusted)
    assert runs == pytest.approx(stats.sem(table.mean(1)))
    assert found.verdict == "inconclusive" and found.excludes_0


def test_the_words_have_the_numbers():
    (prose,) = worked_example().blocks
    mean, runs, images, half, p = five_numbers()
    for number in (100 * runs, 100 * images, 100 * half):
        assert f"{number:.2f} points" in prose.text
    assert f"{100 * (mean - half):+.2f} to {100 * (mean + half):+.2f}" in prose.text
    assert f"(Holm): {p:.3f}" in prose.text and "this contrast is inconclusive" in prose.text
    quantiles = re.search(r"Student's t, ([0-9.]+) for three replicates and ([0-9.]+)", prose.text).groups()
    assert quantiles == (f"{stats.t.ppf(0.975, 2):.2f}", f"{stats.t.ppf(0.975, 1999):.2f}")

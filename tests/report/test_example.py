"""The verdict worked by hand, against the analysis and against a pocket calculator."""

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
    changing = np.square(table - table.mean(1)[:, None] - table.mean(0) + table.mean()).sum() / (2 * 1999)
    assert images == pytest.approx(np.sqrt((table.mean(0).var(ddof=1) - changing / 3) / 2000))
    assert half == pytest.approx(np.hypot(stats.t.ppf(0.975, 2) * runs, stats.t.ppf(0.975, 1999) * images))
    tail = p / COMPARISONS / 2
    assert mean == pytest.approx(np.hypot(stats.t.isf(tail, 2) * runs, stats.t.isf(tail, 1999) * images))
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

"""Intervals and p-values behind claims, against scipy and closed forms."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from bench.analysis.claims.uncertain import (
    Uncertain,
    difference,
    line,
    of_scores,
    of_shares,
    of_spreads,
    of_t,
    of_two_samples,
    of_values,
    pseudo_values,
)
from bench.analysis.claims.verdict import weighted_holm
from bench.analysis.decisions import contrast, holm

VALUES = np.array([0.31, 0.42, 0.36, 0.28])


def rng():
    return np.random.default_rng(3)


def inside_out(number: Uncertain):
    """The p-value is 5 % at both ends of the interval, and 1 at the number itself."""
    assert number.p(number.low) == pytest.approx(0.05, rel=1e-6)
    assert number.p(number.high) == pytest.approx(0.05, rel=1e-6)
    assert number.p(number.value) == pytest.approx(1.0)


def test_scores_are_those_of_a_contrast():
    a, b = (rng().random((2, 4, 300)) > [[[0.4]], [[0.55]]]).astype(float)
    alone, number = contrast(a, b), of_scores(a - b, False, 1.0)
    assert (number.value, number.low, number.high) == pytest.approx((alone.estimate, alone.low, alone.high))
    assert number.p(0.0) == pytest.approx(alone.p_adjusted)
    assert number.p_within(0.0, 0.01) == pytest.approx(alone.p_equivalent)
    inside_out(number)


def test_scores_without_enough_replicates():
    table = (rng().random((2, 50)) > 0.5).astype(float)
    assert of_scores(table, False, 1.0).low is None and of_scores(table, False, 1.0).p(0.0) == 1.0
    assert of_scores(table[:1], False, 1.0).low is None
    assert of_scores(table[:1], True, 1.0).low is not None


def test_values_by_student():
    number, test = of_values(VALUES), stats.ttest_1samp(VALUES, 0.3)
    assert number.p(0.3) == pytest.approx(test.pvalue)
    assert (number.low, number.high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    greater, less = (stats.ttest_1samp(VALUES, 0.3, alternative=side).pvalue for side in ("greater", "less"))
    assert (number.p_above(0.3), number.p_below(0.3)) == pytest.approx((greater, less))
    inside_out(number)
    assert of_values(VALUES[:2]).low is None and of_values([0.2, 0.2, 0.2]).p(0.0) == 1.0


def test_difference_by_welch():
    other = np.array([0.2, 0.25, 0.22])
    sides = [(v.mean(), v.std(ddof=1) / len(v) ** 0.5, len(v) - 1.0) for v in (VALUES, other)]
    number, test = difference(*sides), stats.ttest_ind(VALUES, other, equal_var=False)
    assert number.p(0.0) == pytest.approx(test.pvalue)
    assert (number.low, number.high) == pytest.approx(tuple(test.confidence_interval(0.95)))


def test_two_samples_by_welch():
    other = np.array([0.2, 0.25, 0.22])
    number, test = of_two_samples(VALUES, other), stats.ttest_ind(VALUES, other, equal_var=False)
    assert number.p(0.0) == pytest.approx(test.pvalue)
    few = of_two_samples(VALUES, other[:2])
    assert few.value == pytest.approx(VALUES.mean() - 0.225) and (few.low, few.p(0.0)) == (None, 1.0)


def test_spreads_by_f():
    other = np.array([0.2, 0.5, 0.1, 0.9, 0.4])
    number = of_spreads(VALUES, other)
    ratio = VALUES.var(ddof=1) / other.var(ddof=1)
    assert number.value == pytest.approx(0.5 * np.log(ratio))
    assert number.p(0.0) == pytest.approx(2 * min(stats.f.cdf(ratio, 3, 4), stats.f.sf(ratio, 3, 4)))
    assert of_spreads(other, VALUES).p(0.0) == pytest.approx(number.p(0.0))
    for end in (number.low, number.high):
        assert number.p(end) == pytest.approx(0.05, rel=1e-6)


def test_spreads_cover():
    """The interval of a ratio of 2 misses it in 5 % of samples."""
    draws = rng().normal(size=(2000, 2, 4)) * [[[2.0], [1.0]]]
    hit = [(n := of_spreads(a, b)).low < np.log(2) < n.high for a, b in draws]
    assert np.mean(hit) == pytest.approx(0.95, abs=0.02)


def test_shares_of_agresti_and_caffo():
    """Their example of section 3 is 1 success and 1 failure added to each of the samples."""
    number = of_shares(0, 10, 4, 10)
    a, b = 1 / 12, 5 / 12
    reach = 1.959964 * (a * (1 - a) / 12 + b * (1 - b) / 12) ** 0.5
    assert number.value == pytest.approx(-0.4)
    assert (number.low, number.high) == pytest.approx((a - b - reach, a - b + reach), rel=1e-6)
    assert of_shares(6, 6, 0, 6).high <= 1 and of_shares(1, 2, 0, 2).low is None


def test_pseudo_values_of_a_mean_are_the_scores():
    table = rng().random((4, 30))
    assert pseudo_values(lambda at: table[at].mean(0), 4) == pytest.approx(table)
    assert pseudo_values(lambda at: table[at].mean(0), 2) == pytest.approx(table[:2].mean(0)[None])


def test_pseudo_values_of_pairs_have_the_jackknifes_error():
    """Of a mean over all pairs of replicates, as averages of two networks are: their mean is that of the
    pairs, and their standard error Tukey's."""
    x = rng().normal(size=(5, 8))

    def pairs(at):
        return np.mean([x[i] * x[j] for i, j in combinations(at, 2)], 0)

    scores = pseudo_values(pairs, 5).mean(1)
    left = np.array([pairs([i for i in range(5) if i != r]).mean() for r in range(5)])
    assert scores.mean() == pytest.approx(pairs(range(5)).mean())
    assert scores.var(ddof=1) / 5 == pytest.approx(4 / 5 * ((left - left.mean()) ** 2).sum())


def closed_test(p, weights):
    """Adjusted p-values by testing every set of hypotheses, each by the weighted Bonferroni test."""
    adjusted = np.zeros(len(p))
    for size in range(1, len(p) + 1):
        for members in combinations(range(len(p)), size):
            whole = sum(weights[k] for k in members)
            least = min(1.0, min(p[k] * whole / weights[k] for k in members))
            for k in members:
                adjusted[k] = max(adjusted[k], least)
    return adjusted


@pytest.mark.parametrize("seed", range(5))
def test_weighted_holm_is_the_closed_test(seed):
    draw = np.random.default_rng(seed)
    p, weights = draw.random(6) ** 4, draw.random(6)
    weights /= weights.sum()
    assert weighted_holm(p, weights) == pytest.approx(closed_test(p, weights))
    # A test that was not made counts with a p-value of 1.
    assert weighted_holm(p[:5], weights[:5]) == pytest.approx(closed_test(np.append(p[:5], 1.0), weights)[:5])


def test_equal_weights_are_holms():
    p = rng().random(7) ** 5
    assert weighted_holm(p, np.full(7, 1 / 7)) == pytest.approx(holm(p))
    assert weighted_holm([], []).shape == (0,)


def test_line_is_scipys():
    y = [1.0, 1.7, 3.4, 3.9]
    ours, theirs = line([0, 1, 2, 4], y), stats.linregress([0, 1, 2, 4], y)
    assert ours == pytest.approx((theirs.slope, theirs.intercept, theirs.stderr))


def test_no_error_no_interval():
    assert of_t(0.5, 0.0, 3).low is None

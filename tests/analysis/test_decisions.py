"""Moderated variances, Holm's procedure and verdicts, against loops, closed forms and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from scipy.special import polygamma

from bench.analysis.decisions import (
    CAP,
    PairedScores,
    contrast,
    holm,
    judge,
    moderated,
    possible,
    prior,
    trigamma_inverse,
    verdicts,
)
from bench.analysis.statistics import Needs, Parts, p_different, parts

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def scores(seed, replicates=3, images=200, share=0.7, spread=0.05):
    """Answers of one model: replicates differ in how often they are right."""
    rng = np.random.default_rng(seed)
    own = share + rng.normal(0, spread, (replicates, 1))
    return (rng.random((replicates, images)) < own).astype(float)


def tables(number, **shape):
    return [(scores(2 * k, **shape), scores(2 * k + 1, **shape)) for k in range(number)]


def stacked(pairs):
    return Parts(*(np.array(column, float) for column in zip(*(parts(a - b) for a, b in pairs), strict=True)))


def holm_by_hand(p, m, alpha):
    """From the smallest p on: rejected until one is above alpha over how many are left."""
    rejected = [False] * len(p)
    for step, k in enumerate(sorted(range(len(p)), key=lambda k: p[k])):
        if p[k] > alpha / (m - step):
            break
        rejected[k] = True
    return rejected


@given(p_values, st.integers(0, 5), st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_a_loop_rejects(p, more, alpha):
    m = len(p) + more
    adjusted = holm(p, m)
    near = np.abs(adjusted - alpha) < 1e-12  # p times m and alpha over m may round to either side
    assert ((adjusted <= alpha) | near).tolist() == (np.array(holm_by_hand(p, m, alpha)) | near).tolist()
    assert (adjusted >= np.array(p)).all() and (adjusted <= 1).all()


def test_holm_of_a_stack_is_that_of_its_rows():
    p = np.random.default_rng(0).random((4, 6))
    np.testing.assert_array_equal(holm(p), [holm(row) for row in p])
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    with pytest.raises(ValueError, match="planned"):
        holm([0.1, 0.2], 1)


def test_trigamma_inverse():
    x = np.array([1e-3, 0.1, 1.0, 10.0, 1e4])
    np.testing.assert_allclose(polygamma(1, trigamma_inverse(x)), x, rtol=1e-6)


def test_the_prior_is_limmas():
    """As R prints fitFDist's moments: the logarithms less their mean under chi squared, their variance less
    trigamma, and d from a root search instead of Newton's method."""
    ratios = np.array([0.7, 3.1, 1.2, 9.0, 0.2])
    own = np.array([2.0, 2.0, 4.0, 9.0, 2.0])
    # E log(chi squared_k / k) by integration, which needs no digamma.
    means = [stats.chi2(k).expect(lambda x, k=k: np.log(x / k)) for k in own]
    variances = [stats.chi2(k).expect(lambda x, k=k: np.log(x / k) ** 2) for k in own]
    variances = np.array(variances) - np.square(means)
    logs = np.log(ratios) - means
    excess = logs.var(ddof=1) - variances.mean()
    half = optimize.brentq(lambda y: polygamma(1, y) - excess, 1e-3, 1e6)
    shift = stats.chi2(2 * half).expect(lambda x: np.log(x / (2 * half)))
    scale, d = prior(ratios, own)
    assert d[0] == pytest.approx(2 * half, rel=1e-5)
    assert scale[0] == pytest.approx(np.exp(logs.mean() + shift), rel=1e-5)


def test_the_prior_finds_what_made_the_ratios():
    rng = np.random.default_rng(0)
    ratios = 5 * stats.f.rvs(4, 10, size=20_000, random_state=rng)
    scale, d = prior(ratios, np.full(20_000, 4.0))
    assert (scale[0], d[0]) == (pytest.approx(5, rel=0.03), pytest.approx(10, rel=0.1))
    assert prior(np.full(200, 5.0), np.full(200, 4.0))[1] == np.inf


def test_moderation_is_a_weighted_mean_with_more_degrees_of_freedom():
    of = stacked(tables(5))
    found = moderated(of)
    scale, d = prior(of.rep / of.res, of.freedom)
    weight = np.minimum(d, CAP * 2)
    np.testing.assert_allclose(found.freedom, np.full(5, 2 + weight))
    mean = (weight * scale + 2 * of.rep / of.res) / (2 + weight)
    np.testing.assert_allclose(found.rep / of.res, np.maximum(mean, of.rep / of.res))
    raised = ~np.isclose(found.rep, of.rep)
    assert raised.any() and not raised.all()
    for name in ("estimate", "img", "res", "replicates", "images"):
        assert getattr(found, name) is getattr(of, name)


def test_a_cap_of_a_cells_own_freedom_is_the_most_a_prior_weighs():
    of = stacked([*tables(4), *tables(3, replicates=10)])
    found = moderated(of, 0.5)
    assert (found.freedom <= of.freedom * 1.5 + 1e-9).all() and (found.freedom > of.freedom).all()
    assert moderated(of, 0) is of


def test_two_cells_and_cells_without_spread_stay_as_they_are():
    two = stacked(tables(2))
    assert moderated(two) is two
    one_run = (scores(0, replicates=1), scores(1, replicates=1))
    mixed = stacked([*tables(3), one_run])
    found = moderated(mixed)
    assert found.rep[3] == 0 and found.freedom[3] == 1
    np.testing.assert_allclose(found.rep[:3], moderated(stacked(tables(3))).rep)
    few = stacked([*tables(2), one_run])
    np.testing.assert_array_equal(moderated(few).rep, few.rep)


def test_a_cells_verdict_does_not_depend_on_its_place():
    pairs = tables(5)
    of, turned = moderated(stacked(pairs)), moderated(stacked(pairs[::-1]))
    np.testing.assert_allclose(of.rep, turned.rep[::-1])


@pytest.mark.parametrize(
    ("estimate", "p", "q", "word"),
    [
        (0.1, 0.04, 0.9, "better"),
        (-0.1, 0.05, 0.9, "worse"),
        (0.002, 0.04, 0.01, "better"),
        (0.002, 0.06, 0.05, "equivalent"),
        (0.002, 0.06, 0.06, "inconclusive"),
        (0.0, 0.01, 0.9, "inconclusive"),
    ],
)
def test_verdicts(estimate, p, q, word):
    assert verdicts(np.array(estimate), np.array(p), np.array(q)) == word


def test_a_suite_is_judged_by_holm_over_what_was_planned():
    cells = [PairedScores(pair, "one") for pair in tables(4, share=0.7)]
    cells.append(PairedScores((scores(98, share=0.9, spread=0), scores(99, share=0.6, spread=0)), "one"))
    of = moderated(stacked([cell.scores for cell in cells]))
    found = judge(cells, delta=0.01, comparisons=9)
    np.testing.assert_allclose([c.p_adjusted for c in found], holm(p_different(of), 9))
    assert [c.comparisons for c in found] == [9] * 5 and found[-1].verdict == "better"
    assert {c.verdict for c in found[:-1]} == {"inconclusive"}


def test_the_printed_interval_does_not_know_how_many_were_tried():
    few, many = (
        judge([PairedScores(pair) for pair in tables(4)], delta=0.01, comparisons=m) for m in (4, 40)
    )
    assert [(c.low, c.high) for c in few] == [(c.low, c.high) for c in many]
    assert all(a.p_adjusted <= b.p_adjusted for a, b in zip(few, many, strict=True))


def test_only_cells_of_one_group_are_moderated_together():
    pairs = tables(6)
    together = judge([PairedScores(pair, "a") for pair in pairs[:3]], delta=0.01)
    apart = judge([PairedScores(pair, "ab"[k > 2]) for k, pair in enumerate(pairs)], delta=0.01)
    assert [(c.low, c.high) for c in apart[:3]] == [(c.low, c.high) for c in together]
    alone = judge([PairedScores(pair, k) for k, pair in enumerate(pairs)], delta=0.01)
    assert alone[0].low != apart[0].low and alone[0].low == contrast(*pairs[0]).low


def test_exploratory_cells_have_intervals_and_no_verdict():
    far = (scores(1, share=0.9, spread=0), scores(2, share=0.2, spread=0))
    (found,) = judge([PairedScores(far)], delta=0.01, comparisons=0)
    assert found.verdict == "none" and found.p_adjusted is None and found.low > 0.5
    assert found.excludes_0


def test_a_deterministic_cell_is_judged_over_images_and_too_few_runs_are_not():
    a, b = scores(1, replicates=1, share=0.9), scores(2, replicates=1, share=0.6)
    run, lone, pair = judge(
        [
            PairedScores((a, b), deterministic=True),
            PairedScores((a, b)),
            PairedScores((np.ones((2, 9)), np.zeros((2, 9)))),
        ],
        delta=0.01,
    )
    expected = stats.ttest_rel(a[0], b[0])
    assert (run.verdict, run.images_only, run.comparisons) == ("better", True, 1)
    assert (run.low, run.high) == pytest.approx(expected.confidence_interval(0.95))
    assert run.p_adjusted == pytest.approx(expected.pvalue)
    assert lone.verdict == pair.verdict == "none" and lone.low is None and not lone.images_only


def test_no_interval_leaves_the_possible_range():
    a = np.repeat([[0.0], [0.5], [1.0]], 40, 1)
    b = np.full((3, 40), 0.9)
    found = contrast(a, b)
    assert found.estimate == pytest.approx(-0.4) and (found.low, found.high) == pytest.approx((-0.9, 0.5))
    assert found.half_width == pytest.approx(0.7)


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_possible_range_holds_the_estimate(a, b):
    low, high = possible(np.float64(-2), np.float64(2), np.float64(a), np.float64(b))
    assert low <= a - b <= high and low >= -1 and high <= 1


def test_nothing_to_judge():
    assert judge([], delta=0.01) == []


def test_what_would_decide_decides():
    """Scores made again with as many replicates as it asks for, at the same spread, get a verdict."""
    rng = np.random.default_rng(3)
    runs = np.array([-0.05, 0.05, 0.0])

    def made(replicates, images):
        own = np.resize(runs, replicates) + 0.06
        return (rng.random((replicates, images)) < 0.5 + own[:, None]).astype(float), (
            rng.random((replicates, images)) < 0.5
        ).astype(float)

    (few,) = judge([PairedScores(made(3, 2000))], delta=0.01)
    assert few.verdict == "inconclusive" and few.needs.replicates > 3
    (more,) = judge([PairedScores(made(few.needs.replicates + 2, 2000))], delta=0.01)
    assert more.verdict == "better"


def test_what_would_decide_says_which_verdict():
    """Of a small difference fewer images tell that it is small than which of the two is better."""
    place, found = np.arange(4000)[None], {}
    for more in (8, 120):  # images that only the first has right, of 2000 on which the two differ
        a, b = place < 1000 + more // 2, (place >= 1000 + more // 2) & (place < 2000)
        (one,) = judge([PairedScores((1.0 * a, 1.0 * b), deterministic=True)], delta=0.01, comparisons=20)
        assert one.verdict == "inconclusive" and one.needs.images > 4000
        found[more] = one.needs.equivalent
    assert found == {8: True, 120: False}


def test_one_run_needs_images_and_a_tie_needs_more_than_there_are():
    place = np.arange(400)[None]
    a, b = ((place < 60).astype(float), (place >= 355).astype(float))
    (one,) = judge([PairedScores((a, b), deterministic=True)], delta=0.01)
    # The interval ends at 0 where 1.96 standard errors are the difference of 15 images in 400.
    expected = (stats.norm.ppf(0.975) * (a - b).std() / (15 / 400)) ** 2
    assert one.needs.replicates is None and one.needs.images == pytest.approx(expected, rel=0.05)
    wide = np.repeat([[0.0], [1.0], [0.5]], 50, 1)
    (tie,) = judge([PairedScores((wide, np.full((3, 50), 0.5)))], delta=0.001)
    assert tie.needs == Needs()

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from bench.analysis.efficiency import (
    Curve,
    area,
    area_scores,
    crossover,
    curve,
    generalisation_gap,
    images_needed,
    learning_rate_sensitivity,
    power_law,
)
from bench.analysis.statistics import Contrast, Estimate, mean_interval

SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)


def point(estimate, half=0.02):
    ends = (None, None) if half is None else (estimate - half, estimate + half)
    return Estimate(estimate, *ends, half, half, 5, 100)


def line(*estimates, half=0.02, sizes=SIZES):
    return Curve(sizes[: len(estimates)], tuple(point(e, half) for e in estimates))


def contrasts(*estimates, half=0.02, delta=0.03):
    declared = {"delta": delta, "alpha": 0.05, "comparisons": 6}
    low, high = np.subtract(estimates, half), np.add(estimates, half)
    within = (low > -delta) & (high < delta)
    words = ["better", "worse", "equivalent"]
    verdict = np.select([low > 0, high < 0, within], words, "inconclusive").tolist()
    return [
        Contrast(**vars(point(e, half)), verdict=v, **declared)
        for e, v in zip(estimates, verdict, strict=True)
    ]


def random_scores(seed=0, replicates=4, images=50, sizes=SIZES):
    rng = np.random.default_rng(seed)
    accuracy = np.linspace(0.3, 0.8, len(sizes))
    tables = (rng.random((replicates, images)) < p for p in accuracy)
    return dict(zip(sizes, tables, strict=True))


def test_a_curve_has_the_plain_interval_of_each_size():
    scores = random_scores()
    found = curve(dict(reversed(scores.items())))
    assert found.sizes == SIZES
    assert found.points[2] == mean_interval(scores[5.0])
    assert curve(scores, alpha=0.2).points[2] == mean_interval(scores[5.0], alpha=0.2)
    np.testing.assert_allclose(found.estimate, [table.mean() for table in scores.values()])


def test_a_curve_with_two_replicates_has_no_band():
    found = curve(random_scores(replicates=2))
    assert np.isnan(found.low).all() and np.isnan(found.high).all()
    needed = images_needed(found, 0.5)
    assert (needed.status, needed.low, needed.high) == ("inconclusive", None, None)
    assert needed.point is not None


@given(st.floats(0.1, 0.3), st.floats(0, 0.1))
def test_the_area_of_a_line_is_its_middle(start, slope):
    values = start + slope * np.log2(SIZES)
    scores = {n: np.full((3, 4), v) for n, v in zip(SIZES, values, strict=True)}
    np.testing.assert_allclose(area_scores(scores), (values[0] + values[-1]) / 2)


def test_the_area_is_the_trapezoidal_rule_of_the_curve():
    scores = random_scores()
    x = np.log2(SIZES)
    expected = np.trapezoid([scores[n].mean() for n in SIZES], x) / (x[-1] - x[0])
    found = area(scores)
    assert found.estimate == pytest.approx(expected)
    assert found.low < found.estimate < found.high
    by_replicate = [np.trapezoid([scores[n][r].mean() for n in SIZES], x) / (x[-1] - x[0]) for r in range(4)]
    np.testing.assert_allclose(area_scores(scores).mean(1), by_replicate)


def test_the_area_is_measured_over_one_kind_of_table():
    scores = random_scores()
    with pytest.raises(ValueError):
        area({1.0: scores[1.0]})
    with pytest.raises(ValueError):
        area(scores | {50.0: scores[50.0][:3]})
    with pytest.raises(ValueError):
        area({0: scores[1.0], 1: scores[1.0]})


def test_images_needed_inverts_the_band():
    measured = line(0.30, 0.40, 0.50, 0.60, 0.70, 0.80)
    needed = images_needed(measured, 0.55)
    assert (needed.status, needed.low, needed.high) == ("reached", 5.0, 10.0)
    assert needed.point == pytest.approx(np.sqrt(50))
    exact = images_needed(measured, 0.50)
    assert (exact.low, exact.high, exact.point) == (2.0, 10.0, pytest.approx(5.0))


def test_images_needed_beyond_either_end():
    measured = line(0.30, 0.40, 0.50)
    above = images_needed(measured, 0.6)
    assert (above.status, above.low, above.high, above.point) == ("not reached", 5.0, None, None)
    below = images_needed(measured, 0.2)
    assert (below.status, below.low, below.high, below.point) == ("reached", None, 1.0, None)
    near = images_needed(measured, 0.51)
    assert (near.status, near.low, near.high, near.point) == ("inconclusive", 2.0, None, None)
    only_just = images_needed(measured, 0.49)
    assert (only_just.status, only_just.low, only_just.high) == ("inconclusive", 2.0, None)
    assert only_just.point == pytest.approx(2 * 2.5**0.9)


def test_what_the_largest_size_does_not_reach_is_not_reached():
    """However wide the band is at a smaller size, or without an interval there, as more data do not hurt."""
    wide = Curve((1.0, 2.0, 5.0), (point(0.2), point(0.4, 0.3), point(0.5)))
    alone = Curve((1.0, 2.0, 5.0), (point(0.2), point(0.4, None), point(0.5)))
    for measured in (wide, alone):
        needed = images_needed(measured, 0.6)
        assert (needed.status, needed.low, needed.high) == ("not reached", 5.0, None)


def test_images_needed_of_a_curve_that_falls():
    assert images_needed(line(0.3, 0.5, 0.3, 0.5), 0.4).status == "inconclusive"
    wobble = images_needed(line(0.30, 0.41, 0.39, 0.37, 0.50), 0.4)
    assert (wobble.low, wobble.high) == (10.0, 20.0) and 10 < wobble.point < 20


@given(st.lists(st.floats(0.05, 0.95), min_size=2, max_size=6), st.floats(0, 1), st.floats(0.001, 0.2))
def test_images_needed_holds_the_truth_whenever_the_band_does(values, target, half):
    """For any rising truth inside the band: here the lowest and the highest one that the band allows."""
    measured = line(*sorted(values), half=half)
    sizes = np.array(measured.sizes)
    needed = images_needed(measured, target)
    for truth in (measured.low, measured.high):
        reached = np.flatnonzero(truth >= target)
        at = sizes[reached[0]] if len(reached) else np.inf
        assert (needed.low or 0) < at
        assert needed.high is None or truth is measured.high or at <= needed.high


def test_a_crossover_is_claimed_between_the_verdicts_around_it():
    found = crossover(SIZES, contrasts(0.10, 0.06, 0.01, -0.01, -0.05, -0.10))
    assert found.status == "crossover"
    (crossing,) = found.crossings
    assert (crossing.low, crossing.high, crossing.leader) == (2.0, 20.0, "a")
    assert crossing.point == pytest.approx(np.sqrt(50))
    (reverse,) = crossover(SIZES, contrasts(-0.10, -0.06, -0.01, 0.01, 0.05, 0.10)).crossings
    assert (reverse.low, reverse.high, reverse.leader) == (2.0, 20.0, "b")
    assert reverse.point == pytest.approx(crossing.point)


def test_a_measured_tie_is_the_point():
    (crossing,) = crossover(SIZES[:3], contrasts(0.10, 0.0, -0.10)).crossings
    assert crossing.point == 2.0


def test_of_three_zeros_the_middle_one_is_the_point():
    (crossing,) = crossover(SIZES[:4], contrasts(0.10, -0.01, 0.01, -0.10)).crossings
    assert crossing.point == pytest.approx(np.sqrt(10))


def test_a_second_change_is_a_second_crossing():
    found = crossover(SIZES[:3], contrasts(0.1, -0.1, 0.1))
    assert [c.leader for c in found.crossings] == ["a", "b"]


@pytest.mark.parametrize(
    ("estimates", "half", "status"),
    [
        ((0.1, 0.1, 0.0), 0.02, "none in the measured range"),
        ((0.0, 0.0, 0.0), 0.02, "none in the measured range"),
        ((0.1, 0.1, 0.02), 0.02, "inconclusive"),
        ((0.1, 0.05, -0.04), 0.045, "inconclusive"),
    ],
)
def test_no_crossover(estimates, half, status):
    found = crossover(SIZES[:3], contrasts(*estimates, half=half))
    assert (found.status, found.crossings) == (status, ())


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=6))
def test_crossover_is_symmetric_and_its_point_lies_in_its_interval(estimates):
    sizes = SIZES[: len(estimates)]
    one = crossover(sizes, contrasts(*estimates))
    other = crossover(sizes, contrasts(*(-e for e in estimates)))
    assert one.status == other.status and len(one.crossings) == len(other.crossings)
    for a, b in zip(one.crossings, other.crossings, strict=True):
        assert a.low <= a.point <= a.high
        assert (a.low, a.high, a.leader == "a") == (b.low, b.high, b.leader == "b")
        assert a.point == pytest.approx(b.point)


def test_crossover_needs_rising_sizes_and_a_contrast_each():
    with pytest.raises(ValueError):
        crossover((2.0, 1.0), contrasts(0.1, 0.1))
    with pytest.raises(ValueError):
        crossover((1.0, 2.0), contrasts(0.1))


@pytest.mark.parametrize(("a", "b", "c"), [(0.6, 0.5, 0.1), (0.5, 1.2, 0.0), (0.4, 0.3, 0.2)])
def test_power_law_recovers_an_exact_one(a, b, c):
    measured = line(*(1 - (a * n**-b + c) for n in SIZES))
    law = power_law(measured)
    assert (law.a, law.b, law.c) == pytest.approx((a, b, c), rel=1e-4, abs=1e-5)
    assert law.predicted == pytest.approx(law.observed)
    assert law.holds and (law.smallest, law.held_out, law.limit) == (1.0, 50.0, 100.0)
    assert law.error([1, 100]) == pytest.approx([a + c, a * 100**-b + c], rel=1e-4)


def test_power_law_is_the_least_squares_fit_of_scipy():
    noise = np.random.default_rng(3).normal(0, 0.01, 5)
    measured = line(*(1 - (0.6 * np.array(SIZES[:-1]) ** -0.5 + 0.1 + noise)), 0.8)
    law = power_law(measured)
    (a, b, c), _ = curve_fit(
        lambda n, a, b, c: a * n**-b + c, SIZES[:-1], 1 - measured.estimate[:-1], p0=(0.5, 0.6, 0.1)
    )
    assert (law.a, law.b, law.c) == pytest.approx((a, b, c), rel=1e-3)


def test_power_law_is_judged_on_the_size_it_has_not_seen():
    values = [1 - (0.6 * n**-0.5 + 0.1) for n in SIZES]
    off = power_law(line(*values[:-1], values[-1] + 0.05))
    assert off.predicted == pytest.approx(values[-1], abs=1e-5)
    assert off.holds is False
    assert power_law(line(*values, half=None)).holds is None


def test_power_law_speaks_for_its_range_only():
    values = [1 - (0.6 * n**-0.5 + 0.1) for n in SIZES]
    assert power_law(line(*values[:4])) is None
    assert power_law(line(*values[:5])) is not None
    law = power_law(line(*values))
    for size in (0.5, 101):
        with pytest.raises(ValueError):
            law.error(size)


def test_power_law_of_a_flat_curve():
    law = power_law(line(*[0.4] * 6))
    assert law.predicted == pytest.approx(0.4, abs=1e-6)


def test_generalisation_gap():
    np.testing.assert_allclose(generalisation_gap([1.0, 0.9], [0.7, 0.8]), [0.3, 0.1])
    with pytest.raises(ValueError):
        generalisation_gap([1.0], [0.7, 0.8])


def test_learning_rate_sensitivity_is_read_off_the_log_axis():
    rates, scores = [1e-2, 1e-4, 1e-3, 1e-5, 1e-1], [0.78, 0.78, 0.80, 0.5, 0.1]
    found = learning_rate_sensitivity(rates, scores, delta=0.01)
    assert (found.best_rate, found.best) == (pytest.approx(1e-3), 0.80)
    assert (found.low, found.high) == (pytest.approx(10**-3.5), pytest.approx(10**-2.5))
    assert found.decades == pytest.approx(1.0) and found.bounded


def test_learning_rate_sensitivity_at_the_end_of_the_grid_is_a_lower_bound():
    found = learning_rate_sensitivity([1e-4, 1e-3, 1e-2], [0.795, 0.80, 0.60], delta=0.01)
    assert found.low == pytest.approx(1e-4) and not found.bounded
    rising = learning_rate_sensitivity([1e-4, 1e-3], [0.5, 0.8])
    assert rising.high == pytest.approx(1e-3) and not rising.bounded
    alone = learning_rate_sensitivity([1e-3], [0.5])
    assert alone.decades == 0 and not alone.bounded


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7), st.floats(0.001, 0.3))
def test_learning_rate_sensitivity_agrees_with_a_fine_grid(scores, delta):
    x = np.arange(len(scores)) / 2 - 4
    found = learning_rate_sensitivity(10**x, scores, delta)
    fine = np.linspace(np.log10(found.low), np.log10(found.high), 50)
    assert (np.interp(fine, x, scores) >= max(scores) - delta - 1e-9).all()
    assert found.low <= found.best_rate * 1.000001 and found.best_rate <= found.high * 1.000001


def test_learning_rates_are_distinct_and_have_a_score_each():
    for rates, scores in [([1e-3, 1e-3], [0.5, 0.6]), ([1e-3], [0.5, 0.6]), ([0.0, 1.0], [0.5, 0.6])]:
        with pytest.raises(ValueError):
            learning_rate_sensitivity(rates, scores)

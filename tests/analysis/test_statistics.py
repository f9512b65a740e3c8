from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import balanced_accuracy_score

from bench.analysis.decisions import contrast
from bench.analysis.statistics import (
    bootstrap_per_class,
    chance_scores,
    ends,
    half_width,
    mcnemar,
    mean_interval,
    mean_squares,
    p_different,
    p_equivalent,
    parts,
    wilson,
)

shapes = st.tuples(st.integers(3, 6), st.integers(2, 12))
scores = shapes.flatmap(lambda shape: arrays(np.int8, shape, elements=st.integers(0, 1)))
pairs = shapes.flatmap(
    lambda shape: st.tuples(*[arrays(np.int8, shape, elements=st.integers(0, 1))] * 2),
)


def brute_force_anova(table):
    """The sums of squares by loops over every entry, as in a textbook."""
    replicates, images = table.shape
    grand = sum(map(float, table.ravel())) / table.size
    rep = [sum(table[r]) / images for r in range(replicates)]
    img = [sum(table[:, i]) / replicates for i in range(images)]
    residual = sum(
        (table[r, i] - rep[r] - img[i] + grand) ** 2 for r in range(replicates) for i in range(images)
    )
    return (
        images * sum((x - grand) ** 2 for x in rep) / (replicates - 1),
        replicates * sum((x - grand) ** 2 for x in img) / (images - 1),
        residual / ((replicates - 1) * (images - 1)),
    )


def random_table(seed, replicates=4, images=30):
    rng = np.random.default_rng(seed)
    effects = rng.normal(0, 0.1, (replicates, 1)) + rng.normal(0, 0.2, (1, images))
    return np.clip(effects + rng.normal(0, 0.2, (replicates, images)), -1, 1)


@pytest.mark.parametrize("seed", range(5))
def test_mean_squares_match_a_brute_force_anova(seed):
    table = random_table(seed)
    np.testing.assert_allclose(mean_squares(table), brute_force_anova(table))
    stack = np.stack([random_table(s) for s in range(3)])
    np.testing.assert_allclose(np.array(mean_squares(stack))[:, 1], brute_force_anova(stack[1]))


@pytest.mark.parametrize("seed", range(20))
def test_an_interval_is_howes_formula(seed):
    table = random_table(seed, replicates=3 + seed % 4)
    replicates, images = table.shape
    rep, img, res = brute_force_anova(table)
    se = np.sqrt((max(rep, res) + max(img - res, 0)) / table.size)

    def reach(part, df):
        return stats.t.interval(1 - 0.1, df, 0, np.sqrt(part / table.size))[1]

    over_replicates = max(reach(rep, replicates - 1), reach(res, (replicates - 1) * (images - 1)))
    half = np.hypot(over_replicates, reach(max(img - res, 0), images - 1))
    of = parts(table)
    np.testing.assert_allclose(
        [of.estimate, of.se, *ends(of, 0.1)], [table.mean(), se, table.mean() - half, table.mean() + half]
    )


@pytest.mark.parametrize("seed", range(10))
def test_a_p_value_is_the_level_whose_interval_ends_at_0(seed):
    of = parts(random_table(seed))
    p = float(p_different(of))
    low, high = ends(of, p)
    assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-9) and 0 < p < 1


@pytest.mark.parametrize("seed", range(10))
def test_equivalence_is_two_one_sided_tests(seed):
    """An interval of level 1 - 2 p reaches to delta on the nearer side."""
    of = parts(random_table(seed))
    p = float(p_equivalent(of, 0.3))
    reach = float(half_width(of, p))
    assert 0 < p < 0.5 and abs(of.estimate) + reach == pytest.approx(0.3)


def test_beyond_delta_an_equivalence_is_less_likely_than_not():
    of = parts(random_table(1) / 4 + 0.5)
    assert 0.5 < p_equivalent(of, 0.4) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_one_deterministic_run_has_the_paired_t_test_over_images(seed):
    """And two one-sided ones for equivalence, both scipy's."""
    rng = np.random.default_rng(seed)
    a, b = (rng.random((1, 300)) < p for p in (0.75, 0.72))
    table = a.astype(float) - b
    of = parts(table)
    expected = stats.ttest_rel(a[0].astype(float), b[0].astype(float))
    assert p_different(of) == pytest.approx(expected.pvalue)
    assert ends(of) == pytest.approx(expected.confidence_interval(0.95))
    below = stats.ttest_1samp(table[0], 0.1, alternative="less").pvalue
    above = stats.ttest_1samp(table[0], -0.1, alternative="greater").pvalue
    assert p_equivalent(of, 0.1) == pytest.approx(max(below, above))


def test_one_run_is_deterministic_and_two_are_too_few():
    assert parts(np.ones((1, 5))).flat
    with pytest.raises(ValueError, match="3 replicates"):
        parts(np.ones((2, 5)))


def test_without_variation_the_p_value_is_that_no_image_shows_it():
    """All 20 images alike: 1 / (1 + d) of all of them would have to be, and p is twice the chance of it."""
    of = parts(np.full((3, 20), 0.25))
    low, _ = ends(of, float(p_different(of)))
    assert low == pytest.approx(0, abs=1e-12)
    assert p_different(parts(np.zeros((3, 20)))) == 1
    none = parts(np.zeros((3, 600)))
    assert p_equivalent(none, 0.01) == pytest.approx(0.99**600)


@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
def test_normal_effects_are_missed_no_more_often_than_stated(spread):
    """Spreads over replicates that are nothing, small and large beside those over images; with estimated
    degrees of freedom the last are missed three times as often as stated."""
    rng = np.random.default_rng(0)
    suites, replicates, images = 4000, 3, 60
    tables = rng.normal(0, 0.01, (suites, replicates, images)) + rng.normal(0, 0.02, (suites, 1, images))
    tables += rng.normal(0, spread * 0.02 / np.sqrt(images), (suites, replicates, 1))
    stated = 0.05 / 6
    low, high = ends(parts(tables), stated)
    missed = ((low > 0) | (high < 0)).mean()
    assert missed <= stated + 3 * np.sqrt(stated * (1 - stated) / suites)
    assert (p_different(parts(tables[:200])) < stated).tolist() == ((low > 0) | (high < 0))[:200].tolist()


def test_both_floors_are_met_by_these_tables():
    """Without them the comparison above would not test them."""
    found = [brute_force_anova(random_table(seed, images=5)) for seed in range(40)]
    assert any(rep < res for rep, _, res in found) and any(img < res for _, img, res in found)


def test_with_replicate_effects_alone_it_is_the_t_interval_over_replicates():
    means = np.array([0.01, 0.03, -0.02, 0.05])
    of = parts(np.repeat(means[:, None], 50, 1))
    expected = stats.ttest_1samp(means, 0)
    np.testing.assert_allclose(ends(of), expected.confidence_interval(0.95))
    assert p_different(of) == pytest.approx(expected.pvalue)


def test_with_image_effects_alone_it_is_the_t_interval_over_images():
    images = np.random.default_rng(0).choice([-1, 0, 1], 80)
    of = parts(np.repeat(images[None], 5, 0))
    np.testing.assert_allclose(ends(of), stats.ttest_1samp(images, 0).confidence_interval(0.95))


@pytest.mark.parametrize("replicates", [1, 2])
def test_fewer_than_three_replicates_give_no_interval_and_no_verdict(replicates):
    found = contrast(np.ones((replicates, 100)), np.zeros((replicates, 100)))
    assert (found.estimate, found.verdict) == (1.0, "none")
    assert {found.low, found.high, found.half_width, found.se} == {None}
    assert mean_interval(np.ones((replicates, 100))).low is None


def test_one_image_gives_no_verdict():
    assert contrast([[1.0], [0.0], [1.0]], [[0.0]] * 3).verdict == "none"


def test_without_any_variation_the_width_follows_from_the_number_of_images():
    few, many = (contrast(np.zeros((3, n)), np.zeros((3, n))) for n in (20, 6149))
    assert (few.verdict, many.verdict) == ("inconclusive", "equivalent")
    unseen = stats.binomtest(0, 20).proportion_ci(0.95, method="exact").high
    assert (few.low, few.high) == pytest.approx((-unseen, unseen))
    always = contrast(np.ones((3, 20)), np.zeros((3, 20)))
    assert (always.low, always.high, always.verdict) == (pytest.approx(1 - 2 * unseen), 1.0, "better")


def test_a_diverged_trial_is_a_row_at_chance_and_widens_the_interval():
    a = np.random.default_rng(0).random((5, 500)) < 0.8
    b = np.random.default_rng(1).random((5, 500)) < 0.8
    lost = a.astype(float)
    lost[2] = chance_scores(10, 500)
    assert set(lost[2]) == {0.1}
    assert contrast(lost, b).half_width > 5 * contrast(a, b).half_width
    assert contrast(lost, b).estimate == pytest.approx(contrast(a, b).estimate + (0.1 - a[2].mean()) / 5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: contrast(np.zeros((3, 4)), np.zeros((3, 5))),
        lambda: contrast(np.zeros(5), np.zeros(5)),
        lambda: contrast(np.full((3, 4), np.nan), np.zeros((3, 4))),
        lambda: contrast(np.full((3, 4), 2.0), np.full((3, 4), 1.5)),
        lambda: contrast(np.zeros((2, 4)), np.full((2, 4), -0.5)),
        lambda: contrast(np.zeros((3, 4)), np.zeros((3, 4)), alpha=0),
        lambda: contrast(np.zeros((3, 4)), np.zeros((3, 4)), delta=0),
        lambda: mean_interval(np.full((3, 4), -0.5)),
        lambda: parts(np.zeros((0, 4))),
        lambda: parts(np.zeros((3, 1))),
        lambda: mean_squares(np.zeros((1, 4))),
        lambda: chance_scores(0, 4),
        lambda: wilson(3, 2),
        lambda: bootstrap_per_class([True], [0, 1]),
        lambda: mcnemar([True], [True, False]),
    ],
)
def test_what_cannot_be_analysed_is_refused(call):
    with pytest.raises(ValueError):
        call()


@given(pairs)
def test_swapping_the_models_swaps_the_claim(pair):
    one, other = contrast(*pair), contrast(*pair[::-1])
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-12)
    assert one.verdict == {"better": "worse", "worse": "better"}.get(other.verdict, other.verdict)


@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_replicates_and_of_images_does_not_matter(pair, random):
    rows, columns = (random.sample(range(n), n) for n in pair[0].shape)
    one, other = contrast(*pair), contrast(*(table[rows][:, columns] for table in pair))
    assert (one.low, one.high, one.se) == pytest.approx((other.low, other.high, other.se), abs=1e-12)


@given(pairs, st.floats(-1, 1))
def test_a_shift_of_all_differences_shifts_the_interval(pair, shift):
    table = (pair[0].astype(float) - pair[1]) / 2
    one, other = parts(table), parts(table + shift / 2)
    assert other.se == pytest.approx(float(one.se), abs=1e-9)
    assert other.estimate == pytest.approx(float(one.estimate) + shift / 2)
    if one.se > 0:
        assert ends(other) == pytest.approx(np.array(ends(one)) + shift / 2, abs=1e-9)


@given(pairs, st.floats(0.001, 1), st.floats(1, 10))
def test_a_larger_delta_never_takes_an_equivalence_back(pair, delta, factor):
    narrow, wide = (contrast(*pair, delta=d).verdict for d in (delta, delta * factor))
    assert narrow == wide or (narrow, wide) == ("inconclusive", "equivalent")


@given(scores)
def test_the_interval_of_an_accuracy_stays_between_0_and_1(table):
    found = mean_interval(table)
    assert 0 <= found.low <= found.estimate + 1e-12 and found.estimate - 1e-12 <= found.high <= 1


def test_the_interval_of_an_accuracy_is_a_95_percent_one():
    table = np.random.default_rng(0).integers(0, 2, (4, 50))
    assert mean_interval(table) == mean_interval(table, alpha=0.05) != mean_interval(table, alpha=0.1)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (3, 7), (5800, 6149), (1, 1)])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_wilson_solves_the_score_equation(k, n, alpha):
    """Wilson, 1927: its ends are the shares p at which |k / n - p| is z standard errors of p."""
    z = stats.norm.isf(alpha / 2)
    ends = np.roots([1 + z**2 / n, -(2 * k / n + z**2 / n), (k / n) ** 2])
    assert wilson(k, n, alpha=alpha) == pytest.approx(sorted(ends.real), abs=1e-9)


def test_bootstrap_matches_resampling_image_by_image():
    rng = np.random.default_rng(0)
    labels = rng.choice(4, 200, p=[0.1, 0.2, 0.3, 0.4])
    correct = rng.random(200) < np.array([0.5, 0.9, 0.7, 1.0])[labels]
    mean, low, high = bootstrap_per_class(correct, labels, draws=20_000, seed=1)
    assert mean == pytest.approx(balanced_accuracy_score(labels, np.where(correct, labels, labels + 1)))
    groups = [correct[labels == c] for c in range(4)]
    brute = [np.mean([rng.choice(g, g.size).mean() for g in groups]) for _ in range(4000)]
    assert (low, high) == pytest.approx(np.quantile(brute, [0.025, 0.975]), abs=0.01)
    assert bootstrap_per_class(correct, labels, draws=20_000, seed=1) == (mean, low, high)


def test_bootstrap_of_one_class_has_the_quantiles_of_a_binomial():
    n, alpha = 10_000, 0.1
    _, low, high = bootstrap_per_class([True, False] * (n // 2), [0] * n, draws=40_000, alpha=alpha)
    ends = stats.binom(n, 0.5).ppf([alpha / 2, 1 - alpha / 2]) / n
    # A quantile of 40,000 draws is known to about a hundredth of their standard deviation of 50 images.
    np.testing.assert_allclose([low, high], ends, atol=3 * 0.011 * 50 / n)


@settings(max_examples=50)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 5))
def test_mcnemar_counts_how_many_ways_are_as_uneven(only_a, only_b, both):
    a = np.repeat([True, False, True], [only_a, only_b, both])
    b = np.repeat([False, True, True], [only_a, only_b, both])
    found = mcnemar(a, b)
    assert (found.only_a, found.only_b) == (only_a, only_b)
    n = only_a + only_b
    ways = sum(comb(n, k) for k in range(n + 1) if abs(n - 2 * k) >= abs(only_a - only_b))
    assert found.p == pytest.approx(ways / 2**n)


@given(pairs, st.floats(0.001, 0.5), st.floats(0.05, 0.95))
def test_more_confidence_never_gives_a_shorter_interval(pair, alpha, share):
    of = parts(pair[0].astype(float) - pair[1])
    (low, high), (inner_low, inner_high) = ends(of, alpha * share), ends(of, alpha)
    assert low <= inner_low + 1e-12 and high >= inner_high - 1e-12


@given(pairs)
def test_no_interval_is_shorter_than_the_residuals_alone_allow(pair):
    """However well the replicates agree."""
    table = pair[0].astype(float) - pair[1]
    replicates, images = table.shape
    _, _, res = brute_force_anova(table)
    least = stats.t.isf(0.025, (replicates - 1) * (images - 1)) * np.sqrt(res / table.size)
    assert half_width(parts(table), 0.025) >= least - 1e-9


@given(scores, st.data())
def test_mcnemar_is_the_same_from_either_side_and_in_any_order(table, data):
    a, b = table[0].astype(bool), table[1].astype(bool)
    order = data.draw(st.permutations(range(len(a))))
    one, other = mcnemar(a, b), mcnemar(b[order], a[order])
    assert (one.only_a, one.only_b, one.p) == (other.only_b, other.only_a, other.p)


@given(st.integers(1, 300), st.floats(0, 1), st.floats(0.01, 0.3))
def test_wilson_holds_the_share_and_mirrors(n, share, alpha):
    k = round(share * n)
    (low, high), mirrored = wilson(k, n, alpha=alpha), wilson(n - k, n, alpha=alpha)
    assert low - 1e-12 <= k / n <= high + 1e-12
    assert (low, high) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]))
    assert wilson(k, n, alpha=alpha / 2)[0] <= low + 1e-12

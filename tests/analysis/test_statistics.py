import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import balanced_accuracy_score

from bench.analysis.statistics import (
    bootstrap_per_class,
    chance_scores,
    contrast,
    intervals,
    mcnemar,
    mean_interval,
    mean_squares,
    spread,
    verdicts,
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
def test_contrast_is_howes_formula(seed):
    table = random_table(seed, replicates=3 + seed % 4)
    replicates, images = table.shape
    rep, img, res = brute_force_anova(table)
    se = np.sqrt((max(rep, res) + max(img - res, 0)) / table.size)

    def half_width(part, df):
        return stats.t.interval(1 - 0.1 / 4, df, 0, np.sqrt(part / table.size))[1]

    over_replicates = max(half_width(rep, replicates - 1), half_width(res, (replicates - 1) * (images - 1)))
    half = np.hypot(over_replicates, half_width(max(img - res, 0), images - 1))
    found = contrast(table, alpha=0.1, comparisons=4)
    np.testing.assert_allclose(
        [found.estimate, found.se, found.low, found.high, found.half_width],
        [table.mean(), se, table.mean() - half, table.mean() + half, half],
    )
    assert (found.replicates, found.images) == table.shape


@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
def test_normal_effects_are_missed_no_more_often_than_stated(spread):
    """Spreads over replicates that are nothing, small and large beside those over images; with estimated
    degrees of freedom the last are missed three times as often as stated."""
    rng = np.random.default_rng(0)
    suites, replicates, images = 4000, 3, 60
    tables = rng.normal(0, 0.01, (suites, replicates, images)) + rng.normal(0, 0.02, (suites, 1, images))
    tables += rng.normal(0, spread * 0.02 / np.sqrt(images), (suites, replicates, 1))
    found = intervals(tables, alpha=0.05, comparisons=6)
    stated = 0.05 / 6
    missed = ((found.low > 0) | (found.high < 0)).mean()
    assert missed <= stated + 3 * np.sqrt(stated * (1 - stated) / suites)


def test_both_floors_are_met_by_these_tables():
    """Without them the comparison above would not test them."""
    found = [brute_force_anova(random_table(seed, images=5)) for seed in range(40)]
    assert any(rep < res for rep, _, res in found) and any(img < res for _, img, res in found)


def test_with_replicate_effects_alone_it_is_the_t_interval_over_replicates():
    means = np.array([0.01, 0.03, -0.02, 0.05])
    found = contrast(np.repeat(means[:, None], 50, 1))
    np.testing.assert_allclose((found.low, found.high), stats.ttest_1samp(means, 0).confidence_interval(0.95))


def test_with_image_effects_alone_it_is_the_t_interval_over_images():
    images = np.random.default_rng(0).choice([-1, 0, 1], 80)
    found = contrast(np.repeat(images[None], 5, 0))
    np.testing.assert_allclose(
        (found.low, found.high), stats.ttest_1samp(images, 0).confidence_interval(0.95)
    )


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.001, 0.2, "better"),
        (-0.2, -0.001, "worse"),
        (0.001, 0.005, "better"),
        (-0.009, 0.009, "equivalent"),
        (-0.011, 0.009, "inconclusive"),
        (-0.009, 0.011, "inconclusive"),
        (-0.01, 0.01, "inconclusive"),
        (0.0, 0.2, "inconclusive"),
    ],
)
def test_verdicts(low, high, verdict):
    assert verdicts(low, high, 0.01) == verdict


@pytest.mark.parametrize("replicates", [1, 2])
def test_fewer_than_three_replicates_give_no_interval_and_no_verdict(replicates):
    found = contrast(np.ones((replicates, 100)), np.zeros((replicates, 100)))
    assert (found.estimate, found.verdict) == (1.0, "none")
    assert {found.low, found.high, found.half_width, found.se} == {None}
    assert mean_interval(np.ones((replicates, 100))).low is None


def test_one_image_gives_no_verdict():
    assert contrast([[1.0], [0.0], [1.0]]).verdict == "none"


def test_without_any_variation_the_width_follows_from_the_number_of_images():
    few, many = (contrast(np.zeros((3, n))) for n in (20, 6149))
    assert (few.verdict, many.verdict) == ("inconclusive", "equivalent")
    unseen = stats.binomtest(0, 20).proportion_ci(0.95, method="exact").high
    assert (few.low, few.high) == pytest.approx((-unseen, unseen))
    always = contrast(np.ones((3, 20)))
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
        lambda: contrast(np.zeros(5)),
        lambda: contrast(np.full((3, 4), np.nan)),
        lambda: contrast(np.full((3, 4), 2.0), np.full((3, 4), 1.5)),
        lambda: contrast(np.full((2, 4), -1.5)),
        lambda: contrast(np.zeros((3, 4)), comparisons=0),
        lambda: contrast(np.zeros((3, 4)), alpha=0),
        lambda: contrast(np.zeros((3, 4)), delta=0),
        lambda: mean_interval(np.full((3, 4), -0.5)),
        lambda: intervals(np.zeros((2, 4))),
        lambda: mean_squares(np.zeros((1, 4))),
        lambda: chance_scores(0, 4),
        lambda: spread([]),
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
    table = pair[0].astype(float) - pair[1]
    rows, columns = (random.sample(range(n), n) for n in table.shape)
    one, other = contrast(table), contrast(table[rows][:, columns])
    assert (one.low, one.high, one.se) == pytest.approx((other.low, other.high, other.se), abs=1e-12)


@given(pairs, st.floats(-1, 1))
def test_a_shift_of_all_differences_shifts_the_interval(pair, shift):
    table = (pair[0].astype(float) - pair[1]) / 2
    one, other = contrast(table), contrast(table + shift / 2)
    assert other.se == pytest.approx(one.se, abs=1e-9)
    assert other.estimate == pytest.approx(one.estimate + shift / 2)
    if one.se > 0:
        assert other.low == pytest.approx(one.low + shift / 2, abs=1e-9)


@given(pairs, st.floats(0.001, 1), st.floats(1, 10))
def test_a_larger_delta_never_takes_an_equivalence_back(pair, delta, factor):
    narrow, wide = (contrast(*pair, delta=d).verdict for d in (delta, delta * factor))
    assert narrow == wide or (narrow, wide) == ("inconclusive", "equivalent")


@given(pairs, st.integers(1, 50))
def test_more_comparisons_never_give_a_shorter_interval(pair, comparisons):
    one, many = contrast(*pair), contrast(*pair, comparisons=comparisons)
    assert many.low <= one.low + 1e-12 and many.high >= one.high - 1e-12


@given(scores)
def test_the_interval_of_an_accuracy_stays_between_0_and_1(table):
    found = mean_interval(table)
    assert 0 <= found.low <= found.estimate + 1e-12 and found.estimate - 1e-12 <= found.high <= 1


def test_spread():
    found = spread([0.5, 0.7, 0.9], diverged=1)
    assert (found.mean, found.sd, found.n) == (pytest.approx(0.7), pytest.approx(0.2), 3)
    assert found.diverged == 1
    assert spread([0.4]).sd is None


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (3, 7), (5800, 6149), (1, 1)])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_wilson_matches_scipy(k, n, alpha):
    expected = stats.binomtest(k, n).proportion_ci(1 - alpha, method="wilson")
    assert wilson(k, n, alpha=alpha) == pytest.approx((expected.low, expected.high))


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


@settings(max_examples=50)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 5))
def test_mcnemar_matches_the_exact_binomial_test(only_a, only_b, both):
    a = np.repeat([True, False, True], [only_a, only_b, both])
    b = np.repeat([False, True, True], [only_a, only_b, both])
    found = mcnemar(a, b)
    assert (found.only_a, found.only_b) == (only_a, only_b)
    n = only_a + only_b
    assert found.p == pytest.approx(stats.binomtest(only_a, n).pvalue if n else 1.0)


@given(pairs, st.floats(0.001, 0.5), st.floats(0.05, 0.95))
def test_more_confidence_never_gives_a_shorter_interval(pair, alpha, share):
    more, less = contrast(*pair, alpha=alpha * share), contrast(*pair, alpha=alpha)
    assert more.low <= less.low + 1e-12 and more.high >= less.high - 1e-12


@given(pairs)
def test_no_interval_is_shorter_than_the_residuals_alone_allow(pair):
    """However well the replicates agree."""
    table = pair[0].astype(float) - pair[1]
    replicates, images = table.shape
    _, _, res = brute_force_anova(table)
    least = stats.t.isf(0.025, (replicates - 1) * (images - 1)) * np.sqrt(res / table.size)
    assert contrast(table).half_width >= least - 1e-9


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

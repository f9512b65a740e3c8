"""The rule of verdicts for repeated k-fold, against loops, a linear model and simulated tables."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from bench.analysis.decisions import PairedScores, judge
from bench.analysis.kfold import fold_mean_square, fold_parts, parts_in
from bench.analysis.predictions import Predictions
from bench.analysis.simulation import kfold
from bench.analysis.simulation.kfold import FoldWorld, corrected_t, make_folds, of_one_repeat, stored, study
from bench.analysis.statistics import ends, half_width, p_different, parts


def tables(count, repeats, folds, images, network=0.0, image=0.0, rest=1.0, seed=0):
    """Normal tables with variances between networks, between images and of the rest, and their folds."""
    rng = np.random.default_rng(seed)
    fold_of = make_folds(repeats, folds, images, rng)
    luck = network**0.5 * rng.standard_normal((count, repeats, folds))
    own = np.take_along_axis(luck, np.broadcast_to(fold_of, (count, repeats, images)), 2)
    difficulty = image**0.5 * rng.standard_normal((count, 1, images))
    return own + difficulty + rest**0.5 * rng.standard_normal((count, repeats, images)), fold_of


@pytest.mark.parametrize("images", [30, 31])
def test_mean_square_of_folds_by_loops(images):
    (table,), fold_of = tables(1, 4, 5, images, network=0.3)
    residuals = np.empty_like(table)
    for r in range(4):
        for i in range(images):
            residuals[r, i] = table[r, i] - table[r].mean() - table[:, i].mean() + table.mean()
    total = 0.0
    for r in range(4):
        for fold in range(5):
            inside = [i for i in range(images) if fold_of[r, i] == fold]
            total += sum(residuals[r, i] for i in inside) ** 2 / len(inside)
    assert fold_mean_square(table, fold_of) == pytest.approx(total / (3 * 4))


def test_mean_squares_are_expected_to_be_what_is_said_of_them():
    network, rest, repeats, folds, images = 0.5, 2.0, 3, 5, 60
    many, fold_of = tables(4000, repeats, folds, images, network, 3.0, rest)
    n = images / folds
    expected = rest + n * (1 - 1 / repeats) * network
    assert fold_mean_square(many, fold_of).mean() == pytest.approx(expected, rel=0.02)
    # MS_rep is expected to be N times the variance of the mean of a repeat, and folds tell the same.
    plain = parts(many)
    assert plain.rep.mean() == pytest.approx(rest + n * network, rel=0.05)
    by_fold = plain.res + (fold_mean_square(many, fold_of) - plain.res) * repeats / (repeats - 1)
    assert by_fold.mean() == pytest.approx(rest + n * network, rel=0.02)


def test_degrees_of_freedom_of_folds():
    """A mean square is s^2 chi2(d) / d, and its variance over tables tells d."""
    many, fold_of = tables(6000, 3, 5, 60)
    squares = fold_mean_square(many, fold_of)
    assert 2 * squares.mean() ** 2 / squares.var() == pytest.approx(3 * 4, rel=0.08)


def test_a_larger_spread_of_repeats_stays():
    (table,), fold_of = tables(1, 3, 5, 40)
    apart = table + np.array([[-1.0], [0.0], [1.0]])
    assert fold_parts(apart, fold_of).rep == parts(apart).rep > parts(table).rep
    assert fold_parts(apart, fold_of).freedom == 3 * 5 - 1
    assert (fold_parts(apart, fold_of).img, fold_parts(apart, fold_of).res) == parts(apart)[2:4]


def test_folds_have_to_be_those_of_the_table():
    (table,), fold_of = tables(1, 3, 5, 40)
    with pytest.raises(ValueError, match="expected the fold of each score"):
        fold_parts(table, fold_of[:2])


def test_corrected_t_is_that_of_the_differences_of_folds():
    (table,), fold_of = tables(1, 2, 5, 30, network=0.2)
    means = np.array([table[r, fold_of[r] == f].mean() for r in range(2) for f in range(5)])
    se = np.sqrt((1 / 10 + 1 / 4) * means.var(ddof=1))
    of = corrected_t(table[None], fold_of)
    assert of.se[0] == pytest.approx(se)
    assert half_width(of, 0.025)[0] == pytest.approx(stats.t.ppf(0.975, 9) * se)


def test_one_repeat_is_a_t_test_of_its_folds():
    (table,), fold_of = tables(1, 1, 5, 30, network=2.0)
    means = [table[0, fold_of[0] == f].mean() for f in range(5)]
    of = of_one_repeat(table[None], fold_of)
    assert p_different(of)[0] == pytest.approx(stats.ttest_1samp(means, 0).pvalue, rel=1e-6)


def scores(difference, seed, repeats=3, images=150):
    rng = np.random.default_rng(seed)
    fold_of = make_folds(repeats, 5, images, rng)
    world = FoldWorld("", (0.8, 0.8 - difference), (0.02, 0.02))
    (both,), _ = world.scores(1, fold_of, 5, rng)
    return tuple(both), fold_of


def test_a_planted_difference_is_found_and_a_planted_null_is_not():
    found = {
        difference: [
            judge(
                [PairedScores(*scores(difference, seed)[:1], fold_of=scores(difference, seed)[1])], delta=0.01
            )[0]
            for seed in range(60)
        ]
        for difference in (0.0, 0.15)
    }
    words = {difference: [one.verdict for one in own] for difference, own in found.items()}
    assert words[0.15].count("better") >= 50 and "worse" not in words[0.15]
    assert words[0.0].count("inconclusive") >= 52


def test_folds_find_more_than_repeats_alone():
    both, fold_of = scores(0.1, 3)
    with_folds, without = (judge([PairedScores(both, fold_of=own)], delta=0.01)[0] for own in (fold_of, None))
    assert with_folds.estimate == without.estimate and with_folds.se >= without.se
    assert with_folds.half_width < without.half_width


def test_an_interval_is_that_of_the_parts():
    both, fold_of = scores(0.05, 1)
    of = fold_parts(both[0] - both[1], fold_of)
    result = judge([PairedScores(both, fold_of=fold_of)], delta=0.01)[0]
    assert (result.low, result.high) == pytest.approx(tuple(map(float, ends(of))))


def test_cells_of_folds_lend_each_other_nothing():
    cells = [PairedScores(both, "own", fold_of=own) for both, own in (scores(0.0, seed) for seed in range(4))]
    together = judge(cells, delta=0.01)
    for cell, result in zip(cells, together, strict=True):
        assert result.low == judge([cell], delta=0.01)[0].low


def test_looks_take_the_folds_of_their_repeats():
    both, fold_of = scores(0.2, 5, repeats=5)
    result = judge([PairedScores(both, looks=(3, 5), fold_of=fold_of)], delta=0.01)[0]
    p = [p_different(fold_parts((both[0] - both[1])[:r], fold_of[:r])) for r in (3, 5)]
    assert result.p_adjusted == pytest.approx(min(p[0] / 0.36, p[1] / 0.64), rel=1e-6)
    cell, difference = PairedScores(both, looks=(3, 5), fold_of=fold_of), both[0] - both[1]
    assert cell.parts(difference, 3) == fold_parts(difference[:3], fold_of[:3])
    assert cell.parts(difference, 3) != fold_parts(difference[:3], fold_of[2:])


def test_groups_of_images_are_in_one_fold():
    """The fold of a group is that of its images, in the order of the groups."""

    class Grouped(Predictions):
        def groups(self, data):
            return np.array([4, 4, 2, 7, 2])

    record = SimpleNamespace(details={"fold_of": [1, 1, 0, 2, 0]}, outcome="finished", data=None)
    known = Grouped(store=None)
    assert known.fold_of([record], [record]).tolist() == known.fold_of([record]).tolist() == [[0, 1, 2]]
    lost = SimpleNamespace(details={"fold_of": [1, 1, 0, 2, 0]}, outcome="diverged", data=None)
    other = SimpleNamespace(details={}, outcome="finished", data=None)
    elsewhere = SimpleNamespace(details={"fold_of": [1, 1, 2, 0, 2]}, outcome="finished", data=None)
    for one in (lost, other, elsewhere):
        assert known.fold_of([record], [one]) is None
    assert known.fold_of([]) is None


@pytest.mark.parametrize("network", [0.0, 0.05])
def test_the_interval_of_one_model_holds_and_is_shorter_with_folds(network):
    """Of tables whose mean is 0, with three repeats of five folds."""
    many, fold_of = tables(4000, 3, 5, 60, network=network, image=0.5)
    reach, plain = (half_width(parts_in(own)(many), 0.025) for own in (fold_of, None))
    assert (abs(many.mean((1, 2))) > reach).mean() < 0.055
    assert np.median(reach) < np.median(plain)


def test_fewer_than_three_repeats_have_no_verdict():
    both, fold_of = scores(0.3, 5, repeats=2)
    result = judge([PairedScores(both, fold_of=fold_of)], delta=0.01)[0]
    assert result.verdict == "none" and result.low is None


def test_simulated_accuracy_is_the_stated_one():
    for world in (
        FoldWorld("own", (0.8, 0.6), (0.05, 0.02)),
        FoldWorld("shared", (0.8, 0.8), (0.02, 0.02), training_sd=0.05),
        FoldWorld("anew", (0.7, 0.7), (0.0, 0.0), training_sd=0.05, anew=True),
    ):
        rng = np.random.default_rng(0)
        both, lost = world.scores(3000, make_folds(2, 5, 40, rng), 5, rng)
        assert both.mean((0, 2, 3)) == pytest.approx(world.accuracy, abs=0.006)
        assert not lost.any()


def test_networks_that_share_training_images_are_alike():
    """Of independent luck, the means of folds of two repeats have nothing in common; of training images drawn
    anew, nearly all of it."""
    rng = np.random.default_rng(0)
    fold_of = make_folds(2, 5, 60, rng)
    for world, low, high in (
        (FoldWorld("own", (0.5, 0.5), (0.2, 0.2)), -0.1, 0.2),
        (FoldWorld("anew", (0.5, 0.5), (0.0, 0.0), training_sd=0.2, anew=True), 0.8, 1.0),
    ):
        both, _ = world.scores(2000, fold_of, 5, rng)
        difference = both[:, 0] - both[:, 1]
        assert low < np.corrcoef(difference[:, 0].mean(-1), difference[:, 1].mean(-1))[0, 1] < high


def test_a_small_study_holds_and_would_notice_a_rule_that_does_not(monkeypatch):
    worlds = [
        world for world in kfold.WORLDS if world.name in ("equal, networks 5 points apart", "10 points apart")
    ]
    how = {"pairs": 400, "repeats": (3,), "folds": (5,), "images": (150,), "worlds": worlds}
    table = study(**how).set_index(["rule", "world"])
    own = table.loc["folds"]
    assert own["holds"].all() and own.loc["10 points apart", "power"] > 0.7
    assert own.loc["10 points apart", "power"] > table.loc[("repeats", "10 points apart"), "power"]

    def too_sure(tables, fold_of):
        """One that takes all scores to be independent."""
        of = parts(tables)
        return of._replace(rep=of.res * 0 + tables.var((-2, -1)), img=of.img * 0, freedom=np.asarray(1000))

    monkeypatch.setattr(kfold, "fold_parts", too_sure)
    assert not study(**how).set_index("rule").loc["folds", "holds"].all()


def test_what_is_published_is_what_the_study_gives():
    """Rows of it, made again."""
    world = next(one for one in kfold.WORLDS if one.name == "equal, networks 5 points apart")
    made = study(repeats=(3,), folds=(5,), images=(60,), worlds=[world])
    keys, table = ["world", "rule", "repeats", "folds", "images"], stored()
    published = made[keys].merge(table, on=keys)
    for name in ("false_claims", "coverage", "half_width", "pairs"):
        assert published[name].tolist() == pytest.approx(made[name].tolist(), rel=1e-4), name


def test_the_rule_holds_in_what_is_published():
    table = stored()
    assert set(table["world"]) == {world.name for world in kfold.WORLDS}
    own = table[(table["rule"] == "folds") & (table["repeats"] >= 3) & table["holds"].notna()]
    assert own["holds"].astype(bool).all() and own["false_claims"].max() < 0.065
    others = table[(table["rule"] == "folds") & table["world"].str.contains("other images")]
    assert others["false_claims"].max() > 0.2

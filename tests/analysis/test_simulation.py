import numpy as np
import pandas as pd
import pytest

from bench.analysis import simulation
from bench.analysis.scenarios import SCENARIOS, SIZES
from bench.analysis.simulation import SUITES, main, stored, study
from bench.analysis.statistics import Intervals, intervals
from bench.analysis.synthetic import World

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def small(*names, suites=100, replicates=(5,), images=(300,), **options):
    scenarios = [BY_NAME[name] for name in names]
    return study(suites, replicates=replicates, images=images, scenarios=scenarios, **options)


def test_a_world_has_the_accuracy_it_states():
    world = World(((0.6, 0.9), (0.995, 0.3)), replicate_sd=0.03, draw_sd=0.02)
    scores = world.scores(400, 3, 500, np.random.default_rng(0))
    assert scores.shape == (400, 2, 2, 3, 500)
    by_suite = scores.mean((3, 4))
    error = by_suite.std(0) / np.sqrt(400)
    assert (np.abs(by_suite.mean(0) - world.truth) < 4 * error).all()


def test_a_world_has_the_spreads_it_states():
    """With many images the spread over replicates is that of runs and draws, to first order."""
    rng = np.random.default_rng(0)

    def variances(*sd):
        accuracy = World(((0.7, 0.7),), replicate_sd=sd).scores(100, 10, 2000, rng).mean(-1)[:, 0]
        return accuracy.var(-1, ddof=1).mean(0)

    assert np.sqrt(variances(0.01, 0.03) - variances(0.0, 0.0)) == pytest.approx([0.01, 0.03], rel=0.1)

    drawn = World(((0.7, 0.7),), replicate_sd=0.0, draw_sd=0.05).scores(100, 10, 2000, rng).mean(-1)[:, 0]
    deviations = drawn - drawn.mean(-1, keepdims=True)
    assert np.corrcoef(deviations[:, 0].ravel(), deviations[:, 1].ravel())[0, 1] > 0.9


def test_models_agree_on_what_is_hard_more_than_by_chance():
    scores = World(((0.7, 0.7),), replicate_sd=0.0).scores(20, 3, 2000, np.random.default_rng(0))
    wrong = scores[:, 0] == 0
    both = (wrong[:, 0, 0] & wrong[:, 1, 1]).mean()
    twice = (wrong[:, 0, 0] & wrong[:, 0, 1]).mean()
    assert 0.3**2 + 0.03 < both < twice < 0.3


def test_diverged_runs_are_at_chance_and_in_the_truth():
    world = World(((0.8, 0.8),), diverged=(0.0, 0.5), classes=10)
    assert world.truth[0] == pytest.approx([0.8, 0.45])
    scores = world.scores(200, 5, 50, np.random.default_rng(0))[:, 0]
    lost = (scores == np.float32(0.1)).all(-1)
    assert not lost[:, 0].any()
    assert lost[:, 1].mean() == pytest.approx(0.5, abs=0.06)
    assert set(np.unique(scores[~lost])) == {0.0, 1.0}


def test_equal_models_are_seldom_told_apart():
    table = small("equal models", "equal models near 1", suites=200)
    assert table.holds.all() and table.covers.all()
    assert table.power.isna().all() and (table.stated == 0.05).all()


def test_a_real_difference_is_found_more_often_when_it_is_larger():
    names = ("one of two different by delta", "one of two different by 3 points")
    table = small(*names, replicates=(10,), images=(2000,), suites=60).set_index("scenario")
    assert table.loc[names[0], "power"] + 0.3 < table.loc[names[1], "power"]
    assert table.holds.all()


def test_curves_are_judged_by_every_claim_they_make():
    table = small("curves that cross at 8", replicates=(10,), suites=60).set_index("claim")
    assert set(table.index) == {"verdict", "crossover", "area", "band", "images needed"}
    assert table.loc["crossover", "power"] > 0.8 and table.loc["images needed", "power"] > 0.8
    assert table.holds.all()
    parallel = small("curves 2 points apart", suites=60).set_index("claim")
    assert parallel.loc["crossover", "false_claims"] <= 0.1 and np.isnan(parallel.loc["crossover", "power"])


def test_the_scenarios_are_what_their_names_say():
    crossing = BY_NAME["curves that cross at 8"].world.truth
    assert np.interp(3, np.log2(SIZES), crossing[:, 0] - crossing[:, 1]) == pytest.approx(0)
    assert crossing[0, 0] > crossing[0, 1] and crossing[-1, 0] < crossing[-1, 1]
    for name, scenario in BY_NAME.items():
        if "equal" in name:
            assert np.ptp(scenario.world.truth, axis=1) == pytest.approx(0)


def test_an_analysis_that_claims_too_much_is_caught(monkeypatch):
    def overconfident(tables, **options):
        found = intervals(tables, **options)
        middle = found.estimate
        low, high = middle + (found.low - middle) / 4, middle + (found.high - middle) / 4
        return Intervals(middle, low, high, found.se)

    monkeypatch.setattr(simulation, "intervals", overconfident)
    table = small("equal models", suites=60)
    assert not table.holds.any() and not table.covers.any()


def test_a_row_depends_on_the_seed_alone():
    names = ("one contrast, equal", "equal models")
    both = small(*names, suites=20)
    alone = small(names[1], suites=20)
    pd.testing.assert_frame_equal(both[1:].reset_index(drop=True), alone)
    assert not small(names[1], suites=20, seed=1).half_width.equals(alone.half_width)


def test_the_stored_study_is_of_these_scenarios_and_holds():
    table = stored()
    assert list(dict.fromkeys(table.scenario)) == [scenario.name for scenario in SCENARIOS]
    assert set(table.suites) == {SUITES} and len(table) == 11 * 6 + 3 * 6 * 5
    assert table.command.str.startswith("python -m bench.analysis.simulation").all()
    assert table.holds.all()
    blind = table[table.covers == False]  # noqa: E712 (where no interval is stated it is missing)
    assert set(blind.scenario) == {"one run in twenty diverges, one model"}


def test_the_stored_study_is_of_this_analysis():
    """A few suites more, with another seed, are as wide and are wrong about as often."""
    names = ("equal models", "equal models near 1")
    table = small(*names, suites=150, images=(600,), seed=1).set_index("scenario")
    kept = stored().query("replicates == 5 and images == 600").set_index("scenario")
    for name in names:
        assert table.half_width[name] == pytest.approx(kept.half_width[name], rel=0.06)
        slack = 4 * np.sqrt(0.05 * 0.95 / 150)
        assert table.false_claims[name] == pytest.approx(kept.false_claims[name], abs=slack)


def test_the_command_prints_and_writes_the_table(tmp_path, monkeypatch, capsys):
    def few(suites, seed, progress):
        return small("one contrast, equal", suites=suites, seed=seed, progress=progress)

    monkeypatch.setattr(simulation, "study", few)
    main(["--suites", "5", "--out", str(tmp_path / "table.csv")])
    written = pd.read_csv(tmp_path / "table.csv")
    assert written.suites.tolist() == [5] and written.scenario.tolist() == ["one contrast, equal"]
    assert written.command.tolist() == ["python -m bench.analysis.simulation --suites 5 --seed 0"]
    out, err = capsys.readouterr()
    assert "false_claims" in out and "one contrast, equal, 5 replicates" in err

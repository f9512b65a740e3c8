import numpy as np
import pandas as pd
import pytest

from bench.analysis.simulation import study as simulation
from bench.analysis.simulation.scenarios import SCENARIOS, SIZES
from bench.analysis.simulation.study import SUITES, main, stored, study
from bench.analysis.simulation.synthetic import World
from bench.analysis.statistics import ends, p_different

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def small(*names, suites=100, replicates=(5,), images=(300,), looks=(), **options):
    scenarios = [BY_NAME[name] for name in names]
    return study(suites, replicates=replicates, images=images, looks=looks, scenarios=scenarios, **options)


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


def verdicts_of(table):
    return table[table.claim == "verdict"].set_index("scenario")


def test_equal_models_are_seldom_told_apart():
    table = small("equal models", "equal models near 1", suites=200)
    assert table.holds.all() and (table.stated == 0.05).all()
    assert verdicts_of(table).covers.all() and verdicts_of(table).power.isna().all()
    assert set(table.claim) == {"verdict", "equivalent"}


def test_a_real_difference_is_found_more_often_when_it_is_larger():
    names = ("one of two different by delta", "one of two different by 3 points")
    table = small(*names, replicates=(10,), images=(2000,), suites=60)
    power = verdicts_of(table).power
    assert power[names[0]] + 0.3 < power[names[1]]
    assert table.holds.all()


def test_equal_models_are_found_equivalent_and_different_ones_seldom():
    names = ("equal models near 1", "both different by delta near 1")
    table = small(*names, replicates=(10,), images=(6149,), suites=40)
    found = table[table.claim == "equivalent"].set_index("scenario")
    assert found.power[names[0]] > 0.5 and found.false_claims[names[1]] <= 0.15
    assert np.isnan(found.power[names[1]])


def test_cells_have_the_replicates_that_their_scenario_gives_them():
    few = BY_NAME["equal models, fewer replicates at larger sizes"]
    assert few.replicates(10) == [10, 10, 5, 5, 3, 3] and few.replicates(3) == [3] * 6
    assert BY_NAME["equal models, one size deterministic"].replicates(5) == [5, 5, 5, 1]
    table = small("equal models, one size deterministic", suites=40)
    assert table.statements.tolist() == [3 + 1] * 2


def test_curves_are_judged_by_every_claim_they_make():
    table = small("curves that cross at 8", replicates=(10,), suites=60).set_index("claim")
    assert set(table.index) == {"verdict", "equivalent", "crossover", "band"}
    assert table.loc["crossover", "power"] > 0.8
    assert table.holds.drop("band").all()  # the worst of six points, of few suites
    parallel = small("curves 2 points apart", suites=60).set_index("claim")
    assert parallel.loc["crossover", "false_claims"] <= 0.1 and np.isnan(parallel.loc["crossover", "power"])


def test_the_scenarios_are_what_their_names_say():
    crossing = BY_NAME["curves that cross at 8"].world.truth
    assert np.interp(3, np.log2(SIZES), crossing[:, 0] - crossing[:, 1]) == pytest.approx(0)
    assert crossing[0, 0] > crossing[0, 1] and crossing[-1, 0] < crossing[-1, 1]
    for name, scenario in BY_NAME.items():
        if "equal" in name:
            assert np.ptp(scenario.world.truth, axis=1) == pytest.approx(0)


def test_contrasts_get_replicates_until_they_are_decided():
    names = ("three sizes, 30 points apart, spread of 6 points", "equal models")
    table = small(*names, "curves that are equal", suites=60, replicates=(), looks=(3, 5, 8, 12))
    assert set(table.scenario) == set(names) and table.holds.all() and set(table.replicates) == {12}
    assert set(table.claim) == {"verdict, sequential", "equivalent, sequential"}
    apart, equal = (table[table.scenario == name].iloc[0] for name in names)
    assert apart.power > 0.95 and 3 < apart.mean_replicates < 8 and equal.mean_replicates > 11.5
    # With a single look it is the plain study of as many replicates.
    plain = small(*names, suites=20, replicates=(8,))
    once = small(*names, suites=20, replicates=(), looks=(8,)).drop(columns="mean_replicates")
    plain["claim"] += ", sequential"
    pd.testing.assert_frame_equal(once, plain.drop(columns="mean_replicates"))


def test_an_analysis_that_claims_too_much_is_caught(monkeypatch):
    def overconfident(of, *options):
        low, high = ends(of, *options)
        return of.estimate + (low - of.estimate) / 4, of.estimate + (high - of.estimate) / 4

    monkeypatch.setattr(simulation, "ends", overconfident)
    monkeypatch.setattr(simulation, "p_different", lambda of: p_different(of) / 30)
    found = verdicts_of(small("equal models", suites=60))
    assert not found.holds.any() and not found.covers.any()


def test_a_row_depends_on_the_seed_alone():
    names = ("one contrast, equal", "equal models")
    both = small(*names, suites=20)
    alone = small(names[1], suites=20)
    pd.testing.assert_frame_equal(both[2:].reset_index(drop=True), alone)
    assert not small(names[1], suites=20, seed=1).half_width.equals(alone.half_width)


def test_the_stored_study_is_of_these_scenarios_and_holds():
    table = stored()
    assert set(table.scenario) == {scenario.name for scenario in SCENARIOS}
    assert set(table.suites) == {SUITES}
    sequential = table.claim.str.endswith(", sequential")
    assert set(table[~sequential].replicates) == {3, 5, 10} and set(table[sequential].replicates) == {12}
    assert set(table[sequential].scenario) == {s.name for s in SCENARIOS if not (s.curves or s.shares)}
    assert table.command.str.startswith("python -m bench.analysis.simulation ").all()
    assert table[table.claim != "band"].holds.all()


def test_the_stored_study_is_of_this_analysis():
    """A few suites more, with another seed, are as wide and are wrong about as often."""
    names = ("equal models", "equal models near 1")
    found = verdicts_of(small(*names, suites=150, images=(600,), seed=1))
    kept = verdicts_of(stored().query("replicates == 5 and images == 600"))
    for name in names:
        assert found.half_width[name] == pytest.approx(kept.half_width[name], rel=0.06)
        slack = 4 * np.sqrt(0.05 * 0.95 / 150)
        assert found.false_claims[name] == pytest.approx(kept.false_claims[name], abs=slack)


def test_the_command_prints_and_writes_the_table(tmp_path, monkeypatch, capsys):
    def few(suites, seed, *, cap, progress):
        return small("one contrast, equal", suites=suites, seed=seed, cap=cap, progress=progress)

    monkeypatch.setattr(simulation, "study", few)
    main(["--suites", "5", "--out", str(tmp_path / "table.csv")])
    written = pd.read_csv(tmp_path / "table.csv")
    assert written.suites.tolist() == [5, 5] and set(written.scenario) == {"one contrast, equal"}
    assert set(written.command) == {"python -m bench.analysis.simulation --suites 5 --seed 0"}
    out, err = capsys.readouterr()
    assert "false_claims" in out and "one contrast, equal, 5 replicates" in err

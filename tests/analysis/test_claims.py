"""Verdicts on claims: planted measurements decide every one of them, each way."""

from dataclasses import replace

import numpy as np
import pytest
from plant_claims import World
from small_store import listing

from bench.analysis.claims.contestants import gather
from bench.analysis.claims.estimate import Estimate
from bench.analysis.claims.tables import claim_tables, estimates_of
from bench.analysis.claims.uncertain import of_values
from bench.analysis.claims.verdict import judge
from bench.analysis.claims.words import count_text, number_text, verdict_text
from bench.analysis.costs import COST
from bench.errors import InputError
from bench.frames import frame
from bench.spec.claim import FOLDER, load_claims

CLAIMS = {claim.name: claim for claim in load_claims()}

# What a claim says of a ViT beside a CNN (or of the one beside the other that it compares), in plain words.
SAYS = {
    "few-images": ["less accurate with few", "more accurate with many"],
    "cost": ["more expensive"] * 8,
    "attention-cost": ["more than 1.5"] * 4,
    "hard-to-train": ["fewer decades", "more spread", "more failures"],
    "overfit": ["less gap", "less rise"],
    "global": ["more reach early", "more reach late", "more than half", "more loss shuffled", "less covered"],
    "positions": ["less accurate without", "more loss when removed"],
    "other-sizes": ["less loss than 2 points"],
    "pretraining": ["less behind from scratch than pretrained: a smaller difference"],
    "depth": ["more accurate with more blocks"] * 3,
    "deit": ["more accurate"] * 4,
    "together": ["more accurate"] * 3,
    "robust": ["less loss"] * 2,
    "calibrated": ["less error"],
}

# Where a cost is measured is a setting, and equal accuracy is reached on a data set.
DEPENDS = {"cost": ("dataset", "setting"), "attention-cost": ("setting",)}


def judged(name, *strengths, parts=None):
    """The claim where each place has a strength: 1 it holds, -1 it fails, 0 too little is known; all of its
    parts are measured, or some."""
    world = World()
    for place, strength in zip(("first", "second"), strengths, strict=False):
        for evidence in CLAIMS[name].evidence:
            if parts is None or evidence.name in parts:
                world.plant(evidence, strength, place)
    estimates = estimates_of(CLAIMS[name], world.measured())
    return next(one for one in judge({name: estimates}, load_claims()) if one.claim.name == name)


def test_all_fourteen():
    assert [claim.number for claim in CLAIMS.values()] == list(range(1, 15))
    assert SAYS.keys() == CLAIMS.keys()


@pytest.mark.parametrize("name", SAYS)
def test_directions_are_those_of_the_sentence(name):
    for evidence, words in zip(CLAIMS[name].evidence, SAYS[name], strict=True):
        assert (evidence.expect == "more") == words.startswith("more")


@pytest.mark.parametrize("name", SAYS)
def test_supported(name):
    one = judged(name, 1, 1)
    assert one.verdict == "supported" and "fails" not in one.outcomes
    assert one.without_interval == (["energy of inference at equal FLOPs"] if name == "cost" else [])
    # All that was planted was measured.
    every = {e.name for e in CLAIMS[name].evidence}
    assert {e.evidence.name for e in one.estimates} == every
    assert every - {e.evidence.name for e in one.having("holds")} <= {"energy of inference at equal FLOPs"}


@pytest.mark.parametrize("name", SAYS)
def test_contradicted(name):
    assert judged(name, -1, -1).verdict == "contradicted"


@pytest.mark.parametrize("name", SAYS)
def test_depends(name):
    one = judged(name, 1, -1)
    assert one.verdict == "depends" and {"holds", "fails"} <= set(one.outcomes)
    assert one.depends_on == DEPENDS.get(name, ("dataset",))


@pytest.mark.parametrize("name", SAYS)
def test_undecided(name):
    assert judged(name, 0, 0).verdict == "undecided"


@pytest.mark.parametrize("name", SAYS)
def test_not_measured(name):
    assert judged(name).verdict == "not measured"


def test_tables():
    judged_claims = judge({}, load_claims())
    tables = claim_tables(judged_claims)
    assert len(tables["claims"]) == 14 and set(tables["claims"]["verdict"]) == {"not measured"}
    assert not len(tables["claim_numbers"])
    tables = claim_tables([judged("robust", 1, -1)])
    (row,) = tables["claims"].to_dict("records")
    assert (row["verdict"], row["depends_on"]) == ("depends", "dataset")
    assert (row["holds"], row["fails"], row["undecided"]) == (2, 2, 0)
    assert row["low"] < row["estimate"] < row["high"] < 0 and row["unit"] == "percent"
    numbers = tables["claim_numbers"]
    assert list(numbers["outcome"]) == ["holds", "fails"] * 2 and numbers["runs"].str.len().min() > 0


@pytest.mark.parametrize(("looks", "counted"), [((), 6), ((3, 5, 6), 3)])
def test_of_replicates_added_until_decided_the_first_look_counts(looks, counted):
    world = World()
    world.plant(CLAIMS["calibrated"].evidence[0], 1, "first")
    cells = [replace(one.cell, looks=looks) for one in world.contestants]
    contestants = gather({"s": listing()}, {"clean": {"s": cells}}, frame([], COST), world)
    assert [len(one.records) for one in contestants] == [counted, counted]
    assert {one.untrained for one in contestants} == {f"{counted} trials"}


def test_an_untrained_network_says_nothing():
    world = World()
    for evidence in CLAIMS["global"].evidence:
        world.plant(evidence, 1, "first")
    untrained = replace(world.measured(), contestants=[replace(c, untrained="x") for c in world.contestants])
    assert estimates_of(CLAIMS["global"], untrained) == []


@pytest.mark.parametrize(
    ("name", "k"),
    [("robust", 0), ("global", 3), ("overfit", 0), ("calibrated", 0), ("other-sizes", 0), ("together", 0)],
)
def test_a_diverged_trial_has_nothing_to_lose(name, k):
    """Two of a's trials diverge: a number is what the other replicates give, and says so."""
    world, evidence = World(), CLAIMS[name].evidence[k]
    world.plant(evidence, 1, "first")
    first = world.contestants[0]
    gone = [one.record.id for one in first.cell.replicates[:2]]
    world.contestants[0] = with_trials(first, gone, lambda one: None)
    (without,) = estimates_of_one(evidence, world)
    world.contestants[0] = with_trials(
        first, gone, lambda one: one.model_copy(update={"outcome": "diverged"})
    )
    for run in gone:
        world.planted |= {key: np.full(500, 0.1) for key in world.planted if key[0] == run}
    (estimate,) = estimates_of_one(evidence, world)
    ends = [(one.number.value, one.number.low, one.number.high) for one in (without, estimate)]
    assert ends[0] == ends[1] and set(gone).isdisjoint(estimate.runs)
    trials = 6 if evidence.alone else 12
    assert (without.diverged[0], estimate.diverged) == (0, (2, trials))
    assert number_text(estimate).endswith(f", without 2 of {trials} trials that diverged")


def with_trials(contestant, runs, changed):
    """A contestant with some trials changed, or without those that become None, under all conditions."""

    def of(cell):
        replicates = [
            replace(one, record=changed(one.record)) if one.record.id in runs else one
            for one in cell.replicates
        ]
        return replace(cell, replicates=tuple(replicates))

    others = {name: of(cell) for name, cell in contestant.others.items()}
    return replace(contestant, cell=of(contestant.cell), others=others)


def estimates_of_one(evidence, world):
    claim = CLAIMS["robust"].model_copy(update={"evidence": (evidence,)})
    return estimates_of(claim, world.measured())


@pytest.mark.parametrize("disturbed", [{"unstable": True}, {"busy": True}, {"steady": False}])
@pytest.mark.parametrize(
    ("name", "k", "table"),
    [("cost", 0, "speed"), ("cost", 3, "speed"), ("cost", 5, "speed"), ("attention-cost", 0, "scaling")],
)
def test_what_was_timed_on_a_disturbed_machine_does_not_count(name, k, table, disturbed):
    world, evidence = World(), CLAIMS[name].evidence[k]
    world.plant(evidence, 1, "first")
    assert estimates_of_one(evidence, world)
    for row in world.rows[table][:4]:
        row |= disturbed
    assert not estimates_of_one(evidence, world)


@pytest.mark.parametrize(("name", "k", "table"), [("cost", 2, "memory"), ("attention-cost", 2, "scaling")])
def test_memory_is_the_same_on_a_busy_machine(name, k, table):
    world, evidence = World(), CLAIMS[name].evidence[k]
    world.plant(evidence, 1, "first")
    for row in world.rows[table]:
        row |= {"busy": True, "unstable": True}
    assert estimates_of_one(evidence, world)


def test_what_was_not_measured_is_said():
    world = World()
    world.plant(CLAIMS["robust"].evidence[0], 1, "first")
    estimates = estimates_of(CLAIMS["robust"], world.measured())
    one = next(one for one in judge({"robust": estimates}, load_claims()) if one.estimates)
    assert one.verdict == "supported" and one.lacking == ["loss under occlusion"]
    assert verdict_text(one) == "supported, as far as measured, for these models alone"


def test_datasets_have_their_titles():
    one = judged("robust", 1, -1)
    names = dict(zip(sorted({e.case["dataset"] for e in one.estimates}), ("flowers102", "mine"), strict=True))
    renamed = [replace(e, case={**e.case, "dataset": names[e.case["dataset"]]}) for e in one.estimates]
    assert verdict_text(replace(one, estimates=tuple(renamed))) == (
        "depends on the data set: holds for Flowers102; not for mine"
    )


def test_a_place_where_one_part_holds_is_no_place_where_the_claim_does():
    """Of two parts the first holds in one place, where the other is undecided or not measured."""
    one = judged("robust", 1, -1)
    parts = "holds: loss under corruptions; not %s: loss under occlusion"
    elsewhere = [(e.evidence.name, o) != ("loss under occlusion", "holds") for e, o in pairs_of(one)]
    absent = [pair for pair, kept in zip(pairs_of(one), elsewhere, strict=True) if kept]
    open_ = [(e, o if kept else "undecided") for (e, o), kept in zip(pairs_of(one), elsewhere, strict=True)]
    for pairs, what in ((absent, "measured"), (open_, "decided")):
        estimates, outcomes = zip(*pairs, strict=True)
        text = verdict_text(replace(one, estimates=estimates, outcomes=outcomes))
        first, second = (named(one, outcome) for outcome in ("holds", "fails"))
        assert text == f"depends on the data set: in part for {first} ({parts % what}); not for {second}"
    whole = verdict_text(one)
    assert whole == f"depends on the data set: holds for {first}; not for {second}"


def test_many_parts_that_are_missing_are_counted():
    text = verdict_text(judged("cost", 1, -1, parts=["time of inference at equal FLOPs"]))
    held, undecided = "time of inference at equal FLOPs", "energy of inference at equal FLOPs"
    assert f"(holds: {held}; not decided: {undecided}; not measured: 6 others); not for " in text


def pairs_of(one):
    return list(zip(one.estimates, one.outcomes, strict=True))


def named(one, outcome):
    """The data set of the estimates with an outcome."""
    (name,) = {e.case["dataset"] for e, o in pairs_of(one) if o == outcome}
    return name


def test_what_is_undecided_is_said_once():
    one = judged("calibrated", 0)
    assert (verdict_text(one), count_text(one)) == ("undecided", "1 number")


def test_no_number_looks_like_0_that_is_not():
    one = judged("calibrated", 1).estimates[0]
    number = replace(one.number, value=-0.0052, low=-0.0101, high=-0.0003)
    assert number_text(replace(one, number=number)) == (
        "\N{MINUS SIGN}0.5 points (\N{MINUS SIGN}1.0 to \N{MINUS SIGN}0.03)"
    )


def test_one_pair_is_no_family():
    one = judged("calibrated", 1)
    assert one.one_pair and "alone" in claim_tables([one])["claims"]["limits"][0]
    assert not judged("calibrated", 1, 1).one_pair
    assert not judged("depth", 1).one_pair


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            ('expect = "less"', 'expct = "less"'),
            'unknown key "evidence.0.scores.expct"; did you mean "expect"?',
        ),
        (('kind = "scores"', 'kind = "score"'), "score"),
        (('of = "ece"', 'of = "eec"'), "'eec'"),
        (("number = 14", "number = 13"), "number 13 is that of another claim too"),
        (('kind = "transformer"', 'kid = "transformer"'), 'no fact "kid"; did you mean "kind"?'),
        (('of = "ece"', 'of = "loss"'), 'conditions go with of = "loss"'),
        (("margin = 0.01", "margin = -1"), "greater than 0"),
    ],
)
def test_a_file_that_is_wrong(tmp_path, change, problem):
    for path in FOLDER.glob("*.toml"):
        (tmp_path / path.name).write_text(path.read_text())
    path = tmp_path / "calibrated.toml"
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(InputError) as error:
        load_claims(tmp_path)
    assert problem in str(error.value) and "\n" not in str(error.value)


def test_false_verdicts_are_rare():
    """Where no number differs from its threshold, at most 5 % of stores give any verdict."""
    random, claims, false = np.random.default_rng(5), load_claims(), 0
    case = {"evidence": "x"}
    for _ in range(400):
        estimates = {
            claim.name: [
                Estimate(
                    replace_than(one),
                    of_values(random.normal(0, 1, 4)),
                    "points",
                    case,
                    (frozenset("a"), frozenset("b")),
                    "",
                )
                for one in claim.evidence
            ]
            for claim in claims[: 4 + random.integers(11)]
        }
        false += any(one.verdict not in ("undecided", "not measured") for one in judge(estimates, claims))
    assert 0.01 < false / 400 < 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5


def replace_than(evidence):
    """The evidence with a threshold of 0, and without a margin."""
    return evidence.model_copy(update={"than": 0.0, "margin": None})

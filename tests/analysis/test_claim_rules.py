"""Rules behind the verdicts on claims: what is lost, what counts once, and how many tests share 5 %."""

from dataclasses import replace

import numpy as np
import pytest
from plant_claims import World

from bench.analysis.claims.estimate import Estimate
from bench.analysis.claims.scores import share_lost
from bench.analysis.claims.tables import estimates_of
from bench.analysis.claims.uncertain import of_t
from bench.analysis.claims.verdict import judge
from bench.analysis.statistics import ends, parts
from bench.spec.claim import load_claims

CLAIMS = {claim.name: claim for claim in load_claims()}
CLAIM = CLAIMS["robust"]


def test_what_is_lost_is_a_share_of_what_there_is_above_chance():
    """A network at 30 % cannot lose 60 points; the interval is that of the ratio, by drawing images anew."""
    random = np.random.default_rng(0)
    clean = (random.random(4000) < 0.6).astype(float)
    disturbed = clean * (random.random(4000) < 0.7)

    def share(images):
        return (clean[images].mean() - disturbed[images].mean()) / (clean[images].mean() - 0.1)

    scores = share_lost(clean, disturbed, 0.1)
    assert scores.mean() == pytest.approx(share(slice(None)))
    drawn = np.array([share(random.integers(0, 4000, 4000)) for _ in range(2000)])
    low, high = ends(parts(scores[None]))
    assert (high - low) / 2 == pytest.approx(1.96 * drawn.std(), rel=0.08)
    assert share_lost(clean, np.full(4000, 0.1), 0.1).mean() == pytest.approx(1.0)


def estimate(evidence, value, error):
    number = of_t(value, error, 1e9)
    return Estimate(evidence, number, "share", {"evidence": "x"}, (frozenset("a"), frozenset("b")), "")


def test_both_tests_of_a_number_share_the_5_percent():
    """One number is at its threshold and surely within the margin; another lies at the margin, and may
    seem to be within. Either may be judged wrongly, in 5 % of stores at most."""
    random, evidence = np.random.default_rng(1), CLAIM.evidence[0]
    margin, false = evidence.margin, 0
    for _ in range(4000):
        near, far = 0.1 * margin, 0.33 * margin
        same = estimate(evidence, random.normal(0, near), near)
        apart = estimate(evidence, random.normal(-margin, far), far)
        (one,) = judge({CLAIM.name: [same, apart]}, [CLAIM])
        # Only half of the wrong verdicts on the first are seen: it rightly fails by the margin.
        false += 2 * (one.outcomes[0] == "holds") + (one.outcomes[1] == "fails")
    assert 0.02 < false / 4000 < 0.06


def test_what_a_comparison_repeats_counts_once():
    """The same trials in a comparison of their own: all of them, or some."""
    world = World()
    for evidence in CLAIMS["hard-to-train"].evidence:
        world.plant(evidence, 1, "first")
    before = estimates_of(CLAIMS["hard-to-train"], world.measured())
    for one in list(world.contestants):
        if one.cell.shots != 3:
            again = replace(one.cell, comparison=f"{one.cell.comparison} again")
            world.contestants.append(replace(one, cell=again))
    after = estimates_of(CLAIMS["hard-to-train"], world.measured())
    assert [(one.case, one.runs) for one in after] == [(one.case, one.runs) for one in before]


def test_trials_of_one_search_fail_as_one():
    """A learning rate that fails makes every trial of its network and subset fail: that is one failure."""
    evidence = CLAIMS["hard-to-train"].evidence[2]
    world = World()
    world.plant(evidence, 1, "first")
    (one,) = estimates_of(
        CLAIMS["hard-to-train"].model_copy(update={"evidence": (evidence,)}), world.measured()
    )
    a, b = ([c for c in world.contestants if c.cell.contestant == key] for key in "ab")
    assert len(one.runs) == sum(len(c.records) for c in a + b) and one.number.value == 1.0
    # By Agresti and Caffo, 10 of 10 against 0 of 10 networks, whatever number of trials each has.
    p, q, n = 11 / 12, 1 / 12, 12
    assert one.number.low == pytest.approx(
        (p - q) - 1.96 * (p * (1 - p) / n + q * (1 - q) / n) ** 0.5, abs=1e-3
    )


def test_a_number_that_was_decided_stands_in_no_verdicts_way():
    """The second is within the margin, which is decided; its interval alone would be above the threshold."""
    claim = CLAIMS["depth"]
    evidence = claim.evidence[0]
    margin = evidence.margin
    (one,) = judge(
        {
            claim.name: [
                estimate(evidence, -5 * margin, margin / 3),
                estimate(evidence, 0.3 * margin, 0.146 * margin),
            ]
        },
        [claim],
    )
    assert one.outcomes == ("fails", "fails") and one.verdict == "contradicted"


@pytest.mark.parametrize(("untrained", "count"), [((), 1), (("a",), 1), (("b",), 1), (("a", "b"), 0)])
def test_two_trainings_of_one_network_count_if_one_of_them_trained(untrained, count):
    evidence = next(one for one in CLAIMS["deit"].evidence if "model" in one.alike)
    world = World()
    world.plant(evidence, 1, "first")
    measured = world.measured()
    pairs = list(measured.pairs(evidence))
    assert len(pairs) == 1 and not any(one.untrained for one in pairs[0])
    changed = [
        replace(one, untrained="training loss at chance" if one.cell.contestant in untrained else None)
        for one in world.contestants
    ]
    assert len(list(replace(measured, contestants=changed).pairs(evidence))) == count

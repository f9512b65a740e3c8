"""The cost of one side over that of the other at equal accuracy, against the jackknife written out."""

from dataclasses import replace

import numpy as np
import pytest
from plant_claims import World
from scipy import stats

from bench.analysis.claims.costs import equal_accuracy
from bench.spec.claim import load_claims

CLAIM = next(one for one in load_claims() if one.name == "cost")
COSTS = np.array([1.0, 2.0, 4.0, 3.0, 6.0, 12.0])
# Three sizes of the one and of the other, four replicates; in the last the large one has bad luck.
TOP1 = np.array(
    [
        [0.50, 0.60, 0.71, 0.49, 0.61, 0.70],
        [0.52, 0.59, 0.70, 0.51, 0.60, 0.69],
        [0.49, 0.61, 0.69, 0.50, 0.62, 0.71],
        [0.58, 0.60, 0.57, 0.52, 0.59, 0.70],
    ]
)


def estimates(of, top1=TOP1, **changes):
    evidence = next(one for one in CLAIM.evidence if one.name == f"{of} at equal accuracy")
    world = World()
    for at, (cost, column) in enumerate(zip(COSTS, top1.T, strict=True)):
        facts = {"kind": "transformer" if at < 3 else "cnn", "position": "learn" if at < 3 else None}
        values = iter(column)
        world._contestant(
            f"c{at}",
            facts,
            "sizes",
            "digits",
            20,
            0.5,
            {"top1": lambda own=values: next(own, 0.9)},
            f"m{at}",
            cost,
        )
        one = world.contestants[-1]
        cell = replace(one.cell, replicates=one.cell.replicates[: len(top1)])
        world.contestants[-1] = replace(one, cell=cell)
        for table in ("speed", "memory"):
            row = world._setting(f"m{at}", evidence.mode, "machine", cost, peak_rss_mib=cost)
            world.rows[table].append(row | changes)
    return [one.number for one in equal_accuracy(evidence, world.measured())]


def expected(top1):
    """The log-ratio at the middle of the mean accuracies that both reach, on least-squares lines."""
    mean, logs = top1.mean(0), np.log(COSTS)
    middle = (max(mean[:3].min(), mean[3:].min()) + min(mean[:3].max(), mean[3:].max())) / 2
    a, b = (stats.linregress(logs[side], mean[side]) for side in (slice(3), slice(3, 6)))
    return (middle - a.intercept) / a.slope - (middle - b.intercept) / b.slope


def test_a_replicate_in_which_more_cost_gave_less_counts_like_the_others():
    assert stats.linregress(np.log(COSTS[:3]), TOP1[3, :3]).slope < 0
    (number,) = estimates("FLOPs")
    pseudo = [4 * expected(TOP1) - 3 * expected(np.delete(TOP1, r, axis=0)) for r in range(4)]
    interval = stats.ttest_1samp(pseudo, 0).confidence_interval(0.95)
    assert number.value == pytest.approx(np.mean(pseudo))
    assert (number.low, number.high) == pytest.approx(tuple(interval))


def test_nothing_where_more_cost_gives_less_and_no_interval_where_it_hangs_on_one_replicate():
    worse = TOP1.copy()
    worse[:, 2] = worse[:, 0] - 0.05
    assert estimates("FLOPs", worse) == []
    worse[3, 2] = 0.99  # without this replicate it gives less
    assert worse.mean(0)[2] > worse.mean(0)[0]
    (number,) = estimates("FLOPs", worse)
    assert number.value == pytest.approx(expected(worse)) and number.low is None


def test_networks_of_one_cost_tell_nothing():
    assert estimates("memory of a training step", peak_allocated_mib=100.0) == []


def test_memory_of_one_process_has_no_interval_and_a_gpus_has():
    (counted,) = estimates("memory of a training step")
    assert counted.low is not None
    (resident,) = estimates("memory of a training step", peak_allocated_mib=np.nan)
    assert resident.low is None and resident.p(0.0) == 1.0 and resident.value == pytest.approx(counted.value)
    (timed,) = estimates("time of inference")
    assert timed.value == pytest.approx(counted.value) and timed.low is not None

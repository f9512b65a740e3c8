import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.crossovers import crossover
from bench.analysis.statistics import Contrast

SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)


def contrasts(*estimates, half=0.02, delta=0.03):
    low, high = np.subtract(estimates, half), np.add(estimates, half)
    within = (low > -delta) & (high < delta)
    words = ["better", "worse", "equivalent"]
    verdicts = np.select([low > 0, high < 0, within], words, "inconclusive").tolist()
    return [
        Contrast(e, e - half, e + half, half, half, 5, 100, verdict=v, delta=delta, alpha=0.05, comparisons=6)
        for e, v in zip(estimates, verdicts, strict=True)
    ]


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

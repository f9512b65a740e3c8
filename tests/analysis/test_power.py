"""Power and the numbers it needs, against simulated tables that are judged one by one."""

import numpy as np
import pytest

from bench.analysis.power import POWER, expected, power, sizes
from bench.analysis.statistics import Parts, mean_squares, p_different, parts

RUN, IMAGE, REST, ALPHA = 0.02, 0.2, 0.3, 0.01
"""Standard deviations of a table, and the level of its test."""


def known(replicates, images):
    """The parts of a table as its expected mean squares have them."""
    rep, img = images * RUN**2 + REST**2, replicates * IMAGE**2
    columns = (0.0, rep, img, REST**2, replicates - 1.0, replicates, images)
    return Parts(*(np.array(column, float) for column in columns))


def tables(number, replicates, images, difference, rng):
    effects = RUN * rng.standard_normal((number, replicates, 1)) + IMAGE * rng.standard_normal(
        (number, 1, images)
    )
    return difference + effects + REST * rng.standard_normal((number, replicates, images))


def test_expected_parts_are_those_of_simulated_tables():
    of = known(4, 30)
    for replicates, images in ((4, 30), (7, 30), (3, 90)):
        rep, img, res = np.mean(
            mean_squares(tables(4000, replicates, images, 0, np.random.default_rng(0))), 1
        )
        found = expected(of, replicates, images)
        assert [rep, img, res] == pytest.approx(
            [float(found.rep), float(found.img + found.res), float(found.res)], rel=0.06
        )
        assert found.freedom == replicates - 1


@pytest.mark.parametrize(("replicates", "images"), [(3, 100), (5, 100), (12, 100), (5, 400)])
def test_power_is_how_often_simulated_tables_find_the_difference(replicates, images):
    made = tables(2000, replicates, images, 0.1, np.random.default_rng(1))
    of = parts(made)
    rate = ((p_different(of) <= ALPHA) & (of.estimate > 0)).mean()
    assert power(known(5, 250), 0.1, replicates, images, ALPHA) == pytest.approx(rate, abs=0.035)


def test_the_least_numbers_that_suffice_do_and_fewer_do_not():
    found = sizes(known(5, 150), 0.08, ALPHA)
    assert found.power < POWER and found.replicates > 5 and found.images > 150
    for replicates, images in ((found.replicates, 150), (5, found.images)):
        assert power(known(5, 150), 0.08, replicates, images, ALPHA) >= POWER
    assert power(known(5, 150), 0.08, found.replicates - 1, 150, ALPHA) < POWER
    assert power(known(5, 150), 0.08, 5, 0.97 * found.images, ALPHA) < POWER
    rng = np.random.default_rng(2)
    rate = (p_different(parts(tables(1000, found.replicates, 150, 0.08, rng))) <= ALPHA).mean()
    assert rate == pytest.approx(POWER, abs=0.06)


def test_where_images_or_replicates_are_too_few_for_any_number_of_the_other():
    # A difference of one point is not found with 150 images, as IMAGE / sqrt(150) is 1.6 points.
    found = sizes(known(5, 150), 0.01, ALPHA)
    assert found.replicates is None and power(known(5, 150), 0.01, 1e9, 150, ALPHA) < POWER
    # Nor with 3 replicates, which differ by two points.
    found = sizes(known(3, 150), 0.01, ALPHA)
    assert found.images is None and found.replicates is None
    assert sizes(parts(np.ones((3, 20))), 0.01, ALPHA) is None


def test_one_deterministic_run_needs_images_alone():
    table = np.random.default_rng(3).standard_normal((1, 500)) / 3
    found = sizes(parts(table), 0.02, 0.05)
    # The closed form of a z test.
    expected = ((1.96 + 0.8416) * table.std() / 0.02) ** 2
    assert found.replicates is None and found.images == pytest.approx(expected, rel=0.02)

"""A few faults of every run of the tests; `nox -s faults` tries many."""

import random
import sys

import pytest
from faults import kinds
from faults.child import MOMENTS
from faults.power import Layer

from bench.files import write_text

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked and killed as on Linux")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return kinds.Bench.make(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("act", ["kill", "power"])
def test_whatever_it_was_doing_a_run_that_is_killed_ends_with_the_same_numbers(bench, act):
    some = sorted(random.Random(act).sample(MOMENTS, 3), key=MOMENTS.index)
    rows = list(kinds.kills(bench, 1 + (act == "kill"), act, some))
    assert sum(row.times for row in rows) and not [row.found for row in rows if row.found]


def test_what_was_written_is_there_after_a_power_loss(tmp_path):
    """Whatever of the names that were not synced is lost, new folders with them."""
    for seed in map(str, range(20)):
        path = tmp_path / f"store-{seed}" / "runs" / "0123" / "record.json"
        with Layer(tmp_path, seed) as layer:
            for content in ("first", "second"):
                write_text(path, content)
            layer.lose()
        assert path.exists() and path.read_text() == "second"


@pytest.mark.parametrize("kind", ["no_locks", "memory", "nan"])
def test_one_line_and_the_same_numbers_afterwards(bench, kind):
    rows = list(kinds.KINDS[kind](bench, 1))
    assert rows and not [row.found for row in rows if row.found]

"""How busy a machine was with something else, from made-up readings of its clocks."""

import pytest

from bench.measure import load


@pytest.fixture
def machine(monkeypatch):
    """A machine of four cores; sets how many of them all processes and this one have used in 10 s."""
    readings = {"all": 100.0, "own": 5.0, "now": 50.0}
    monkeypatch.setattr(load, "_busy_seconds", lambda: readings["all"])
    monkeypatch.setattr(load.time, "process_time", lambda: readings["own"])
    monkeypatch.setattr(load.time, "perf_counter", lambda: readings["now"])
    monkeypatch.setattr(load.psutil, "cpu_count", lambda: 4)

    def passed(all_cores, own_cores):
        before = load.OtherLoad()
        readings["now"] += 10
        readings["all"] += 10 * all_cores
        readings["own"] += 10 * own_cores
        return before.facts()

    return passed


@pytest.mark.parametrize(
    ("all_cores", "own_cores", "others", "busy"),
    [(2.1, 2.0, 0.1, False), (2.5, 2.0, 0.5, True), (2.0, 2.0, 0.0, False), (1.9, 2.0, 0.0, False)],
)
def test_a_tenth_of_the_cores_taken_by_others_is_busy(machine, all_cores, own_cores, others, busy):
    found = machine(all_cores, own_cores)
    assert found["other_cores"] == pytest.approx(others) and found["busy"] is busy


def test_time_of_guests_is_not_counted_twice(monkeypatch):
    times = type(
        "Times", (), {"_asdict": lambda self: {"user": 5.0, "guest": 3.0, "idle": 9.0, "steal": 1.0}}
    )
    monkeypatch.setattr(load.psutil, "cpu_times", times)
    assert load._busy_seconds() == 6.0

"""Warm-up, sampling and summaries on made-up clocks: no test asserts how long anything takes."""

import statistics
import time

import numpy as np
import pytest
import torch
from scipy import stats

from bench.profiling import loading
from bench.profiling.config import LoadingConfig
from bench.profiling.samples import summarise
from bench.profiling.timing import WINDOW, sample, wall_clock, warm_up


def clock_of(seconds):
    """A clock that gives these seconds one after the other, and the last of them for ever."""
    left = list(seconds)

    def clock(count):
        return [left.pop(0) if len(left) > 1 else left[0] for _ in range(count)]

    return clock


def test_warm_up_goes_on_until_two_windows_agree():
    steps, steady = warm_up(clock_of([9.0] * WINDOW + [3.0] * WINDOW + [1.0]), 0.0, 1e9)
    assert (steps, steady) == (4 * WINDOW, True)


def test_warm_up_takes_the_seconds_it_is_given():
    steps, steady = warm_up(clock_of([1.0]), 10.0, 1e9)
    assert steady and 10 <= steps < 10 + WINDOW


def test_warm_up_of_what_never_settles_ends():
    steps, steady = warm_up(clock_of([2.0**n for n in range(60)]), 0.0, 1e6)
    assert not steady and steps < 60


def test_sampling_needs_both_repeats_and_seconds():
    assert sample(clock_of([0.5]), 10, 1.0) == [0.5] * 10
    assert sample(clock_of([0.5]), 1, 4.0) == [0.5] * 8
    assert len(sample(clock_of([0.5]), 3, 0.0, block=2)) == 4


def test_the_wall_clock_gives_one_number_a_step():
    calls = []
    begun = time.perf_counter()
    seconds = wall_clock(lambda: calls.append(time.sleep(0.002)))(4)
    assert len(seconds) == len(calls) == 4
    assert min(seconds) >= 0.002 and sum(seconds) <= time.perf_counter() - begun


def test_the_wall_clock_of_a_gpu_waits_before_and_after_every_step(monkeypatch):
    """Also where the first step is what first uses the GPU."""
    calls = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: calls.append("wait"))
    assert not torch.cuda.is_initialized()
    wall_clock(lambda: calls.append("step"), "cuda")(2)
    assert calls == ["wait", "step", "wait"] * 2


@pytest.mark.parametrize("path", ["jpeg", "cache"])
def test_loading_to_a_gpu_is_timed_until_the_images_are_there(monkeypatch, path):
    asked = []

    def clock(step, device="cpu"):
        asked.append(device)
        return clock_of([0.01])

    made = {f"_{path}": lambda *_: (lambda: None, {})}
    for name, value in (made | {"wall_clock": clock}).items():
        monkeypatch.setattr(loading, name, value)
    found = loading.measure_loading(LoadingConfig(path, 2, 16, "cuda", 1), repeats=1, seconds=0.0)
    assert asked == ["cuda"] and found["clock"] == "perf_counter, synchronised"


def test_summary_against_numpy_and_scipy():
    random = np.random.default_rng(0)
    samples = [(10 + random.random(40)).tolist() for _ in range(3)]
    found = summarise(samples, batch_size=8)
    pooled = [value for one in samples for value in one]
    assert found["latency_ms_median"] == pytest.approx(statistics.median(pooled))
    assert [found["latency_ms_q1"], found["latency_ms_q3"]] == pytest.approx(np.percentile(pooled, [25, 75]))
    rates = [8000 / statistics.median(one) for one in samples]
    assert found["images_per_s"] == pytest.approx(statistics.fmean(rates))
    interval = stats.t.interval(0.95, 2, loc=np.mean(rates), scale=stats.sem(rates))
    assert [found["images_per_s_low"], found["images_per_s_high"]] == pytest.approx(interval)
    assert (found["samples"], found["processes"], found["unstable"]) == (120, 3, False)
    assert found["latency_ms_p95"] == pytest.approx(np.percentile(pooled, 95))
    assert found["latency_ms_p99"] is None


def test_a_rate_lies_in_its_interval_however_many_steps_each_process_took():
    """Of fast processes there are more steps: the median of all of them is theirs."""
    found = summarise([[10.0] * 100, [12.0] * 5, [12.0] * 5, [12.1] * 5, [11.9] * 5], 1)
    assert found["latency_ms_median"] == 10.0
    assert found["images_per_s_low"] < found["images_per_s"] < found["images_per_s_high"] < 100


@pytest.mark.parametrize(
    ("last", "processes", "unstable"), [(10.3, 3, False), (10.5, 3, True), (11.0, 8, False), (12.5, 8, True)]
)
def test_a_row_is_unstable_while_its_interval_is_wide(last, processes, unstable):
    """Against scipy's own interval of a mean; one process that is off weighs less among eight."""
    steps = [[10.0] * 5] * (processes - 1) + [[last] * 5]
    rates = [1000 / one[0] for one in steps]
    low, high = stats.t.interval(0.95, processes - 1, np.mean(rates), stats.sem(rates))
    assert ((high - low) / 2 > 0.05 * np.mean(rates)) == unstable
    assert summarise(steps, 1)["unstable"] is unstable

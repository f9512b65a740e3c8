"""Rounds of worker processes: their order, and what becomes of rows that fail."""

from collections import Counter
from dataclasses import replace

import pytest

from bench.measure import processes, rounds
from bench.measure.rounds import Effort, measure_rows
from bench.measure.setting import Setting

SMALL = Setting("vit_digits", "infer", 2, 16, 10, "fp32", "contiguous", False, "cpu", 1)


@pytest.fixture
def asked(monkeypatch):
    """Answers jobs without a process; batches above 8 run out of memory. Gives the list of jobs."""
    jobs = []

    def answer(job):
        jobs.append(job)
        if job["task"] == "matmul":
            return {"outcome": "measured", "flops_per_s": 1e9 * len(jobs), "shape": [1, 1, 1]}
        if job["setting"]["batch_size"] > 8:
            return {"outcome": "out_of_memory"}
        return {"outcome": "measured", "seconds": [0.001]}

    monkeypatch.setattr(rounds, "ask", answer)
    monkeypatch.setattr(processes, "ask", answer)
    return jobs


def test_every_round_has_every_row_once_in_an_order_of_its_own(asked):
    settings = [replace(SMALL, batch_size=size) for size in range(1, 9)]
    rows, peaks = measure_rows(settings, Effort(processes=3))
    assert [row.setting for row in rows] == settings
    assert [len(row.results) for row in rows] == [3] * 8
    order = [job["setting"]["batch_size"] if "setting" in job else 0 for job in asked]
    turns = [order[start : start + 9] for start in (0, 9, 18)]
    assert len(order) == 27 and all(sorted(turn) == list(range(9)) for turn in turns)
    assert len({tuple(turn) for turn in turns}) == 3
    assert peaks["fp32"]["flops_per_s"] == 1e9 * (
        max(n for n, job in enumerate(asked) if "device" in job) + 1
    )


def test_out_of_memory_is_a_result_with_the_largest_batch(asked):
    settings = [replace(SMALL, batch_size=size) for size in (4, 64)]
    small, large = measure_rows(settings, Effort(processes=3))[0]
    assert len(small.samples) == 3 and small.failure is None
    assert large.failure == {"outcome": "out_of_memory", "largest_batch": 8}
    tried = Counter((job["task"], job["setting"]["batch_size"]) for job in asked if "setting" in job)
    assert tried == {("speed", 4): 3, ("speed", 64): 1, ("fits", 32): 1, ("fits", 16): 1, ("fits", 8): 1}


@pytest.mark.slow
def test_a_real_worker_that_runs_out_of_memory_says_so():
    huge = replace(SMALL, batch_size=200_000)
    job = processes.job_of("speed", huge, 2**30, repeats=1, seconds=0.0)
    assert processes.ask(job) == {"outcome": "out_of_memory"}


@pytest.mark.slow
def test_a_real_worker_that_breaks_gives_its_last_line():
    found = processes.ask({"task": "speed", "threads": 1, "setting": {"nonsense": 1}})
    assert found["outcome"] == "failed" and "nonsense" in found["reason"]


def test_threads_follow_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert processes.default_threads() == 7
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert processes.default_threads() >= 1

"""Rounds of worker processes: their order, and what becomes of rows that fail."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace

import psutil
import pytest
import torch

from bench.profiling import processes
from bench.profiling.config import LimitConfig, LoadingConfig, NetworkConfig
from bench.profiling.job import Budget, profile_job
from bench.profiling.samples import is_unstable
from bench.profiling.scheduler import Row, measure_rows
from bench.profiling.session import Session
from bench.training.memory import is_out_of_memory

SMALL = NetworkConfig("vit_digits", "infer", 2, 16, 10, "fp32", "contiguous", False, "cpu", 1)


@pytest.fixture
def asked(monkeypatch):
    """Answers jobs without a process; batches above 8 run out of memory. Gives the list of jobs."""
    jobs = []

    def answer(job, *_):
        jobs.append(job)
        if job["kind"] == "matmul":
            return {"outcome": "measured", "flops_per_s": 1e9 * len(jobs), "shape": [1, 1, 1]}
        if job["kind"] == "bandwidth":
            return {"outcome": "measured", "bytes_per_s": 1e9 / len(jobs)}
        if job["config"]["batch_size"] > 8:
            return {"outcome": "out_of_memory"}
        return {"outcome": "measured", "seconds": [0.001]}

    monkeypatch.setattr(processes, "ask", answer)
    return jobs


def speed_row(batch_size=SMALL.batch_size, budget=None, results=()):
    config = replace(SMALL, batch_size=batch_size)
    return Row(profile_job("speed", config, budget or Budget()), list(results))


def batch_sizes(jobs):
    """Of those jobs that are of a network."""
    return [job["config"]["batch_size"] for job in jobs if "batch_size" in job["config"]]


def test_limits_are_left_out_where_a_row_does_without(asked):
    row = speed_row(budget=Budget(limits=False))
    assert list(measure_rows([row], Session(), seed=0)) == [row] and len(row.results) == 3
    assert [job["kind"] for job in asked] == ["speed"] * 3
    both = [speed_row(1, Budget(limits=False)), speed_row(2)]
    list(measure_rows(both, Session(), seed=0))
    assert [job["kind"] for job in asked].count("matmul") == 3


def test_every_round_has_every_row_once_in_an_order_of_its_own(asked):
    rows, session = [speed_row(size) for size in range(1, 9)], Session()
    ended = list(measure_rows(rows, session, seed=0))
    assert {id(row) for row in ended} == {id(row) for row in rows}
    assert [len(row.results) for row in rows] == [3] * 8
    order = [job["config"].get("batch_size", job["kind"]) for job in asked]
    turns = [order[start : start + 10] for start in (0, 10, 20)]
    assert len(order) == 30 and all(turn[:2] == ["matmul", "bandwidth"] for turn in turns)
    assert all(sorted(turn[2:]) == list(range(1, 9)) for turn in turns)
    assert len({tuple(turn) for turn in turns}) == 3
    matmul = session.limits[profile_job("matmul", LimitConfig("cpu", 1, "fp32"))]
    bandwidth = session.limits[profile_job("bandwidth", LimitConfig("cpu", 1))]
    assert matmul["flops_per_s"] == 1e9 * 21 and bandwidth["bytes_per_s"] == 1e9 / 2


def test_rows_end_one_by_one_in_the_last_round_and_go_on_from_what_they_have(asked):
    half = speed_row(results=[{"outcome": "measured", "seconds": [0.002]}] * 2)
    whole, done = speed_row(4), speed_row(8, results=[{"outcome": "measured"}] * 3)
    kept, ended = [], []
    rows = [half, whole, done]
    for row in measure_rows(rows, Session(), keep=lambda row: kept.append(len(row.results))):
        ended.append((row.job.config.batch_size, len(batch_sizes(asked))))
    assert ended[0] == (8, 0)  # asked for fewer processes than before, it has them already
    assert [size for size, _ in ended[1:]] == [2, 4] and ended[1][1] <= 2 and ended[2][1] == 4
    assert sorted(kept) == [1, 2, 3, 3]
    assert half.samples == [[2.0], [2.0], [1.0]]


def test_a_stop_is_heeded_between_two_processes(asked):
    rows = [speed_row(size) for size in range(1, 5)]
    assert not list(measure_rows(rows, Session(should_stop=lambda: len(asked) == 5)))
    assert len(asked) == 5 and sum(len(row.results) for row in rows) == 3


def test_out_of_memory_is_a_result_with_the_largest_batch(asked):
    small, large = speed_row(4), speed_row(64)
    assert next(measure_rows([large], Session())) is large
    large.results.clear()
    asked.clear()
    list(measure_rows([small, large], Session()))
    assert len(small.samples) == 3 and small.failure is None
    assert large.failure == {"outcome": "out_of_memory", "largest_batch": 8}
    networks = [job for job in asked if job["kind"] == "speed"]
    tried = Counter((job["method"], job["config"]["batch_size"]) for job in networks)
    measured = {("measure", 4): 3, ("measure", 64): 1}
    assert tried == measured | {("fits", 32): 1, ("fits", 16): 1, ("fits", 8): 1}


def test_files_that_a_control_group_has_read_are_no_memory_taken(tmp_path):
    """Of 4 MB 3.5 MB are in use, 3 MB of them for pages of files: 3.5 MB less the reserve can be had."""
    for name, text in {
        "max": "4000000\n",
        "current": "3500000\n",
        "stat": "anon 500000\nfile 3000000\ninactive_file 2000000\nactive_file 1000000\n",
    }.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert processes.available_memory(tmp_path) == 3_150_000
    (tmp_path / "memory.max").write_text("max\n")
    assert processes.available_memory(tmp_path) > 3_150_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes", True),
        ("CUDA error: out of memory", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("CUDA error: an illegal memory access was encountered", False),
    ],
)
def test_every_way_in_which_pytorch_says_that_memory_is_out(text, expected):
    assert is_out_of_memory(RuntimeError(text)) is expected
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))


def test_an_unstable_row_gets_more_processes_up_to_a_bound(monkeypatch):
    """One row settles as its odd process weighs less, one never does, one may not have more."""
    times = {1: [1.0, 1.3, 1.0] + [1.0] * 20, 2: [1.0, 2.0] * 20, 4: [1.0, 2.0] * 20, 8: [1.0] * 20}
    taken, limits = Counter(), []

    def answer(job, *_):
        if job["kind"] != "speed":
            limits.append(job["kind"])
            return {"outcome": "failed"}
        size = job["config"]["batch_size"]
        taken[size] += 1
        return {"outcome": "measured", "seconds": [times[size][taken[size] - 1]]}

    monkeypatch.setattr(processes, "ask", answer)
    rows = {size: speed_row(size, Budget(max_processes=12)) for size in (1, 2, 8)} | {4: speed_row(4)}
    ended = [row.job.config.batch_size for row in measure_rows(list(rows.values()), Session(), seed=0)]
    assert taken == {1: 11, 2: 12, 4: 3, 8: 3} and sorted(ended) == [1, 2, 4, 8]
    # One of 11 processes at 1.3 s: rates 1 and 0.77, sd 0.070; 2.23 x 0.070 / 11^0.5 is 4.8 % of 0.98.
    assert not is_unstable(rows[1].samples) and is_unstable(rows[2].samples)
    assert len(limits) == 2 * 3


def test_a_stop_ends_the_process_that_measures_and_keeps_the_others(monkeypatch):
    kept = []

    def answer(job, should_stop):
        if len(kept) == 2:
            raise processes.Stopped
        return {"outcome": "measured", "seconds": [0.001]}

    monkeypatch.setattr(processes, "ask", answer)
    rows = [Row(profile_job("loading", LoadingConfig("jpeg", size, 16, "cpu", 1))) for size in (1, 2, 4)]
    assert not list(measure_rows(rows, Session(), keep=kept.append))
    assert sum(len(row.results) for row in rows) == 2


@pytest.fixture(params=[True, False], ids=["forked", "from nothing"])
def forked(request):
    """Whether a worker is forked from one that has imported everything, which is ended afterwards."""
    if request.param and not processes.CAN_FORK:
        pytest.skip("no forking here")
    yield request.param
    processes.renew()


def test_a_real_worker_is_ended_within_two_seconds_of_a_stop(forked):
    began = time.monotonic()
    job = processes.worker_job("speed", SMALL, repeats=1, seconds=600.0) | {"forked": forked}
    with pytest.raises(processes.Stopped):
        processes.ask(job, lambda: time.monotonic() > began + 0.2)
    assert not workers()


def test_a_real_worker_that_does_not_answer_is_ended(forked):
    job = processes.worker_job("speed", SMALL, repeats=1, seconds=600.0) | {"forked": forked}
    found = processes.ask(job, limit=0.3)
    assert found["outcome"] == "failed" and "no answer after 0.3 s" in found["reason"]
    assert not workers()


def test_a_real_worker_that_the_system_kills_counts_as_out_of_memory(forked):
    """Another thread kills it, and, where it was forked, not the process that it came from."""
    job = processes.worker_job("speed", SMALL, repeats=1, seconds=600.0) | {"forked": forked}

    def kill():
        def at_work(worker):
            return worker.cpu_times().user > (0.1 if forked else 3)

        while not (found := [one for one in measuring(forked) if at_work(one)]):
            time.sleep(0.1)
        found[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    assert processes.ask(job, limit=60) == {"outcome": "out_of_memory"}
    killer.join()
    assert len(workers()) == int(forked)


@pytest.mark.skipif(not processes.CAN_FORK, reason="no forking here")
def test_forked_workers_share_nothing_and_memory_is_not_counted_in_one():
    """One fails, one takes another number of threads: what follows is measured as if it were the first."""
    sound = processes.worker_job("speed", SMALL, repeats=2, seconds=0.0)
    broken = sound | {"config": {"nonsense": 1}}
    try:
        first = processes.ask(sound)
        assert "nonsense" in processes.ask(broken)["reason"]
        (server,) = workers()
        again = processes.ask(sound)
        assert workers() == [server]
        two = processes.ask(sound | {"threads": 2})
        assert workers() != [server] and len(workers()) == 1
    finally:
        processes.renew()
    assert first["error"] == again["error"] and (first["threads"], two["threads"]) == (1, 2)
    assert not processes.worker_job("memory", SMALL)["forked"]
    assert processes.worker_job("memory", replace(SMALL, device="cuda"))["forked"] and not workers()


def test_every_round_forks_from_a_process_of_its_own(asked, monkeypatch):
    renewed = []
    monkeypatch.setattr(processes, "renew", lambda: renewed.append(len(batch_sizes(asked))))
    list(measure_rows([speed_row(1), speed_row(2)], Session()))
    assert renewed == [0, 2, 4]


def measuring(forked):
    """Those that measure: the children of the process that forks."""
    return [child for worker in workers() for child in worker.children()] if forked else workers()


def workers():
    return [child for child in psutil.Process().children() if "bench.profiling.worker" in child.cmdline()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's signal is Linux's")
@pytest.mark.parametrize("early", [False, True], ids=["while it works", "before it asks"])
def test_a_worker_ends_with_the_process_that_asked(early):
    """A process starts one that asks to end with it, and is killed: the kernel closes the other's pipe."""
    inner = (
        "import os, sys, time; from bench.profiling.worker import die_with; "
        f"parent = {'1' if early else 'os.getppid()'}; die_with(parent); "
        "print('working', flush=True); time.sleep(600)"
    )
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    environment = os.environ | {"PYTHONPATH": str(processes.ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", outer], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as asking:
        if early:
            assert asking.stdout.read() == b""
        else:
            assert asking.stdout.readline() == b"working\n"
            asking.kill()
            assert asking.stdout.read() == b""


@pytest.mark.slow
def test_a_real_worker_that_runs_out_of_memory_says_so():
    huge = replace(SMALL, batch_size=200_000)
    job = processes.worker_job("speed", huge, repeats=1, seconds=0.0)
    assert processes.ask(job | {"memory_limit": 2**30}) == {"outcome": "out_of_memory"}
    processes.renew()


@pytest.mark.slow
def test_a_real_worker_that_breaks_gives_its_last_line():
    found = processes.ask(
        {
            "kind": "speed",
            "method": "measure",
            "threads": 1,
            "forked": False,
            "config": {"nonsense": 1},
            "options": {},
        }
    )
    assert found["outcome"] == "failed" and "nonsense" in found["reason"]


def test_threads_follow_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert processes.default_threads() == 7
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert processes.default_threads() >= 1

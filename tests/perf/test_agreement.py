"""Our throughput against an independent measurement of the same thing, round by round in turn.

A machine is busy here when, while one side was measured, other processes had more than a tenth of its cores
(the time that all cores were at work, less that of our own processes; the median over the rounds). What was
measured on a busy machine, or lies apart, is measured once more. Where it stays busy the test is skipped with
its ratio, which then says nothing.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.measure.processes import ask, default_threads, job_of
from bench.measure.setting import Setting

ROUNDS, ATTEMPTS, SECONDS = 3, 2, 2.0
WITHIN = 0.05
BUSY_SHARE = 0.1
CASES = {
    "deit_tiny, one image": ("deit_tiny_patch16_224", "infer", 1, "fp32", "contiguous"),
    "resnet18, a batch": ("resnet18", "infer", 8, "fp32", "channels_last"),
    "deit_tiny, bf16": ("deit_tiny_patch16_224", "infer", 8, "bf16", "contiguous"),
    "resnet18, training": ("resnet18", "train", 8, "fp32", "contiguous"),
}


def ours(setting: Setting) -> float:
    """The median ms of a step in one process of the harness."""
    found = ask(job_of("speed", setting, None, repeats=5, seconds=SECONDS))
    assert found["outcome"] == "measured", found
    return 1000 * statistics.median(found["seconds"])


def theirs(setting: Setting) -> float:
    """The same from a process that knows nothing of the harness, with as many threads."""
    words = (setting.model, setting.mode, setting.batch_size, setting.input_size, setting.precision)
    words += (setting.memory_format, setting.threads, SECONDS)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_NUM_THREADS": str(setting.threads), "MKL_NUM_THREADS": str(setting.threads)}
    ran = subprocess.run(
        [sys.executable, Path(__file__).with_name("independent.py"), *map(str, words)],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    return statistics.median(json.loads(ran.stdout))


def watched(measure, setting: Setting) -> tuple[float, float]:
    """What `measure` gives, and the cores that others kept busy meanwhile."""
    begun, before = time.perf_counter(), _seconds()
    found = measure(setting)
    taken, own = _seconds()[0] - before[0], _seconds()[1] - before[1]
    return found, max(taken - own, 0.0) / (time.perf_counter() - begun)


def _seconds() -> tuple[float, float]:
    """Seconds that the machine's cores have worked, and those of this process's finished children and own."""
    machine = psutil.cpu_times()._asdict()
    idle = ("idle", "iowait", "guest", "guest_nice")
    own = psutil.Process().cpu_times()
    mine = own.user + own.system + own.children_user + own.children_system
    return sum(value for name, value in machine.items() if name not in idle), mine


@pytest.mark.parametrize("case", CASES)
def test_agreement(case, capsys):
    model, mode, batch, precision, layout = CASES[case]
    threads = default_threads()
    setting = Setting(model, mode, batch, 224, 1000, precision, layout, False, "cpu", threads)
    limit = BUSY_SHARE * (psutil.cpu_count() or 1)
    for attempt in range(1, ATTEMPTS + 1):
        ms, others = {ours: [], theirs: []}, []
        for turn in range(ROUNDS):
            for side in (ours, theirs) if turn % 2 else (theirs, ours):
                found, cores = watched(side, setting)
                ms[side].append(found)
                others.append(cores)
        ratio = statistics.median(ms[theirs]) / statistics.median(ms[ours])
        busy = statistics.median(others) > limit
        rates = (f"{1000 * batch / statistics.median(ms[side]):.4g}" for side in (ours, theirs))
        said = (
            f"{case}: harness / independent {ratio:.3f} ({' / '.join(rates)} images/s, {threads} threads, "
            f"attempt {attempt}; others had {statistics.median(others):.2f} cores)"
        )
        with capsys.disabled():
            print(f"\n{said}")
        if not busy and abs(ratio - 1) <= WITHIN:
            return
    if busy:
        pytest.skip(f"busy machine: {said}")
    pytest.fail(said)

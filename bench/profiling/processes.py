"""Worker processes: how each is started, what it is given, and what becomes of one that dies."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from bench.profiling.config import WorkerConfig

ROOT = Path(__file__).parent.parent.parent
# What the machine keeps of its free memory: a measurement must not take others' processes down.
RESERVE = 0.1
# A worker that has not answered after this long is hung: in a compiler, or in a driver.
LIMIT_S = 900.0
# How often, in seconds, it is asked whether to stop while a worker measures.
LOOK_S = 0.5
EXCEPTION = re.compile(r"[\w.]*(Error|Exception|Failed|Unsupported)\b")


class Stopped(Exception):
    """Asked to stop while a worker was measuring; what it had is lost."""


def ask(
    job: dict[str, Any], should_stop: Callable[[], bool] = lambda: False, limit: float = LIMIT_S
) -> dict[str, Any]:
    """The result of a job (see `bench.profiling.worker`), from a process of its own.

    A worker that the system kills counts as out of memory; one that takes longer than `limit` seconds, or
    fails otherwise, gives "failed" with the line that names the exception, or else the last one it wrote. It
    does not outlive this call, however that ends.

    Raises:
        Stopped: `should_stop` said so; it is asked twice a second.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(job["threads"]),
        "MKL_NUM_THREADS": str(job["threads"]),
    }
    # The way threads wait is PyTorch's default, as it is where a reader repeats the measurement.
    environment.pop("OMP_WAIT_POLICY", None)
    worker = subprocess.Popen(
        [sys.executable, "-P", "-m", "bench.profiling.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # Ctrl-C reaches this process alone, which decides.
        start_new_session=True,
    )
    given: str | None = json.dumps(job | {"parent": os.getpid(), "parent_on_gpu": _on_gpu()})
    deadline = time.monotonic() + limit
    try:
        while True:
            try:
                stdout, stderr = worker.communicate(given, timeout=LOOK_S)
                break
            except subprocess.TimeoutExpired:
                given = None
            if should_stop():
                raise Stopped
            if time.monotonic() > deadline:
                return {"outcome": "failed", "reason": f"no answer after {limit:g} s: the process was ended"}
    finally:
        worker.kill()
        worker.wait()
        for pipe in filter(None, (worker.stdin, worker.stdout, worker.stderr)):
            pipe.close()
    if worker.returncode == 0:
        return json.loads(stdout)
    if worker.returncode == -getattr(signal, "SIGKILL", 0):
        return {"outcome": "out_of_memory"}
    lines = stderr.strip().splitlines() or [f"the process ended with status {worker.returncode}"]
    # Advice may follow the line that names the exception.
    named = [line for line in lines if EXCEPTION.match(line)] or lines
    return {"outcome": "failed", "reason": named[-1]}


def _on_gpu() -> bool:
    """Whether this process itself holds the GPU; asking must not import PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()


def worker_job(kind: str, config: WorkerConfig, method: str = "measure", **options: Any) -> dict[str, Any]:
    """The job that has a worker call a method of a kind of profile with a config."""
    return {
        "kind": kind,
        "method": method,
        "config": config.to_dict(),
        "options": options,
        "threads": config.threads,
        "memory_limit": available_memory() if config.device == "cpu" else None,
    }


def available_memory(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that a worker may take: what the machine and its control group have free, less a reserve.

    A group's use includes the pages of files that were read, which make way when memory is wanted.
    """
    free = psutil.virtual_memory().available
    limit, used, parts = (group / f"memory.{name}" for name in ("max", "current", "stat"))
    if limit.exists() and used.exists() and limit.read_text().strip() != "max":
        stat = dict(line.split() for line in parts.read_text().splitlines()) if parts.exists() else {}
        files = sum(int(stat.get(name, 0)) for name in ("active_file", "inactive_file"))
        free = min(free, int(limit.read_text()) - int(used.read_text()) + files)
    return int(free * (1 - RESERVE))


def default_threads() -> int:
    """OMP_NUM_THREADS, else the cores that this process may use."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal() and int(given):
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

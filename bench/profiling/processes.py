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
from bench.profiling.forking import CAN_FORK, ForkServer

ROOT = Path(__file__).parent.parent.parent
# What the machine keeps of its free memory: a measurement must not take others' processes down.
RESERVE = 0.1
# A worker that has not answered after this long is hung: in a compiler, or in a driver.
LIMIT_S = 900.0
# How often, in seconds, it is asked whether to stop while a worker measures.
LOOK_S = 0.5
COMMAND = [sys.executable, "-P", "-m", "bench.profiling.worker"]
EXCEPTION = re.compile(r"[\w.]*(Error|Exception|Failed|Unsupported)\b")

_forking: ForkServer | None = None


class Stopped(Exception):
    """Asked to stop while a worker was measuring; what it had is lost."""


def ask(
    job: dict[str, Any], should_stop: Callable[[], bool] = lambda: False, limit: float = LIMIT_S
) -> dict[str, Any]:
    """The result of a job (see `bench.profiling.worker`), from a process of its own.

    Where the system can, the process is forked from one that has imported the libraries (`renew`).

    A worker that the system kills counts as out of memory; one that takes longer than `limit` seconds, or
    fails otherwise, gives "failed" with the line that names the exception, or else the last one it wrote. It
    does not outlive this call, however that ends.

    Raises:
        Stopped: `should_stop` said so; it is asked twice a second.
    """
    deadline = time.monotonic() + limit

    def look() -> None:
        if should_stop():
            raise Stopped
        if time.monotonic() > deadline:
            raise TimeoutError

    job = job | {"parent": os.getpid(), "parent_on_gpu": _on_gpu()}
    try:
        if CAN_FORK and job["forked"]:
            status, answer, written = _server(job["threads"]).run(job, look, LOOK_S)
        else:
            status, answer, written = _run(job, look)
    except TimeoutError:
        return {"outcome": "failed", "reason": f"no answer after {limit:g} s: the process was ended"}
    if status == 0:
        return json.loads(answer)
    if status == -getattr(signal, "SIGKILL", 0):
        return {"outcome": "out_of_memory"}
    lines = written.strip().splitlines() or [f"the process ended with status {status}"]
    # Advice may follow the line that names the exception.
    named = [line for line in lines if EXCEPTION.match(line)] or lines
    return {"outcome": "failed", "reason": named[-1]}


def _run(job: dict[str, Any], look: Callable[[], None]) -> tuple[int, str, str]:
    """As `ForkServer.run`, from a process that starts anew."""
    worker = subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(job["threads"]),
        # Ctrl-C reaches this process alone, which decides.
        start_new_session=True,
    )
    given: str | None = json.dumps(job)
    try:
        while True:
            try:
                stdout, stderr = worker.communicate(given, timeout=LOOK_S)
                return worker.returncode, stdout, stderr
            except subprocess.TimeoutExpired:
                given = None
            look()
    finally:
        worker.kill()
        worker.wait()
        for pipe in filter(None, (worker.stdin, worker.stdout, worker.stderr)):
            pipe.close()


def _environment(threads: int) -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        # PyTorch asks NVML whether there is a GPU: a process that has asked CUDA cannot be forked.
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    }
    # The way threads wait is PyTorch's default, as it is where a reader repeats the measurement.
    environment.pop("OMP_WAIT_POLICY", None)
    return environment


def _server(threads: int) -> ForkServer:
    global _forking
    if _forking is None or _forking.closed or _forking.threads != threads:
        renew()
        _forking = ForkServer([*COMMAND, "--serve", str(os.getpid())], _environment(threads), threads)
    return _forking


def renew() -> None:
    """End the process that the next ones would be forked from: what follows begins in one of its own, with
    another layout of memory."""
    global _forking
    if _forking is not None:
        _forking.close()
        _forking = None


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
        # Memory is counted from that of a process which has just started.
        "forked": not (kind == "memory" and config.device == "cpu"),
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

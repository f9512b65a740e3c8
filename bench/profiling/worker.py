"""A fresh process that takes one measurement: a JSON job on standard input, a JSON result on standard output.

`python -m bench.profiling.worker`. The job holds "task" (matmul, bandwidth, loading, or what is measured of a
model: speed, end_to_end, memory, energy, fits), "threads", optionally "memory_limit" (bytes of data, on the
CPU), and what the task needs; the result has "outcome".
"""

import ctypes
import json
import os
import signal
import sys
from typing import Any

Job = dict[str, Any]

PR_SET_PDEATHSIG = 1  # of prctl(2)


def main() -> None:
    """Take the measurement; anything that libraries print goes to standard error."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = json.load(sys.stdin)
    die_with(job.pop("parent", None))
    result = take(job)
    with answer:
        json.dump(result, answer, allow_nan=False)


def die_with(parent: int | None) -> None:
    """Have the kernel end this process when its parent ends, however that ends; on Linux alone."""
    if parent is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended before the kernel was asked
        sys.exit("the process that asked for this measurement has ended")


def take(job: Job) -> dict[str, Any]:
    """The task's numbers with "outcome": measured, failed (with the reason) or out_of_memory."""
    import torch

    from bench.profiling.network import BadOutput
    from bench.training.allocator import KEEP_FREED, keep_freed_memory
    from bench.training.memory import is_out_of_memory

    torch.set_num_threads(job["threads"])
    # Nothing large has been taken yet. The setting cannot be taken back: a process has one of them.
    if job.get("setting", {}).get("allocator") == KEEP_FREED and not keep_freed_memory():
        return {"outcome": "failed", "reason": "the C library of this system cannot keep freed memory"}
    others = _others_on_gpu(job)
    if job.get("memory_limit"):
        import resource  # POSIX only

        resource.setrlimit(resource.RLIMIT_DATA, (job["memory_limit"],) * 2)
    try:
        numbers = _numbers(job)
        if others:
            numbers |= {"busy": True}
        return {
            "outcome": "measured",
            **numbers,
            "gpu_processes": others,
            "threads": torch.get_num_threads(),
        }
    except BadOutput as error:
        return {"outcome": "failed", "reason": str(error)}
    except MemoryError:
        return {"outcome": "out_of_memory"}
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return {"outcome": "out_of_memory"}


def _others_on_gpu(job: Job) -> int | None:
    """Other processes on the GPU that the job is for, before this one is among them; None on the CPU."""
    device = job.get("device") or job.get("setting", {}).get("device")
    if device != "cuda":
        return None
    from bench.profiling.system_load import others_on_gpu

    return others_on_gpu(own=int(job.get("parent_on_gpu", False)))


def _numbers(job: Job) -> dict[str, Any]:
    """What the task's own function gives; only its module is imported."""
    effort = {name: job[name] for name in ("repeats", "seconds") if name in job}
    match job["task"]:
        case "matmul":
            from bench.profiling.matmul import measure_matmul

            return measure_matmul(job["device"], job["precision"], **effort)
        case "bandwidth":
            from bench.profiling.bandwidth import measure_bandwidth

            return measure_bandwidth(job["device"], **effort)
        case "loading":
            from bench.profiling.config import Loading
            from bench.profiling.loading import measure_loading

            return measure_loading(Loading(**job["setting"]), **effort)
    from bench.profiling.config import Setting

    setting = Setting(**job["setting"])
    match job["task"]:
        case "speed":
            from bench.profiling.speed import measure_speed

            return measure_speed(setting, **effort)
        case "end_to_end":
            from bench.profiling.end_to_end import measure_end_to_end

            return measure_end_to_end(setting, **effort)
        case "memory":
            from bench.profiling.memory import measure_memory

            return measure_memory(setting)
        case "energy":
            from bench.profiling.energy import measure_energy

            return measure_energy(setting, idle=job["idle_watts"])
        case "idle":
            from bench.profiling.energy import measure_idle

            return measure_idle(setting.device)
        case "fits":
            from bench.profiling.network import fits

            return fits(setting)
    raise ValueError(f"no task {job['task']!r}")


if __name__ == "__main__":
    main()

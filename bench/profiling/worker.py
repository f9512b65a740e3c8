"""A fresh process that takes one measurement: a JSON job on standard input, a JSON result on standard output.

`python -m bench.profiling.worker`; with `--serve` one that answers many jobs, each from a child (see
`bench.profiling.forking`). The job holds "kind" and "method" (of a file in `bench/profiling/kinds/`),
"config" and "options" (what the method is called with), "threads", and "memory_limit" (bytes of data, on the
CPU, or None); the result has "outcome".
"""

import ctypes
import json
import os
import signal
import sys
from typing import Any

from bench.profiling.forking import serve

Job = dict[str, Any]

PR_SET_PDEATHSIG = 1  # of prctl(2)


def main() -> None:
    """Take the measurement; anything that libraries print goes to standard error."""
    if sys.argv[1:2] == ["--serve"]:
        die_with(int(sys.argv[2]))
        serve(take_as_child, import_all)
        return
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = json.load(sys.stdin)
    die_with(job.pop("parent", None))
    result = take(job)
    with answer:
        json.dump(result, answer, allow_nan=False)


def import_all() -> None:
    """Import what measurements need, without touching a GPU."""
    import torch  # noqa: F401
    import torchvision  # noqa: F401

    from bench.profiling.kinds import all_kinds

    all_kinds()


def take_as_child(job: Job) -> Job:
    """Take a job in a process that was forked, and that ends with the one that forked it."""
    job.pop("parent", None)
    die_with(os.getppid())
    return take(job)


def die_with(parent: int | None) -> None:
    """Have the kernel end this process when its parent ends, however that ends; on Linux alone."""
    if parent is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended before the kernel was asked
        sys.exit("the process that asked for this measurement has ended")


def take(job: Job) -> dict[str, Any]:
    """The job's numbers with "outcome": measured, failed (with the reason) or out_of_memory."""
    import torch

    from bench.profiling.kinds import find_kind
    from bench.profiling.network import BadOutput
    from bench.training.allocator import KEEP_FREED, keep_freed_memory
    from bench.training.memory import is_out_of_memory

    torch.set_num_threads(job["threads"])
    kind = find_kind(job["kind"])
    config = kind.config(**job["config"])
    # Nothing large has been taken yet. A process has one setting of its allocator, which stays.
    if job["config"].get("allocator") == KEEP_FREED and not keep_freed_memory():
        return {"outcome": "failed", "reason": "the C library of this system cannot keep freed memory"}
    others = _others_on_gpu(config.device, int(job.get("parent_on_gpu", False)))
    if job["memory_limit"]:
        import resource  # POSIX only

        resource.setrlimit(resource.RLIMIT_DATA, (job["memory_limit"],) * 2)
    try:
        numbers = getattr(kind, job["method"])(config, **job["options"])
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


def _others_on_gpu(device: str, own: int) -> int | None:
    """Processes on the GPU beside `own` of ours, before this one is among them; None on other devices."""
    if device != "cuda":
        return None
    from bench.profiling.system_load import others_on_gpu

    return others_on_gpu(own=own)


if __name__ == "__main__":
    main()

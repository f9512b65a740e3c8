"""A fresh process that takes one measurement: a JSON job on standard input, a JSON result on standard output.

`python -m bench.measure.worker`. The job holds "task" (matmul, bandwidth, loading, or what is measured of a
model: speed, end_to_end, memory, energy, fits), "threads", optionally "memory_limit" (bytes of data, on the
CPU), and what the task needs; the result has "outcome".
"""

import json
import os
import resource
import sys
from typing import Any

Job = dict[str, Any]


def main() -> None:
    """Take the measurement; anything that libraries print goes to standard error."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    result = take(json.load(sys.stdin))
    with answer:
        json.dump(result, answer, allow_nan=False)


def take(job: Job) -> dict[str, Any]:
    """The task's numbers with "outcome": measured, failed (with the reason) or out_of_memory."""
    import torch

    from bench.measure.subject import BadOutput
    from bench.training.memory import is_out_of_memory

    torch.set_num_threads(job["threads"])
    if job.get("memory_limit"):
        resource.setrlimit(resource.RLIMIT_DATA, (job["memory_limit"],) * 2)
    try:
        return {"outcome": "measured", **_numbers(job), "threads": torch.get_num_threads()}
    except BadOutput as error:
        return {"outcome": "failed", "reason": str(error)}
    except MemoryError:
        return {"outcome": "out_of_memory"}
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return {"outcome": "out_of_memory"}


def _numbers(job: Job) -> dict[str, Any]:
    """What the task's own function gives; only its module is imported."""
    effort = {name: job[name] for name in ("repeats", "seconds") if name in job}
    match job["task"]:
        case "matmul":
            from bench.measure.matmul import measure_matmul

            return measure_matmul(job["device"], job["precision"], **effort)
        case "bandwidth":
            from bench.measure.bandwidth import measure_bandwidth

            return measure_bandwidth(job["device"], **effort)
        case "loading":
            from bench.measure.loading import measure_loading
            from bench.measure.setting import Loading

            return measure_loading(Loading(**job["setting"]), **effort)
    from bench.measure.setting import Setting

    setting = Setting(**job["setting"])
    match job["task"]:
        case "speed":
            from bench.measure.speed import measure_speed

            return measure_speed(setting, **effort)
        case "end_to_end":
            from bench.measure.end_to_end import measure_end_to_end

            return measure_end_to_end(setting, **effort)
        case "memory":
            from bench.measure.memory import measure_memory

            return measure_memory(setting)
        case "energy":
            from bench.measure.energy import measure_energy

            return measure_energy(setting)
        case "fits":
            from bench.measure.subject import fits

            return fits(setting)
    raise ValueError(f"no task {job['task']!r}")


if __name__ == "__main__":
    main()

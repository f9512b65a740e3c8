"""A fresh process that takes one measurement: a JSON job on standard input, a JSON result on standard output.

`python -m bench.measure.worker`. The job holds "task" (speed, memory, fits or matmul), "threads", optionally
"memory_limit" (bytes of data, on the CPU), and what the task needs; the result has "outcome".
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
    from bench.measure.matmul import measure_matmul
    from bench.measure.memory import measure_memory
    from bench.measure.setting import Setting
    from bench.measure.speed import measure_speed
    from bench.measure.subject import fits

    if job["task"] == "matmul":
        effort = {"repeats": job["repeats"], "seconds": job["seconds"]}
        return measure_matmul(job["device"], job["precision"], **effort)
    setting = Setting(**job["setting"])
    if job["task"] == "memory":
        return measure_memory(setting)
    if job["task"] == "fits":
        return fits(setting)
    return measure_speed(setting, repeats=job["repeats"], seconds=job["seconds"])


if __name__ == "__main__":
    main()

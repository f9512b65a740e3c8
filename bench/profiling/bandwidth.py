"""The machine's other limit: bytes per second between memory and processor, in arrays beyond any cache."""

from statistics import median
from typing import Any

import psutil
import torch

from bench.profiling.config import LimitConfig
from bench.profiling.timing import BLOCK, event_clock, sample, wall_clock, warm_up

# Of each of three arrays; never more than this share of the memory that is free.
ARRAY_BYTES = {"cpu": 2**28, "mps": 2**28, "cuda": 2**30}
SHARE = 0.1
# Arrays that a kernel reads and writes, each element once, as STREAM counts them.
ARRAYS = {"copy": 2, "triad": 3}


def measure_bandwidth(config: LimitConfig, *, repeats: int, seconds: float) -> dict[str, Any]:
    """The better median rate of two kernels of STREAM: copy, a = b, and triad, a = b + s c, in fp32.

    Source: McCalpin, "Memory bandwidth and machine balance in current high performance computers", 1995.
    A processor that reads a line before it writes to it moves more than is counted.

    Returns:
        bytes_per_s, kernel, array_bytes, and all by_kernel.
    """
    device = config.device
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available
    count = int(min(ARRAY_BYTES[device], SHARE * free)) // 4
    a, b, c = (torch.full((count,), value, device=device) for value in (0.0, 1.0, 2.0))
    kernels = {"copy": lambda: a.copy_(b), "triad": lambda: torch.add(b, c, alpha=3.0, out=a)}
    results = []
    for kernel, step in kernels.items():
        clock = event_clock(step) if device == "cuda" else wall_clock(step, device)
        warm_up(clock, seconds / 4, seconds)
        samples = sample(clock, repeats, seconds / 2, BLOCK if device == "cuda" else 1)
        results.append({"kernel": kernel, "bytes_per_s": ARRAYS[kernel] * 4 * count / median(samples)})
    return {
        **max(results, key=lambda one: one["bytes_per_s"]),
        "array_bytes": 4 * count,
        "by_kernel": results,
    }

"""How much memory a config takes, in the process that this runs in; nothing is timed in it."""

import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import torch

from bench.profiling.config import NetworkConfig
from bench.profiling.network import BadOutput
from bench.profiling.ready import ready
from bench.training.allocator import return_freed_memory

STEPS = 3
MIB = 2**20


def measure_memory(config: NetworkConfig, *, folder: str | None = None) -> dict[str, Any]:
    """Peak memory over a few steps, in MiB.

    Args:
        folder: of the export, of a config that is `deployed`.

    Returns:
        On the CPU baseline_mib, the resident set before there was a network, and peak_rss_mib, its
        highest during the steps less that. On a GPU peak_allocated_mib and peak_reserved_mib, of
        PyTorch's allocator. Both with resting_mib, what is held between steps over the same baseline.
        What making and checking the network has freed is given back before, and does not count; on a CPU
        whose C library is not glibc it stays, and does.

    Raises:
        BadOutput: the outputs are wrong, or PyTorch keeps no peak of the device's memory.
    """
    if config.device == "mps":
        raise BadOutput("PyTorch keeps no peak of the memory that MPS takes")
    on_gpu = config.device == "cuda"
    if config.deployed:
        import_module(config.runtime)  # as PyTorch is there before the baseline
    baseline = _resident()
    step, checked = ready(config, folder)
    if on_gpu:
        torch.cuda.synchronize()
        # What the check in fp32 took is still reserved: it is not the config's.
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    else:
        return_freed_memory()
        _forget_peak()
    for _ in range(STEPS):
        step()
    if on_gpu:
        torch.cuda.synchronize()
        return {
            "peak_allocated_mib": torch.cuda.max_memory_allocated() / MIB,
            "peak_reserved_mib": torch.cuda.max_memory_reserved() / MIB,
            "resting_mib": torch.cuda.memory_allocated() / MIB,
        }
    return {
        **(checked if config.deployed else {}),
        "baseline_mib": baseline / MIB,
        "peak_rss_mib": (_peak() - baseline) / MIB,
        "resting_mib": (_resident() - baseline) / MIB,
    }


def _resident() -> int:
    """The resident set now, in bytes."""
    return psutil.Process().memory_info().rss


def _peak() -> int:
    """The largest resident set since the process began or `_forget_peak`, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource  # POSIX only

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _forget_peak() -> None:
    """Start the peak anew where the system can (Linux); making the network may have taken more."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")

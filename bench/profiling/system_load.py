"""What else the machine was doing while something was measured on it, and the state of its GPU."""

import os
import time
from collections.abc import Callable
from typing import Any

import psutil
import pynvml

from bench.nvml import gpu_handle, read_all

# A machine is busy when other processes had more than this share of its cores.
BUSY_SHARE = 0.1


class SystemLoad:
    """Cores that other processes kept busy between two moments, time stolen by the host included."""

    def __init__(self) -> None:
        self.before = _load_average()
        self.begun, self.machine, self.own = time.perf_counter(), _busy_seconds(), time.process_time()

    def to_dict(self) -> dict[str, Any]:
        """other_cores, busy, and the machine's load average of the minute before and now."""
        seconds = max(time.perf_counter() - self.begun, 1e-9)
        others = (_busy_seconds() - self.machine) - (time.process_time() - self.own)
        cores = max(others / seconds, 0.0)
        return {
            "other_cores": cores,
            "busy": cores > BUSY_SHARE * (psutil.cpu_count() or 1),
            "load_before": self.before,
            "load_after": _load_average(),
        }


READINGS: dict[str, Callable[[Any], float]] = {
    "sm_mhz": lambda handle: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM),
    "memory_mhz": lambda handle: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM),
    "celsius": lambda handle: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
    "utilisation": lambda handle: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu,
    "watts": lambda handle: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
    "throttling": lambda handle: pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle),
}


def gpu_state() -> dict[str, float]:
    """Of the first GPU: clocks in MHz, degrees Celsius, utilisation in percent, watts, and bits of why clocks
    are low. What NVML refuses is left out; all of it where it does not answer."""
    return read_all(gpu_handle(), READINGS)


def others_on_gpu(own: int = 0) -> int | None:
    """Processes that hold PyTorch's first GPU, beside `own` of ours; None where NVML does not say.

    To be called before this process touches a GPU: all boards are counted before PyTorch is asked which is
    its first, as in a container NVML's process ids are the host's and cannot be told from ours.
    """
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(pynvml.nvmlDeviceGetCount())]
        counts = {
            pynvml.nvmlDeviceGetUUID(handle): len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
            for handle in handles
        }
        first = gpu_handle()
        return None if first is None else max(counts[pynvml.nvmlDeviceGetUUID(first)] - own, 0)
    except (pynvml.NVMLError, KeyError):
        return None


def _load_average() -> float | None:
    """Of the last minute; None where the system has none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _busy_seconds() -> float:
    times = psutil.cpu_times()._asdict()
    # Linux counts a guest's time in its host's as well.
    idle = ("idle", "iowait", "guest", "guest_nice")
    return sum(value for name, value in times.items() if name not in idle)

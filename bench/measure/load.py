"""What else the machine was doing while something was measured on it, and the state of its GPU."""

import os
import time
from typing import Any

import psutil
import pynvml

from bench.measure.board import board

# A machine is busy when other processes had more than this share of its cores.
BUSY_SHARE = 0.1


class OtherLoad:
    """Cores that other processes kept busy between two moments, time stolen by the host included."""

    def __init__(self) -> None:
        self.before = os.getloadavg()[0]
        self.begun, self.machine, self.own = time.perf_counter(), _busy_seconds(), time.process_time()

    def facts(self) -> dict[str, Any]:
        """other_cores, busy, and the machine's load average of the minute before and now."""
        seconds = max(time.perf_counter() - self.begun, 1e-9)
        others = (_busy_seconds() - self.machine) - (time.process_time() - self.own)
        cores = max(others / seconds, 0.0)
        return {
            "other_cores": cores,
            "busy": cores > BUSY_SHARE * (psutil.cpu_count() or 1),
            "load_before": self.before,
            "load_after": os.getloadavg()[0],
        }


def gpu_state() -> dict[str, int]:
    """Clocks in MHz, temperature in degrees Celsius and utilisation in percent of the first GPU.

    Empty where NVML does not answer.
    """
    handle = board()
    if handle is None:
        return {}
    try:
        return {
            "sm_mhz": pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM),
            "memory_mhz": pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM),
            "celsius": pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
            "utilisation": pynvml.nvmlDeviceGetUtilizationRates(handle).gpu,
        }
    except pynvml.NVMLError:
        return {}


def _busy_seconds() -> float:
    times = psutil.cpu_times()._asdict()
    # Linux counts a guest's time in its host's as well.
    idle = ("idle", "iowait", "guest", "guest_nice")
    return sum(value for name, value in times.items() if name not in idle)

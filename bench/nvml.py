"""The GPU's board as NVML, the driver's own library, sees it."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import pynvml

Value = TypeVar("Value")


def gpu_handle() -> Any | None:
    """NVML's handle of the GPU that PyTorch calls its first; None where NVML does not answer.

    NVML counts boards in an order of its own and knows nothing of CUDA_VISIBLE_DEVICES: they are matched by
    their unique ids.
    """
    import torch

    if not torch.cuda.is_available():
        return None
    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(0).uuid}")
    except pynvml.NVMLError:
        return None


def read_all(handle: Any | None, readings: Mapping[str, Callable[[Any], Value]]) -> dict[str, Value]:
    """Readings of a board by name. What NVML refuses is left out; all of it where there is no handle."""
    values: dict[str, Value] = {}
    for name, read in readings.items() if handle is not None else ():
        with suppress(pynvml.NVMLError):
            values[name] = read(handle)
    return values


def energy_counter(device: str) -> Callable[[], float] | None:
    """Reads the joules that a device's board has taken since its driver was loaded; None without a counter.

    It is the whole board's: memory, fans and what other processes do on it are in it.
    """
    handle = gpu_handle() if device == "cuda" else None
    if handle is None:
        return None

    def joules() -> float:
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000

    try:
        joules()
    except pynvml.NVMLError:
        return None
    return joules

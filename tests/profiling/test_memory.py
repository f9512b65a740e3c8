"""Peak memory on a simulated allocator: only what the steps themselves take counts."""

import pytest
import torch

from bench.profiling import memory
from bench.profiling.config import NetworkConfig
from bench.profiling.memory import MIB, measure_memory

NETWORK, CHECK, STEP = 100 * MIB, 300 * MIB, 40 * MIB


class Allocator:
    """As PyTorch's on a GPU: what was freed stays reserved until the cache is emptied."""

    def __init__(self):
        self.allocated = self.reserved = self.peak_allocated = self.peak_reserved = 0

    def take(self, size):
        self.allocated += size
        self.reserved = max(self.reserved, self.allocated)
        self.peak_allocated = max(self.peak_allocated, self.allocated)
        self.peak_reserved = max(self.peak_reserved, self.reserved)

    def free(self, size):
        self.allocated -= size

    def empty_cache(self):
        self.reserved = self.allocated

    def reset(self):
        self.peak_allocated, self.peak_reserved = self.allocated, self.reserved


def test_what_the_check_in_fp32_took_is_not_the_settings(monkeypatch):
    gpu = Allocator()
    for name, value in {
        "synchronize": lambda: None,
        "empty_cache": gpu.empty_cache,
        "reset_peak_memory_stats": gpu.reset,
        "max_memory_allocated": lambda: gpu.peak_allocated,
        "max_memory_reserved": lambda: gpu.peak_reserved,
        "memory_allocated": lambda: gpu.allocated,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)

    def ready(setting, folder):
        gpu.take(NETWORK)
        gpu.take(CHECK)
        gpu.free(CHECK)
        return step, {"error": 0.0}

    def step():
        gpu.take(STEP)
        gpu.free(STEP)

    monkeypatch.setattr(memory, "ready", ready)
    found = measure_memory(NetworkConfig("any", "infer", 1, 224, 10, "fp16", "contiguous", False, "cuda", 1))
    assert found == {
        "peak_allocated_mib": pytest.approx(140),
        "peak_reserved_mib": pytest.approx(140),
        "resting_mib": pytest.approx(100),
    }

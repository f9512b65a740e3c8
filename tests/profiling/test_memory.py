"""Peak memory on a simulated allocator: only what the steps themselves take counts."""

import subprocess
import sys

import pytest
import torch

from bench.profiling import memory
from bench.profiling.config import NetworkConfig
from bench.profiling.memory import MIB, measure_memory
from bench.training.allocator import trained_allocator

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


def test_what_making_the_network_has_freed_is_not_the_settings_on_a_cpu(monkeypatch):
    """A heap that keeps what is freed, as in training, until it is given back."""
    heap = Allocator()
    for name, value in {
        "_resident": lambda: heap.reserved,
        "_peak": lambda: heap.peak_reserved,
        "_forget_peak": heap.reset,
        "return_freed_memory": heap.empty_cache,
    }.items():
        monkeypatch.setattr(memory, name, value)

    def ready(setting, folder):
        heap.take(NETWORK)
        heap.take(CHECK)
        heap.free(CHECK)
        return step, {"error": 0.0}

    def step():
        heap.take(STEP)
        heap.free(STEP)

    monkeypatch.setattr(memory, "ready", ready)
    found = measure_memory(NetworkConfig("any", "infer", 1, 224, 10, "fp32", "contiguous", False, "cpu", 1))
    assert found == {
        "baseline_mib": 0,
        "peak_rss_mib": pytest.approx(140),
        "resting_mib": pytest.approx(140),
    }


KEPT = """
import numpy as np, psutil
from bench.training.allocator import keep_freed_memory, return_freed_memory

assert keep_freed_memory()
resident = lambda: psutil.Process().memory_info().rss / 2**20
whole = [np.ones(2**17) for _ in range(100)]  # of 1 MiB each
held = whole[::2] + [np.ones(9)]
del whole
before = resident()
return_freed_memory()
print(before - resident())
"""


@pytest.mark.skipif(trained_allocator("cpu") != "keep_freed", reason="the C library is not glibc")
def test_freed_memory_that_was_kept_is_given_back():
    """Every other of 100 MiB was freed, in a process of its own."""
    ran = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True)
    assert float(ran.stdout) == pytest.approx(50, abs=5)

"""MPS, which is not here: it is refused where PyTorch does not find it, and waited for where it does."""

import pytest
import torch

from bench.errors import InputError
from bench.machine import choose_device, device_name, gpu_facts
from bench.profiling.config import NetworkConfig, check_precisions
from bench.profiling.memory import measure_memory
from bench.profiling.network import BadOutput
from bench.profiling.plan import can_measure_energy
from bench.profiling.timing import wall_clock


def test_mps_is_taken_where_it_is_asked_for_and_there(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="--device mps: PyTorch finds no MPS device here; use --device cpu"):
        choose_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("mps") == "mps" and choose_device("auto") == "cpu"
    with pytest.raises(InputError, match="--device cuda: PyTorch finds no CUDA device"):
        choose_device("cuda")
    with pytest.raises(InputError, match="should be auto, cpu, cuda or mps"):
        choose_device("tpu")


def test_what_is_not_known_of_mps_is_not_guessed():
    assert device_name("mps") == "mps" and gpu_facts("mps") is None and not can_measure_energy("mps")
    config = NetworkConfig("vit_digits", "infer", 1, 16, 10, "fp32", "contiguous", False, "mps", 1)
    assert config.as_trained
    with pytest.raises(BadOutput, match="no peak of the memory that MPS takes"):
        measure_memory(config)
    check_precisions(["fp32", "bf16"], "mps", where="--precision")
    with pytest.raises(InputError, match="--precision fp16: only on CUDA; on MPS fp32 and bf16"):
        check_precisions(["fp16"], "mps", where="--precision")


def test_a_step_on_mps_ends_when_the_device_is_done(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.mps, "synchronize", lambda: calls.append("wait"))
    wall_clock(lambda: calls.append("step"), "mps")(2)
    assert calls == ["wait", "step", "wait"] * 2

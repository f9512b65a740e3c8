"""Energy of a simulated board whose power is known, by a counter that is brought up to date now and then."""

import pytest

from bench import nvml
from bench.profiling import energy
from bench.profiling.config import NO_COUNTER, NetworkConfig
from bench.profiling.energy import idle_power, measure_windows, per_image
from bench.profiling.processes import worker_job
from bench.profiling.worker import take

IDLE_W, WORK_W, STEP_S, TICK_S, BATCH = 70.0, 420.0, 0.004, 0.1, 32


class Board:
    """A clock of its own; its counter, like NVML's, only moves every `TICK_S` seconds."""

    def __init__(self):
        self.time, self.used = 0.0, 123456.0
        self.shown, self.updated = self.used, 0.0

    def _pass(self, seconds, watts):
        for _ in range(round(seconds / STEP_S)):
            self.time += STEP_S
            self.used += watts * STEP_S
            if self.time - self.updated >= TICK_S:
                self.shown, self.updated = self.used, self.time

    def now(self):
        return self.time

    def joules(self):
        return self.shown

    def sleep(self, seconds):
        self._pass(seconds, IDLE_W)

    def block(self):
        self._pass(10 * STEP_S, WORK_W)
        return 10


def test_joules_per_image_of_a_board_of_known_power():
    here = Board()
    idle = idle_power(here.joules, 30.0, now=here.now, sleep=here.sleep)
    assert idle == pytest.approx(IDLE_W, rel=0.01)
    windows = measure_windows(here.block, here.joules, now=here.now, seed=0)
    found = per_image(windows, idle, BATCH)
    assert found["energy_windows"] == len(windows) == 3
    assert all(5 <= one["seconds"] < 5.1 for one in windows)
    assert found["energy_j_per_image"] == pytest.approx(WORK_W * STEP_S / BATCH, rel=0.02)
    assert found["energy_net_j_per_image"] == pytest.approx((WORK_W - IDLE_W) * STEP_S / BATCH, rel=0.025)


def test_windows_begin_at_moments_of_the_counter_that_differ():
    here, begun = Board(), []

    def joules():
        begun.append(here.time % TICK_S)
        return here.joules()

    measure_windows(here.block, joules, now=here.now, seed=1, seconds=1.0)
    starts = [round(phase, 3) for phase in begun[::2]]
    assert len(starts) == 3 and len(set(starts)) >= 2


def test_net_energy_of_windows_by_hand():
    windows = [{"joules": 100.0, "seconds": 2.0, "steps": 5}, {"joules": 300.0, "seconds": 4.0, "steps": 10}]
    found = per_image([*windows, windows[0]], idle=10.0, batch_size=2)
    assert found["energy_j_per_image"] == 10.0 and found["energy_net_j_per_image"] == 8.0


def test_without_a_counter_nothing_is_guessed(monkeypatch):
    assert nvml.energy_counter("cpu") is None
    monkeypatch.setattr(energy, "energy_counter", lambda device: None)
    config = NetworkConfig("vit_digits", "infer", 1, 16, 10, "fp32", "contiguous", False, "cpu", 1)
    job = worker_job("energy", config, "idle") | {"memory_limit": None}
    assert take(job) == {"outcome": "failed", "reason": NO_COUNTER}
    found = take(job | {"method": "measure", "options": {"idle_watts": 70.0}})
    assert found == {"outcome": "failed", "reason": NO_COUNTER}


def test_the_counter_is_that_of_pytorchs_first_gpu(monkeypatch):
    """As NVML documents it: millijoules since the driver was loaded, of boards that have unique ids."""
    import types

    import pynvml
    import torch

    readings = iter([5_000, 7_500, 12_500])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    facts = types.SimpleNamespace(uuid="8d5e-22")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: facts)
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda name: {"GPU-8d5e-22": "second"}[name])
    monkeypatch.setattr(
        pynvml, "nvmlDeviceGetTotalEnergyConsumption", lambda handle: {"second": next(readings)}[handle]
    )
    joules = nvml.energy_counter("cuda")
    assert joules() == 7.5 and joules() == 12.5

    def unsupported(handle):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", unsupported)
    assert nvml.energy_counter("cuda") is None

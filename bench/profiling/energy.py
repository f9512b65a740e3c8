"""Energy of a step, from a counter that is read before and after long stretches of steps.

A counter is brought up to date by the driver in its own rhythm, some ten times a second: over a window of
five seconds a reading is at most 2 % off. Windows begin at a random moment of it, so that the error has no
preferred sign.
"""

import random
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch

from bench.nvml import energy_counter
from bench.profiling.config import NO_COUNTER, NetworkConfig
from bench.profiling.network import BadOutput, prepare
from bench.profiling.system_load import SystemLoad, gpu_state
from bench.profiling.timing import BLOCK, wall_clock, warm_up

WINDOWS, WINDOW_S = 3, 5.0
# The power of an idle board is measured once a session, for so long.
IDLE_S = 10.0
# Before a window, steps go on for a random time up to this.
PHASE_S = 1.0
SCOPE = "the whole board, by NVML's energy counter"

Read = Callable[[], float]


def measure_idle(device: str) -> dict[str, Any]:
    """`idle_watts` of the board with a CUDA context on it and no work.

    Raises:
        BadOutput: there is no counter.
    """
    joules = energy_counter(device)
    if joules is None:
        raise BadOutput(NO_COUNTER)
    torch.zeros(1, device=device)
    torch.cuda.synchronize()
    return {"idle_watts": idle_power(joules)}


def measure_energy(config: NetworkConfig, *, idle_watts: float) -> dict[str, Any]:
    """Energy per image on a GPU whose board takes `idle_watts` without work.

    Returns:
        What `per_image` gives, with windows, idle_watts, energy_scope, error and the state of the machine.

    Raises:
        BadOutput: outputs are wrong, or there is no counter.
    """
    joules = energy_counter(config.device)
    if joules is None:
        raise BadOutput(NO_COUNTER)
    step, error = prepare(config)
    clock = wall_clock(step, config.device)
    warm_up(clock, WINDOW_S / 5, WINDOW_S)

    def block() -> int:
        for _ in range(BLOCK):
            step()
        torch.cuda.synchronize()
        return BLOCK

    before, load = gpu_state(), SystemLoad()
    windows = measure_windows(block, joules)
    return {
        **per_image(windows, idle_watts, config.batch_size),
        "windows": windows,
        "idle_watts": idle_watts,
        "energy_scope": SCOPE,
        "error": error,
        "gpu": {"before": before, "after": gpu_state()},
        **load.to_dict(),
    }


def idle_power(
    joules: Read, seconds: float = IDLE_S, now: Read = time.perf_counter, sleep: Callable = time.sleep
) -> float:
    """Mean power of a board that has nothing to do."""
    begun, before = now(), joules()
    sleep(seconds)
    return (joules() - before) / (now() - begun)


def measure_windows(
    block: Callable[[], int],
    joules: Read,
    *,
    windows: int = WINDOWS,
    seconds: float = WINDOW_S,
    now: Read = time.perf_counter,
    seed: int | None = None,
) -> list[dict[str, float]]:
    """Energy of stretches of work that last at least `seconds` each.

    Args:
        block: does some steps, waits until the device is done, and gives their number.
        joules: the counter.
        seed: of the moments at which windows begin; None draws them anew.

    Returns:
        joules, seconds and steps of every window.
    """
    phases, results = random.Random(seed), []
    for _ in range(windows):
        begin = now() + phases.uniform(0, PHASE_S)
        while now() < begin:
            block()
        begun, before, steps = now(), joules(), 0
        while now() - begun < seconds:
            steps += block()
        results.append({"joules": joules() - before, "seconds": now() - begun, "steps": steps})
    return results


def per_image(windows: Sequence[dict[str, float]], idle: float, batch_size: int) -> dict[str, Any]:
    """Medians over windows.

    Returns:
        energy_j_per_image; energy_net_j_per_image, less what the board takes when idle, in watts, for as
        long; energy_windows, their number.
    """
    images = [one["steps"] * batch_size for one in windows]
    gross = [one["joules"] / count for one, count in zip(windows, images, strict=True)]
    net = [
        (one["joules"] - idle * one["seconds"]) / count for one, count in zip(windows, images, strict=True)
    ]
    return {
        "energy_j_per_image": median(gross),
        "energy_net_j_per_image": median(net),
        "energy_windows": len(windows),
    }

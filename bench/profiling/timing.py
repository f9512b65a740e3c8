"""Timing a step: warm-up until steady, then samples until there are enough. Knows nothing of networks."""

import time
from collections.abc import Callable
from statistics import median

import torch

# Seconds of each of n steps in a row.
Clock = Callable[[int], list[float]]

# Two windows of steps in a row whose medians differ by less than this are steady.
WINDOW, STEADY = 3, 0.03
# GPU events are read in blocks, so that nothing waits for the host in between.
BLOCK = 10


def wall_clock(step: Callable[[], object], device: str = "cpu") -> Clock:
    """Times steps on the CPU, or, where the device is a GPU, each until the device is done."""
    wait = torch.get_device_module(device).synchronize

    def clock(count: int) -> list[float]:
        seconds = []
        for _ in range(count):
            wait()
            begun = time.perf_counter()
            step()
            wait()
            seconds.append(time.perf_counter() - begun)
        return seconds

    return clock


def event_clock(step: Callable[[], object]) -> Clock:
    """Times steps back to back on a GPU, by events on its stream."""

    def clock(count: int) -> list[float]:
        events = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
        torch.cuda.synchronize()
        events[0].record()
        for event in events[1:]:
            step()
            event.record()
        torch.cuda.synchronize()
        return [a.elapsed_time(b) / 1000 for a, b in zip(events[:-1], events[1:], strict=True)]

    return clock


def warm_up(clock: Clock, seconds: float, limit: float) -> tuple[int, bool]:
    """Take steps until two windows in a row agree and `seconds` of them were taken, or `limit` seconds.

    Returns:
        Steps taken, and whether the last two windows agreed.
    """
    last, steps, spent = None, 0, 0.0
    while True:
        window = clock(WINDOW)
        steps, spent = steps + len(window), spent + sum(window)
        now = median(window)
        steady = last is not None and abs(now - last) <= STEADY * last
        if (steady and spent >= seconds) or (last is not None and spent >= limit):
            return steps, steady
        last = now


def sample(clock: Clock, repeats: int, seconds: float, block: int = 1) -> list[float]:
    """Seconds of every step, until there are at least `repeats` and they add up to at least `seconds`."""
    samples: list[float] = []
    spent = 0.0
    while len(samples) < repeats or spent < seconds:
        taken = clock(block)
        samples += taken
        spent += sum(taken)
    return samples

"""From JPEG bytes in memory to labels: what a service waits for, and what it waits for in it."""

import time
from typing import Any

import torch

from bench.networks import find_card
from bench.profiling.config import NetworkConfig
from bench.profiling.jpegs import Preparation, batches, describe_jpegs, make_jpegs
from bench.profiling.kinds.end_to_end import PHASES
from bench.profiling.network import TOLERANCE, inference
from bench.profiling.speed import WARM_UP_LIMIT
from bench.profiling.system_load import SystemLoad, gpu_state
from bench.profiling.timing import sample, warm_up
from bench.training.step import FORMATS


def measure_end_to_end(config: NetworkConfig, *, repeats: int, seconds: float) -> dict[str, Any]:
    """Seconds of every batch from its bytes to its labels, one batch after the other in one process.

    "decode" is JPEG to pixels, "transform" scaling, cropping, normalising, the type and layout of the
    network and, on a GPU, the way there; "model" the forward pass and the largest of its outputs, back in
    Python.

    Raises:
        BadOutput: the outputs on random images are wrong; nothing is timed.
    """
    infer, like, error = inference(config)
    card = find_card(config.model)
    prepare = Preparation(config.input_size, card.mean, card.std, config.device, config.threads)
    files = make_jpegs()
    file_batches = batches(files, config.batch_size)
    wait = torch.get_device_module(config.device).synchronize
    phases: list[tuple[float, ...]] = []

    def clock(count: int) -> list[float]:
        totals = []
        for _ in range(count):
            taken = next(file_batches)
            marks = [time.perf_counter()]
            pictures = prepare.decode(taken)
            marks.append(time.perf_counter())
            batch = prepare.transform(pictures).to(like.dtype)
            batch = batch.contiguous(memory_format=FORMATS[config.memory_format])
            wait()
            marks.append(time.perf_counter())
            infer(batch).argmax(1).tolist()
            marks.append(time.perf_counter())
            phases.append(tuple(b - a for a, b in zip(marks[:-1], marks[1:], strict=True)))
            totals.append(marks[-1] - marks[0])
        return totals

    steps, steady = warm_up(clock, seconds / 2, WARM_UP_LIMIT * seconds)
    phases.clear()
    before, load = gpu_state() if config.device == "cuda" else {}, SystemLoad()
    samples = sample(clock, repeats, seconds)
    return {
        "seconds": samples,
        "phases": {name: list(taken) for name, taken in zip(PHASES, zip(*phases, strict=True), strict=True)},
        "clock": "perf_counter" if config.device == "cpu" else "perf_counter, synchronised",
        "warm_up_steps": steps,
        "steady": steady,
        "error": error,
        "tolerance": TOLERANCE[config.precision],
        "gpu": {"before": before, "after": gpu_state()} if config.device == "cuda" else None,
        **describe_jpegs(files),
        **load.to_dict(),
    }

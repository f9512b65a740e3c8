"""From JPEG bytes in memory to labels: what a service waits for, and what it waits for in it."""

import time
from typing import Any

import torch

from bench.networks import find_card
from bench.profiling.config import Setting
from bench.profiling.jpegs import Preparation, batches, jpeg_facts, make_jpegs
from bench.profiling.network import TOLERANCE, inference
from bench.profiling.speed import WARM_UP_LIMIT
from bench.profiling.system_load import OtherLoad, gpu_state
from bench.profiling.timing import sample, warm_up
from bench.training.step import FORMATS

PHASES = ("decode", "transform", "model")


def measure_end_to_end(setting: Setting, *, repeats: int, seconds: float) -> dict[str, Any]:
    """Seconds of every batch from its bytes to its labels, one batch after the other in one process.

    "decode" is JPEG to pixels, "transform" scaling, cropping, normalising, the type and layout of the
    network and, on a GPU, the way there; "model" the forward pass and the largest of its outputs, back in
    Python.

    Raises:
        BadOutput: the outputs on random images are wrong; nothing is timed.
    """
    infer, like, error = inference(setting)
    card = find_card(setting.model)
    prepare = Preparation(setting.input_size, card.mean, card.std, setting.device, setting.threads)
    files = make_jpegs()
    turning = batches(files, setting.batch_size)
    wait = torch.cuda.synchronize if setting.device == "cuda" else lambda: None
    phases: list[tuple[float, ...]] = []

    def clock(count: int) -> list[float]:
        totals = []
        for _ in range(count):
            taken = next(turning)
            marks = [time.perf_counter()]
            pictures = prepare.decode(taken)
            marks.append(time.perf_counter())
            batch = prepare.transform(pictures).to(like.dtype)
            batch = batch.contiguous(memory_format=FORMATS[setting.memory_format])
            wait()
            marks.append(time.perf_counter())
            infer(batch).argmax(1).tolist()
            marks.append(time.perf_counter())
            phases.append(tuple(b - a for a, b in zip(marks[:-1], marks[1:], strict=True)))
            totals.append(marks[-1] - marks[0])
        return totals

    steps, steady = warm_up(clock, seconds / 2, WARM_UP_LIMIT * seconds)
    phases.clear()
    before, load = gpu_state() if setting.device == "cuda" else {}, OtherLoad()
    samples = sample(clock, repeats, seconds)
    return {
        "seconds": samples,
        "phases": {name: list(taken) for name, taken in zip(PHASES, zip(*phases, strict=True), strict=True)},
        "clock": "perf_counter, synchronised" if setting.device == "cuda" else "perf_counter",
        "warm_up_steps": steps,
        "steady": steady,
        "error": error,
        "tolerance": TOLERANCE[setting.precision],
        "gpu": {"before": before, "after": gpu_state()} if setting.device == "cuda" else None,
        **jpeg_facts(files),
        **load.facts(),
    }

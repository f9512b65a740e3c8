"""How long measurements will take: their processes, and the steps that each of them takes."""

from collections.abc import Iterable
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.machine import device_name, machine_name
from bench.profiling.config import Growth, Loading, Setting

if TYPE_CHECKING:
    from bench.profiling.plan import Measurement

# A process loads PyTorch and timm, makes the network and checks its outputs.
START_S = 6.0
# Steps before the samples: the check, and two windows of warm-up.
BEFORE = 7
MEMORY_STEPS = 4
ENERGY_S = 25.0
# A JPEG of 500 x 375 px to an input, on one core; a size at which costs are counted.
JPEG_S, COUNT_S = 0.008, 1.5
# Where nothing was measured here yet: FLOP/s of a core and of a GPU, and FLOPs of a forward pass at 224 px.
CORE_FLOPS, GPU_FLOPS, FORWARD_FLOPS = 8e10, 3e13, 1e10
BACKWARD = 3


def expected_seconds(asked: Iterable["Measurement"], profiles: Iterable[dict[str, Any]]) -> float:
    """Seconds that all of `asked` take where no row is unstable; such may take up to four times as long.

    Args:
        profiles: the records of a store: costs tell the FLOPs, speeds measured here those a second.
    """
    profiles = list(profiles)
    flops = {(r["model"], r["input_size"]): r["flops"] for r in profiles if r["what"] == "cost"}
    return sum(_seconds(one, flops, profiles) for one in asked)


def _seconds(one: "Measurement", flops: dict[tuple[str, int], int], profiles: list[dict[str, Any]]) -> float:
    setting, effort = one.setting, one.effort
    if isinstance(setting, Growth):
        return COUNT_S * len(setting.sizes)
    images = setting.batch_size * JPEG_S / setting.threads
    if isinstance(setting, Loading):
        return effort.processes * (START_S + _timed(images, effort))
    step = _step(setting, flops, profiles)
    if one.what == "memory":
        return START_S + MEMORY_STEPS * step
    if one.what == "energy":
        return START_S + ENERGY_S
    return effort.processes * (START_S + _timed(step + (images if one.what == "end_to_end" else 0), effort))


def _timed(step: float, effort: Any) -> float:
    return BEFORE * step + max(effort.repeats * step, effort.seconds, step)


def _step(setting: Setting, flops: dict[tuple[str, int], int], profiles: list[dict[str, Any]]) -> float:
    known = flops.get((setting.model, setting.input_size))
    if known is None:
        at_224 = flops.get((setting.model, 224), FORWARD_FLOPS)
        known = at_224 * (setting.input_size / 224) ** 2
    rates = [
        r["flops_per_s"]
        for r in profiles
        if r["what"] == "speed"
        and r.get("flops_per_s")
        and (r["machine"], r["device"]) == (machine_name(), device_name(setting.device))
    ]
    usual = GPU_FLOPS if setting.device == "cuda" else CORE_FLOPS * setting.threads
    passes = BACKWARD if setting.mode == "train" else 1
    return passes * known * setting.batch_size / (median(rates) if rates else usual)

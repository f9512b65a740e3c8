"""How long a step of a config takes, in the process that this runs in."""

from typing import Any

from bench.profiling.config import NetworkConfig
from bench.profiling.network import TOLERANCE, describe_optimizer
from bench.profiling.ready import ready
from bench.profiling.system_load import SystemLoad, gpu_state
from bench.profiling.timing import BLOCK, event_clock, sample, wall_clock, warm_up

# On a busy machine steps never agree: at most this many times the seconds that are then sampled.
WARM_UP_LIMIT = 4


def measure_speed(
    config: NetworkConfig, *, repeats: int, seconds: float, folder: str | None = None
) -> dict[str, Any]:
    """Seconds of every step of one process.

    Latency of one image is that until its answer is there; other steps run back to back on a GPU.

    Args:
        folder: of the export, of a config that is `deployed`.

    Raises:
        BadOutput: the outputs are wrong; nothing is timed.
    """
    step, checked = ready(config, folder)
    on_gpu = config.device == "cuda"
    events = on_gpu and not (config.mode == "infer" and config.batch_size == 1)
    clock = event_clock(step) if events else wall_clock(step, config.device)
    steps, steady = warm_up(clock, seconds / 2, WARM_UP_LIMIT * seconds)
    before, load = gpu_state() if on_gpu else {}, SystemLoad()
    samples = sample(clock, repeats, seconds, BLOCK if events else 1)
    return {
        "seconds": samples,
        "clock": _clock(config.device, events),
        "warm_up_steps": steps,
        "steady": steady,
        **checked,
        "tolerance": TOLERANCE[config.precision],
        "casting": _casting(config),
        "optimizer": describe_optimizer() if config.mode == "train" else None,
        "gpu": {"before": before, "after": gpu_state()} if on_gpu else None,
        **load.to_dict(),
    }


def _clock(device: str, events: bool) -> str:
    if events:
        return "CUDA events"
    return "perf_counter" if device == "cpu" else "perf_counter, synchronised"


def _casting(config: NetworkConfig) -> str:
    if config.precision == "int8":
        return "static quantisation: weights by channel, activations by tensor"
    if config.precision not in ("bf16", "fp16"):
        return "none"
    return "autocast" if config.mode == "train" else "weights and images cast"

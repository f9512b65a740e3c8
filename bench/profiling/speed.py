"""How long a step of a setting takes, in the process that this runs in."""

from typing import Any

from bench.profiling.config import Setting
from bench.profiling.network import TOLERANCE, optimizer_words, prepare
from bench.profiling.system_load import OtherLoad, gpu_state
from bench.profiling.timing import BLOCK, event_clock, sample, wall_clock, warm_up

# On a busy machine steps never agree: at most this many times the seconds that are then sampled.
WARM_UP_LIMIT = 4


def measure_speed(setting: Setting, *, repeats: int, seconds: float) -> dict[str, Any]:
    """Seconds of every step of one process.

    Latency of one image is that until its answer is there; other steps run back to back on a GPU.

    Raises:
        BadOutput: the outputs are wrong; nothing is timed.
    """
    step, error = prepare(setting)
    on_gpu = setting.device == "cuda"
    events = on_gpu and not (setting.mode == "infer" and setting.batch_size == 1)
    clock = event_clock(step) if events else wall_clock(step, setting.device)
    steps, steady = warm_up(clock, seconds / 2, WARM_UP_LIMIT * seconds)
    before, load = gpu_state() if on_gpu else {}, OtherLoad()
    samples = sample(clock, repeats, seconds, BLOCK if events else 1)
    return {
        "seconds": samples,
        "clock": "CUDA events" if events else "perf_counter, synchronised" if on_gpu else "perf_counter",
        "warm_up_steps": steps,
        "steady": steady,
        "error": error,
        "tolerance": TOLERANCE[setting.precision],
        "casting": _casting(setting),
        "optimizer": optimizer_words() if setting.mode == "train" else None,
        "gpu": {"before": before, "after": gpu_state()} if on_gpu else None,
        **load.facts(),
    }


def _casting(setting: Setting) -> str:
    if setting.precision not in ("bf16", "fp16"):
        return "none"
    return "autocast" if setting.mode == "train" else "weights and images cast"

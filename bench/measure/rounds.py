"""Rows of speed: several fresh processes each, in interleaved random order, and what they add up to."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from scipy import stats

from bench.measure.processes import ask, job_of, largest_batch
from bench.measure.setting import Setting

# A row is unstable when the medians of its processes are further apart than this, relative to their median.
UNSTABLE = 0.05
# A percentile needs this many samples beyond it.
TAIL_SAMPLES = 5
CONFIDENCE = 0.95


@dataclass
class Row:
    """One setting and the results of its processes; `samples` are the ms of every step of each."""

    setting: Setting
    results: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failure(self) -> dict[str, Any] | None:
        """The result of a process that gave no numbers."""
        return next((one for one in self.results if one["outcome"] != "measured"), None)

    @property
    def samples(self) -> list[list[float]]:
        return [[1000 * value for value in one["seconds"]] for one in self.results if "seconds" in one]


@dataclass(frozen=True)
class Effort:
    """How long to measure: processes a row; in each, at least so many steps and so many seconds of them."""

    processes: int = 3
    repeats: int = 10
    seconds: float = 1.0


def measure_rows(
    settings: Sequence[Setting],
    effort: Effort,
    *,
    memory_limit: int | None = None,
    seed: int = 0,
    told: Callable[[str], None] = lambda text: None,
) -> tuple[list[Row], dict[str, dict[str, Any]]]:
    """Measure the speed of every setting, and the peak of matrix products in each of their precisions.

    Every round is one process of every row and peak, in an order of its own. A row that failed is not
    tried again; that of one which ran out of memory has "largest_batch".

    Returns:
        A row a setting, in order, and the best peak by precision (absent where it could not be measured).
    """
    rows = [Row(setting) for setting in settings]
    peaks: dict[str, dict[str, Any]] = {}
    shuffled = random.Random(seed)
    limits = {"repeats": effort.repeats, "seconds": effort.seconds}
    precisions = list(dict.fromkeys(setting.precision for setting in settings))
    for turn in range(effort.processes):
        work: list[Row | str] = [row for row in rows if not row.failure] + precisions
        shuffled.shuffle(work)
        for item in work:
            label = item if isinstance(item, str) else spoken(item.setting)
            told(f"round {turn + 1} of {effort.processes}: {label}")
            if isinstance(item, Row):
                item.results.append(ask(job_of("speed", item.setting, memory_limit, **limits)))
                continue
            device, threads = settings[0].device, settings[0].threads
            job = {"task": "matmul", "device": device, "precision": item, "threads": threads, **limits}
            found = ask(job)
            best = peaks.get(item, {"flops_per_s": 0.0})
            if found["outcome"] == "measured" and found["flops_per_s"] > best["flops_per_s"]:
                peaks[item] = found
    for row in rows:
        if row.failure and row.failure["outcome"] == "out_of_memory":
            told(f"largest batch that fits: {spoken(row.setting)}")
            row.failure["largest_batch"] = largest_batch(row.setting, memory_limit)
    return rows, peaks


def best_settings(rows: Sequence[Row]) -> list[Setting]:
    """The setting of the most images/s, for every model, mode and input size."""
    best: dict[tuple, tuple[float, Setting]] = {}
    for row in rows:
        if row.failure is None:
            setting = row.setting
            rate = summarise(row.samples, setting.batch_size)["images_per_s"]
            place = setting.model, setting.mode, setting.input_size
            if place not in best or rate > best[place][0]:
                best[place] = rate, setting
    return [setting for _, setting in best.values()]


def summarise(samples: Sequence[Sequence[float]], batch_size: int) -> dict[str, Any]:
    """What the table says of the steps of several processes.

    Args:
        samples: ms of every step, by process; at least one each.
        batch_size: images a step.

    Returns:
        latency_ms_median, _q1, _q3 over all samples (a step's, whatever its batch), _p95 and _p99 where
        there are enough samples, else None; images_per_s, from the median; images_per_s_low and _high, the
        95 % Student interval of the processes' rates, None for a single process; samples; processes;
        process_medians_ms; unstable.
    """
    pooled = np.concatenate([np.asarray(one, float) for one in samples])
    q1, middle, q3 = np.percentile(pooled, [25, 50, 75])
    medians = [median(one) for one in samples]
    rates = np.array([1000 * batch_size / value for value in medians])
    low = high = None
    if len(rates) > 1:
        half = stats.t.ppf((1 + CONFIDENCE) / 2, len(rates) - 1) * rates.std(ddof=1) / np.sqrt(len(rates))
        low, high = float(max(rates.mean() - half, 0)), float(rates.mean() + half)
    return {
        "latency_ms_median": float(middle),
        "latency_ms_q1": float(q1),
        "latency_ms_q3": float(q3),
        "latency_ms_p95": _percentile(pooled, 95),
        "latency_ms_p99": _percentile(pooled, 99),
        "images_per_s": float(1000 * batch_size / middle),
        "images_per_s_low": low,
        "images_per_s_high": high,
        "samples": len(pooled),
        "processes": len(samples),
        "process_medians_ms": medians,
        "unstable": (max(medians) - min(medians)) / median(medians) > UNSTABLE,
    }


def spoken(setting: Setting) -> str:
    """A setting in one line."""
    layout = f"{setting.memory_format}, {'compiled' if setting.compiled else 'eager'}"
    return (
        f"{setting.model} {setting.mode}, batch {setting.batch_size}, {setting.input_size} px, "
        f"{setting.precision}, {layout}"
    )


def _percentile(pooled: np.ndarray, percent: int) -> float | None:
    enough = len(pooled) * (100 - percent) / 100 >= TAIL_SAMPLES
    return float(np.percentile(pooled, percent)) if enough else None

"""Rows of what is timed: several fresh processes each, in interleaved random order, and what they give."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any

import numpy as np
from scipy import stats

from bench.profiling.config import Effort, Loading, Setting
from bench.profiling.processes import Stopped, ask, job_of, largest_batch

# A row is unstable while the 95 % interval of its processes' rates reaches further than this from their mean.
UNSTABLE = 0.05
# A percentile needs this many samples beyond it.
TAIL_SAMPLES = 5
CONFIDENCE = 0.95


@dataclass
class Row:
    """One row of a table and the results of its processes; `samples` are the ms of every step of each.

    `task` is that of `bench.profiling.worker`: speed, end_to_end or loading.
    """

    task: str
    setting: Setting | Loading
    effort: Effort = Effort()
    results: list[dict[str, Any]] = field(default_factory=list)
    begun: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def failure(self) -> dict[str, Any] | None:
        """The result of a process that gave no numbers."""
        return next((one for one in self.results if one["outcome"] != "measured"), None)

    @property
    def ended(self) -> bool:
        """Whether nothing more will be measured of it."""
        done, effort = len(self.results), self.effort
        if self.failure is not None or done >= max(effort.processes, effort.most or 0):
            return True
        return done >= effort.processes and not is_unstable(self.samples)

    @property
    def samples(self) -> list[list[float]]:
        return [[1000 * value for value in one["seconds"]] for one in self.results if "seconds" in one]


@dataclass
class Limits:
    """The best that the machine itself reached: products of matrices by precision, and memory."""

    matmul: dict[str, dict[str, Any]] = field(default_factory=dict)
    bandwidth: dict[str, Any] | None = None

    def note(self, precision: str | None, found: dict[str, Any]) -> None:
        """Keep a result where it is the best of its kind; `precision` is None for that of memory."""
        if found["outcome"] != "measured":
            return
        if precision is None:
            if self.bandwidth is None or found["bytes_per_s"] > self.bandwidth["bytes_per_s"]:
                self.bandwidth = found
        elif found["flops_per_s"] > self.matmul.get(precision, {"flops_per_s": 0.0})["flops_per_s"]:
            self.matmul[precision] = found


def measure_rows(
    rows: Sequence[Row],
    *,
    memory_limit: int | None = None,
    seed: int | None = None,
    told: Callable[[str], None] = lambda text: None,
    keep: Callable[[Row], None] = lambda row: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Row, Limits]]:
    """Measure every row, and for those of speed the limits of the machine in each of their precisions.

    Every round is one process of every row that wants more, in an order of its own, after one of every
    limit. A row that is unstable gets more rounds, up to its effort's `most` processes. A row that failed is
    not tried again; that of one which ran out of memory has "largest_batch".

    Args:
        rows: those with results go on from there.
        seed: of the orders.
        keep: told a row after each of its processes.
        should_stop: asked before each process, and twice a second while one measures: that one is ended, and
            its results so far are lost.

    Yields:
        Each row as it ends, with the limits so far.
    """
    limits, shuffled = Limits(), random.Random(seed)
    count = max((row.effort.processes for row in rows), default=0)
    most = max((row.effort.most or 0 for row in rows), default=0)
    for turn in range(max(count, most)):
        work = [row for row in rows if not row.ended]
        if not work:
            return
        shuffled.shuffle(work)
        speed = [row for row in work if row.task == "speed"]
        # Further rounds of unstable rows leave the limits as they are.
        asked = speed if turn < count else []
        own_limits = [*dict.fromkeys(row.setting.precision for row in asked), None] if asked else []
        for number, item in enumerate([*own_limits, *work], 1):
            if should_stop():
                return
            kind = "round" if turn < count else "further round"
            place = f"{kind} {turn + 1}, {number} of {len(own_limits) + len(work)}"
            if isinstance(item, Row):
                told(f"{place}: {item.task}, {item.setting.words}")
                effort = {"repeats": item.effort.repeats, "seconds": item.effort.seconds}
                try:
                    item.results.append(
                        ask(job_of(item.task, item.setting, memory_limit, **effort), should_stop)
                    )
                    _find_largest(item, memory_limit, told, should_stop)
                except Stopped:
                    return
                keep(item)
                if item.ended:
                    yield item, limits
            else:
                told(f"{place}: {'matrix products in ' + item if item else 'memory bandwidth'}")
                try:
                    limits.note(item, ask(_limit_job(item, speed[0]), should_stop))
                except Stopped:
                    return


def _limit_job(precision: str | None, like: Row) -> dict[str, Any]:
    """The job that measures a limit on the device and with the threads of a row."""
    kind = {"task": "matmul", "precision": precision} if precision else {"task": "bandwidth"}
    effort = {"repeats": like.effort.repeats, "seconds": like.effort.seconds}
    return {**kind, "device": like.setting.device, "threads": like.setting.threads, **effort}


def _find_largest(
    row: Row, memory_limit: int | None, told: Callable[[str], None], should_stop: Callable[[], bool]
) -> None:
    """Where a model's row has run out of memory, add the largest batch that fits to its result.

    Raises:
        Stopped: asked to; the row then has no result of this process.
    """
    if row.failure and row.failure["outcome"] == "out_of_memory" and isinstance(row.setting, Setting):
        told(f"largest batch that fits: {row.setting.words}")
        try:
            row.failure["largest_batch"] = largest_batch(row.setting, memory_limit, should_stop)
        except Stopped:
            row.results.remove(row.failure)
            raise


def is_unstable(samples: Sequence[Sequence[float]]) -> bool:
    """Whether the 95 % Student interval of the processes' rates reaches over `UNSTABLE` of their mean.

    A single process tells nothing of it.

    Args:
        samples: times of every step, by process.
    """
    rates = np.array([1 / median(one) for one in samples])
    return len(rates) > 1 and bool(_half_width(rates) > UNSTABLE * rates.mean())


def _half_width(rates: np.ndarray) -> float:
    """Of the 95 % Student interval of a mean."""
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(rates) - 1)
    return float(quantile * rates.std(ddof=1) / np.sqrt(len(rates)))


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
        half = _half_width(rates)
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
        "unstable": is_unstable(samples),
    }


def _percentile(pooled: np.ndarray, percent: int) -> float | None:
    enough = len(pooled) * (100 - percent) / 100 >= TAIL_SAMPLES
    return float(np.percentile(pooled, percent)) if enough else None

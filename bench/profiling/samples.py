"""What the times of steps from several processes come to: medians, rates, and whether these are stable."""

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
from scipy import stats

# A row is unstable while the 95 % interval of its processes' rates reaches further than this from their mean.
UNSTABLE = 0.05
# A percentile needs this many samples beyond it.
TAIL_SAMPLES = 5
CONFIDENCE = 0.95


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


def summarise(samples: Sequence[Sequence[float]], batch_size: int) -> dict[str, Any]:
    """What the table says of the steps of several processes.

    Args:
        samples: ms of every step, by process; at least one each.
        batch_size: images a step.

    Returns:
        latency_ms_median, _q1, _q3 over all samples (a step's, whatever its batch), _p95 and _p99 where
        there are enough samples, else None; images_per_s, the mean of the processes' rates, where that of a
        process is of its median step; images_per_s_low and _high, the 95 % Student interval of the same mean
        over processes, None for a single process; samples; processes; process_medians_ms; unstable.
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
        "images_per_s": float(rates.mean()),
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

"""How good predictions are; numpy alone.

Beside those of `bench.metrics.accuracy.score` a metric is one file here, named after it, with a function of
the same name: `NAME(logits, labels) -> float`, of logits (n, classes) and labels (n,). Its name is the key in
the metrics of a record, and the column of the accuracy table.
"""

import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module

import numpy as np

Metric = Callable[[np.ndarray, np.ndarray], float]

# What is measured in any case, and what that takes.
OURS = {"accuracy", "calibration"}


@cache
def added_metrics() -> dict[str, Metric]:
    """Every metric with a file of its own, by name."""
    names = sorted({module.name for module in pkgutil.iter_modules(__path__)} - OURS)
    return {name: getattr(import_module(f"{__name__}.{name}"), name) for name in names}

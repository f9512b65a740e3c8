"""What training the best of a pick on all images came to: how each did on val and on the test split."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.analysis.predictions import Predictions
from bench.machine import device_name, machine_name, versions
from bench.store.records.profiles import MeasuredRecord
from bench.store.records.trials import Result
from bench.store.run_store import RunStore

Key = tuple[str, str]
"""Recipe ("finetune" or "linear-probe") and model."""


@dataclass(frozen=True)
class Trained:
    """The first replicate of one training.

    Attributes:
        val: top-1 on val; NaN where it was not looked at.
        top1: on the test split.
        correct: bool (n,), which test images it classified correctly; None if it diverged.
        replicates: how many there are.
    """

    val: float
    top1: float
    correct: np.ndarray | None
    replicates: int = 1


def trained_by(results: Path, path: Path) -> dict[Key, Trained]:
    """Those that the suite at `path` has trained in a run store.

    Raises:
        StoreError: its predictions are damaged.
    """
    store = RunStore(results)
    listing = store.suite(path.stem)
    first: dict[Key, Result] = {}
    replicates: Counter[Key] = Counter()
    for run, entries in listing.runs.items() if listing else ():
        if (record := store.result(run)) is not None:
            key = record.recipe, record.model.name
            replicates[key] += 1
            if any(entry.replicate == 0 for entry in entries):
                first[key] = record
    predictions = Predictions(store)
    return {key: _of(record, predictions, replicates[key]) for key, record in first.items()}


def memory_by(results: Path, path: Path, device: str) -> dict[str, float]:
    """Peak memory of inference in MiB, by model, at the largest batch that the suite at `path` asks for.

    What a store has of other machines, devices and versions of libraries is left out.
    """
    store = RunStore(results)
    listing = store.suite(path.stem)
    asked = next((one for one in listing.headlines if one.mode == "infer"), None) if listing else None
    if listing is None or asked is None:
        return {}
    here = (machine_name(), device_name(device), versions())
    setting = (asked.mode, asked.batch_size, asked.input_size, asked.precision, True)
    peaks: dict[str, float] = {}
    for profile in listing.profiles:
        one = store.profile(profile)
        if not isinstance(one, MeasuredRecord) or one.what != "memory" or not one.model:
            continue
        own = (one.mode, one.batch_size, one.input_size, one.precision, one.as_trained)
        peak = one.peak_rss_mib if one.peak_allocated_mib is None else one.peak_allocated_mib
        if own == setting and (one.machine, one.device, one.versions) == here and peak is not None:
            peaks[one.model] = peak
    return peaks


def _of(record: Result, predictions: Predictions, replicates: int) -> Trained:
    val, outputs = record.metrics.val_top1, predictions.outputs(record)
    return Trained(
        math.nan if val is None else val,
        record.top1,
        None if outputs is None else outputs.correct,
        replicates,
    )


def best_of(trained: Mapping[Key, Trained], first: str) -> Key:
    """The best on val; without val the first of the race, fine-tuned: the test split chooses nothing."""
    known = {key: one.val for key, one in trained.items() if not math.isnan(one.val)}
    return max(known, key=lambda key: known[key]) if known else ("finetune", first)

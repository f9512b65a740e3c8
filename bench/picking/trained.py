"""What training the best of a pick on all images came to: how each did on val and on the test split."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

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
    """Replicates of one training.

    Attributes:
        val: mean top-1 on val; NaN where it was not looked at.
        top1: mean top-1 on the test split.
        correct: bool (n,), which test images the first replicate classified correctly; None if it diverged.
    """

    val: float
    top1: float
    correct: np.ndarray | None


def trained_by(results: Path, path: Path) -> dict[Key, Trained]:
    """Those that the suite at `path` has trained in a run store.

    Raises:
        StoreError: its predictions are damaged.
    """
    store = RunStore(results)
    listing = store.suite(path.stem)
    runs: dict[Key, list[Result]] = {}
    for run in listing.runs if listing else ():
        if (record := store.result(run)) is not None:
            runs.setdefault((record.recipe, record.model.name), []).append(record)
    predictions = Predictions(store)
    return {key: _of(own, predictions) for key, own in runs.items()}


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


def _of(records: list[Result], predictions: Predictions) -> Trained:
    val = [one.metrics.val_top1 for one in records]
    outputs = predictions.outputs(records[0])
    return Trained(
        fmean(math.nan if one is None else one for one in val),
        fmean(one.top1 for one in records),
        None if outputs is None else outputs.correct,
    )


def best_of(trained: Mapping[Key, Trained], first: str) -> Key:
    """The best on val; without val the first of the race, fine-tuned: the test split chooses nothing."""
    known = {key: one.val for key, one in trained.items() if not math.isnan(one.val)}
    return max(known, key=lambda key: known[key]) if known else ("finetune", first)

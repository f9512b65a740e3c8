"""Grids of learning rates among the trials of a suite: how far the rate could have been off."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.analysis.efficiency import Sensitivity, learning_rate_sensitivity
from bench.files import canonical

Record = dict[str, Any]

MIN_RATES = 3


@dataclass(frozen=True)
class RateGrid:
    """One contestant on one subset, trained with several learning rates and otherwise in the same way.

    `val` is its mean val accuracy by rate, over the `replicates` that every rate has; diverged trials count
    at chance, `diverged` of them in all.
    """

    contestant: str
    dataset: str
    shots: int | None
    val: dict[float, float]
    replicates: int
    diverged: int
    runs: tuple[str, ...]
    sensitivity: Sensitivity


def rate_grids(listing: Record, records: Mapping[str, Record]) -> list[RateGrid]:
    """Every grid of three learning rates or more in a suite, in the order of its trials.

    Rates are compared by val accuracy, as nothing is chosen by the test split; trials without a val split
    are left out.
    """
    grids: dict[str, dict[float, dict[tuple, tuple[str, Record]]]] = {}
    for entry in listing["trials"]:
        record = records.get(entry["id"])
        if record is None or not record["data"]["val_images"]:
            continue
        identity = record["identity"]
        optimizer = identity["recipe"].get("optimizer")
        if optimizer is None:
            continue
        rest = {name: value for name, value in identity.items() if name not in ("seed", "draw_seed")}
        rest["recipe"] = identity["recipe"] | {"optimizer": {**optimizer, "lr": None}}
        runs = grids.setdefault(canonical(rest), {}).setdefault(float(optimizer["lr"]), {})
        runs.setdefault((entry["draw_seed"], entry["seed"]), (entry["contestant"], record))
    found = (_grid(by_rate, listing["delta"]) for by_rate in grids.values() if len(by_rate) >= MIN_RATES)
    return [grid for grid in found if grid]


def _grid(by_rate: dict[float, dict[tuple, tuple[str, Record]]], delta: float) -> RateGrid | None:
    common = set.intersection(*(set(runs) for runs in by_rate.values()))
    if not common:
        return None
    kept = {
        rate: [record for key, (_, record) in runs.items() if key in common] for rate, runs in by_rate.items()
    }
    val = {rate: float(np.mean([_val(record) for record in own])) for rate, own in sorted(kept.items())}
    every = [record for own in kept.values() for record in own]
    contestant = next(iter(next(iter(by_rate.values())).values()))[0]
    return RateGrid(
        contestant,
        every[0]["data"]["dataset"],
        every[0]["identity"]["shots"],
        val,
        len(common),
        sum(record["outcome"] == "diverged" for record in every),
        tuple(record["id"] for record in every),
        learning_rate_sensitivity(list(val), list(val.values()), delta),
    )


def _val(record: Record) -> float:
    return 1 / record["data"]["classes"] if record["outcome"] == "diverged" else record["metrics"]["val_top1"]

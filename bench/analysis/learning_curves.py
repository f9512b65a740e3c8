"""Accuracy against the number of images per class, put together from the runs of a suite."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.contrasts import Finding
from bench.analysis.decisions import contrast
from bench.analysis.efficiency import Crossover, Curve, area, area_scores, crossover, curve
from bench.analysis.predictions import Predictions
from bench.analysis.statistics import MIN_REPLICATES, Contrast, Estimate
from bench.analysis.trained import Training

Record = dict[str, Any]


@dataclass(frozen=True)
class Growth:
    """One contestant of one comparison: by images per class and then replicate, its scores (N,).

    `untrained` are the sizes at which it was not trained: they have a band, and support no claim.
    """

    comparison: str
    contestant: str
    scores: dict[float, dict[int, NDArray]]
    untrained: frozenset[float] = frozenset()

    @cached_property
    def curve(self) -> Curve:
        """Its band: the plain interval at each size."""
        return curve({size: np.stack(list(own.values())) for size, own in self.scores.items()})

    @cached_property
    def trained(self) -> Curve | None:
        """The curve over the sizes at which it was trained; None where there are none."""
        kept = [k for k, size in enumerate(self.curve.sizes) if size not in self.untrained]
        if not kept:
            return None
        return Curve(*(tuple(values[k] for k in kept) for values in (self.curve.sizes, self.curve.points)))

    def tables(self, sizes: list[float], replicates: list[int]) -> dict[float, NDArray]:
        """Scores (R, N) at these sizes, replicates in this order."""
        return {size: np.stack([self.scores[size][r] for r in replicates]) for size in sizes}


def growths(
    listing: Record, records: Mapping[str, Record], predictions: Predictions, training: Training
) -> dict[tuple[str, str], Growth]:
    """What grew, by comparison and contestant; contestants without a run with predictions are left out."""
    found: dict[tuple[str, str], Growth] = {}
    runs: dict[tuple[str, str], dict[float, list[Record]]] = {}
    for entry in listing["trials"]:
        record = records.get(entry["id"])
        scores = None if record is None else predictions.scores(record)
        if scores is None:
            continue
        data, place = record["data"], (entry["comparison"], entry["contestant"])
        size = float(entry["shots"] or data["train_images"] / data["classes"])
        growth = found.setdefault(place, Growth(*place, {}))
        growth.scores.setdefault(size, {})[entry["replicate"]] = scores
        runs.setdefault(place, {}).setdefault(size, []).append(record)
    untrained = {
        place: frozenset(size for size, own in by_size.items() if training.reason(own))
        for place, by_size in runs.items()
    }
    return {place: replace(growth, untrained=untrained[place]) for place, growth in found.items()}


def shared(members: list[Growth]) -> tuple[list[float], list[int]]:
    """The sizes at which all members were trained and have at least three common replicates, and the
    replicates that are common to all of these sizes; both empty where that leaves fewer than two sizes or
    three replicates."""
    sizes = sorted(set.intersection(*(set(member.scores) - member.untrained for member in members)))
    at = {size: set.intersection(*(set(member.scores[size]) for member in members)) for size in sizes}
    sizes = [size for size in sizes if len(at[size]) >= MIN_REPLICATES]
    replicates = sorted(set.intersection(*(at[size] for size in sizes))) if len(sizes) > 1 else []
    return (sizes, replicates) if len(replicates) >= MIN_REPLICATES else ([], [])


def area_of(growth: Growth, sizes: list[float], replicates: list[int]) -> Estimate | None:
    """The area under one curve; None without sizes."""
    return area(growth.tables(sizes, replicates)) if sizes else None


def area_contrast(a: Growth, b: Growth, delta: float) -> tuple[Contrast | None, list[float]]:
    """The difference of two areas over their common sizes with its interval, and those sizes."""
    sizes, replicates = shared([a, b])
    if not sizes:
        return None, []
    both = [area_scores(member.tables(sizes, replicates)) for member in (a, b)]
    return contrast(*both, delta=delta), sizes


def crossover_of(findings: list[Finding]) -> Crossover | None:
    """Whether the better model of one primary pair changes with the size, by the verdicts at the sizes at
    which both were trained; None with fewer than two of these, and for exploratory pairs, of which nothing is
    claimed."""
    usable = [f for f in findings if f.result and not f.untrained]
    by_size = {f.images_per_class: f for f in usable}  # 10 shots may be the whole split
    measured = [by_size[size] for size in sorted(by_size)]
    if len(measured) < 2 or not all(f.pair.primary for f in measured):
        return None
    return crossover([f.images_per_class for f in measured], [f.result for f in measured])

"""The contrasts of a suite: every pair of models it compares, on every subset, with what may be claimed.

Replicates are paired by draw seed and training seed, images by their place in the test split. A probe has
no training seed, and is paired by what its replicate would have had. An interval
is about new training runs and new test images; it conditions on the pool of training images (and on all of
them where the whole split is used), on the values that were tuned, and on the checkpoint of a pretrained
model.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.frames import frame
from bench.analysis.predictions import Predictions
from bench.analysis.standing import Standing
from bench.analysis.statistics import MIN_REPLICATES, Contrast, contrast

Record = dict[str, Any]

CONTRASTS = {
    "suite": "str",
    "comparison": "str",
    "dataset": "str",
    "split_id": "str",
    "input_size": "Int64",
    "shots": "Int64",
    "images_per_class": "float64",
    "a": "str",
    "b": "str",
    "a_title": "str",
    "b_title": "str",
    "primary": "boolean",
    "replicates": "Int64",
    "planned": "Int64",
    "images": "Int64",
    "a_top1": "float64",
    "b_top1": "float64",
    "difference": "float64",
    "low": "float64",
    "high": "float64",
    "half_width": "float64",
    "se": "float64",
    "alpha": "float64",
    "comparisons": "Int64",
    "delta": "float64",
    "verdict": "str",
    "a_diverged": "Int64",
    "b_diverged": "Int64",
    "flops_ratio": "float64",
    "notes": "str",
    "a_runs": "str",
    "b_runs": "str",
}
"""Columns of the contrasts table: fractions in 0..1, a minus b; each interval has level 1 - alpha /
comparisons; `se` is the standard error of the difference; `flops_ratio` is a over b; runs are those that
were paired, in the same order."""


WHOLE_SPLIT = "the whole training split: no spread over draws"


@dataclass(frozen=True)
class Pair:
    """Two contestants, a and b, of one comparison on one subset; `shots` is None for the whole split."""

    comparison: str
    shots: int | None
    a: str
    b: str
    primary: bool


@dataclass(frozen=True)
class Finding:
    """What was found of a pair.

    `result` is None where no replicate of both was run; its verdict is "none" where there are too few.
    `runs_a` and `runs_b` are the paired runs; the accuracies are those of these runs. `flops_ratio` is a
    over b, None where it was not measured.
    """

    pair: Pair
    dataset: str
    split_id: str
    input_size: int
    images_per_class: float
    titles: tuple[str, str]
    planned: int
    result: Contrast | None
    accuracy: tuple[float, float]
    diverged: tuple[int, int]
    flops_ratio: float | None
    notes: tuple[str, ...]
    runs_a: tuple[str, ...]
    runs_b: tuple[str, ...]

    @property
    def decided(self) -> bool:
        """Whether there is an interval."""
        return self.result is not None and self.result.verdict != "none"


def pairs(listing: Record) -> list[Pair]:
    """All contrasts of a suite's listing on all subsets on which both models are planned, primary ones
    first within each comparison; the whole split comes last."""
    planned: dict[str, dict[int | None, set[str]]] = {}
    for entry in listing["trials"]:
        sizes = planned.setdefault(entry["comparison"], {})
        sizes.setdefault(entry["shots"], set()).add(entry["contestant"])
    return [
        Pair(comparison["name"], shots, a, b, primary)
        for comparison in listing["comparisons"]
        for primary, named in ((True, comparison["contrasts"]), (False, comparison["exploratory"]))
        for a, b in named
        for shots in sorted(planned.get(comparison["name"], {}), key=lambda n: (n is None, n or 0))
        if {a, b} <= planned[comparison["name"]][shots]
    ]


def paired_by(entry: Record, record: Record) -> tuple:
    """What two runs of one replicate have in common: the seeds and the very same data. A deterministic run
    has no training seed, and goes with the one of its replicate."""
    seed = entry["replicate"] if entry["seed"] is None else entry["seed"]
    return entry["draw_seed"], seed, record["data"]["fingerprint"]


def find_contrasts(
    listing: Record, records: dict[str, Record], predictions: Predictions, cost: pd.DataFrame
) -> list[Finding]:
    """Every contrast of one suite.

    Primary contrasts are adjusted (Bonferroni) for the number of primary contrasts and subsets that the
    suite plans, measured or not, so that no interval changes its meaning while a suite fills up.
    Exploratory ones are not adjusted.

    Args:
        listing: the suite as the store lists it.
        records: the records of its finished and diverged trials, by id.
        predictions: of the same store.
        cost: the cost table, for the FLOPs.
    """
    entries: dict[tuple[str, int | None, str], list[Record]] = {}
    for entry in listing["trials"]:
        entries.setdefault((entry["comparison"], entry["shots"], entry["contestant"]), []).append(entry)
    found = pairs(listing)
    comparisons = max(1, sum(pair.primary for pair in found))
    standing = Standing(listing, records, cost)
    own = [[entries[pair.comparison, pair.shots, key] for key in (pair.a, pair.b)] for pair in found]
    return [
        _finding(listing, records, predictions, standing, pair, both, comparisons if pair.primary else 1)
        for pair, both in zip(found, own, strict=True)
    ]


def _finding(
    listing: Record,
    records: dict[str, Record],
    predictions: Predictions,
    standing: Standing,
    pair: Pair,
    entries: list[list[Record]],
    comparisons: int,
) -> Finding:
    comparison = standing.comparisons[pair.comparison]
    by_key = [dict(_measured(own, records, predictions)) for own in entries]
    common = [key for key in by_key[0] if key in by_key[1]]
    runs = [[both[key] for key in common] for both in by_key]
    tables = [np.stack([predictions.scores(record) for record in own]) for own in runs] if common else []
    result = cut(contrast(*tables, comparisons=comparisons, delta=listing["delta"])) if common else None
    diverged = [sum(record["outcome"] == "diverged" for record in own) for own in runs]
    measured = [records[entry["id"]] for own in entries for entry in own if entry["id"] in records]
    ratio = standing.flops_ratio(pair.comparison, pair.a, pair.b)
    notes = [
        *_certainty(len(common), entries),
        *_one_draw(pair, len(common), entries),
        *standing.notes(pair.comparison, pair.a, pair.b, ratio),
    ]
    titles = tuple(listing["contestants"][key]["title"] for key in (pair.a, pair.b))
    notes += [
        f"{k} of {len(common)} runs of {title} diverged, at chance"
        for k, title in zip(diverged, titles, strict=True)
        if k
    ]
    notes += standing.flags(measured)
    return Finding(
        pair,
        comparison["dataset"],
        comparison["split_id"],
        comparison["input_size"],
        _images_per_class(pair.shots, measured),
        titles,
        min(map(len, entries)),
        result,
        tuple(float(table.mean()) for table in tables) if tables else (np.nan, np.nan),
        tuple(diverged),
        ratio,
        tuple(notes),
        *(tuple(record["id"] for record in own) for own in runs),
    )


def cut(found: Contrast) -> Contrast:
    """The same with its interval cut at -1 and 1, beyond which no difference lies."""
    if found.low is None or found.high is None:
        return found
    low, high = max(found.low, -1.0), min(found.high, 1.0)
    return replace(found, low=low, high=high, half_width=(high - low) / 2)


def contrasts_table(
    suites: dict[str, Record], records: Iterable[Record], predictions: Predictions, cost: pd.DataFrame
) -> pd.DataFrame:
    """One row a suite, comparison, subset and pair, in the order of the suites."""
    by_id = {record["id"]: record for record in records}
    rows = [
        _row(finding) | {"suite": name}
        for name, listing in suites.items()
        for finding in find_contrasts(listing, by_id, predictions, cost)
    ]
    return frame(rows, CONTRASTS)


def _row(finding: Finding) -> Record:
    row = {name: getattr(finding.pair, name, None) for name in CONTRASTS}
    row |= {name: getattr(finding, name, row[name]) for name in CONTRASTS}
    if finding.result:
        row |= {name: getattr(finding.result, name, row[name]) for name in CONTRASTS}
        row["difference"] = finding.result.estimate
    for side, letter in enumerate("ab"):
        row[f"{letter}_title"] = finding.titles[side]
        row[f"{letter}_top1"] = finding.accuracy[side]
        row[f"{letter}_diverged"] = finding.diverged[side]
        row[f"{letter}_runs"] = " ".join((finding.runs_a, finding.runs_b)[side])
    replicates = len(finding.runs_a)
    verdict = finding.result.verdict if finding.result else "none"
    return row | {"replicates": replicates, "verdict": verdict, "notes": "; ".join(finding.notes)}


def _measured(
    entries: list[Record], records: dict[str, Record], predictions: Predictions
) -> Iterator[tuple[tuple, Record]]:
    """The runs that have a score for each image, by what pairs them."""
    for entry in entries:
        record = records.get(entry["id"])
        if record is not None and predictions.scores(record) is not None:
            yield paired_by(entry, record), record


def _certainty(replicates: int, entries: list[list[Record]]) -> list[str]:
    """Why there is no verdict, where there is none."""
    if replicates >= MIN_REPLICATES:
        return []
    if not replicates:
        return ["not measured: no replicate with predictions of both"]
    if all(len(own) == 1 and own[0]["draw_seed"] is None and own[0]["seed"] is None for own in entries):
        return ["one deterministic run of each: no interval, no verdict"]
    plural = "" if replicates == 1 else "s"
    return [f"{replicates} common replicate{plural}: no interval, no verdict"]


def _one_draw(pair: Pair, replicates: int, entries: list[list[Record]]) -> list[str]:
    """That a number of images per class is the whole split, where it is; other rows have it in their name."""
    resolved = [entry for own in entries for entry in own if entry["id"]]
    drawn = any(entry["draw_seed"] is not None for entry in resolved)
    return [] if pair.shots is None or drawn or replicates < 2 else [WHOLE_SPLIT]


def _images_per_class(shots: int | None, measured: list[Record]) -> float:
    if shots is not None:
        return float(shots)
    data = [record["data"] for record in measured]
    return max((d["train_images"] / d["classes"] for d in data), default=np.nan)

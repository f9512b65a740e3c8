"""The contrasts of a suite: every pair of models it compares, on every subset, with what may be claimed.

Primary contrasts, which the suite declares, get verdicts by Holm's procedure over all of them; exploratory
ones have intervals and no verdict. Replicates are paired by draw seed and training seed, images by their
place in the test split. A probe has no training seed, and is paired by what its replicate would have had. An
interval is about new training runs and new test images; it conditions on the pool of training images (and on
all of them where the whole split is used), on the values that were tuned, and on the checkpoint of a
pretrained model. A probe on the whole split is deterministic, and its interval is about new test images
alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.analysis.decisions import Cell, judge
from bench.analysis.match import Standing
from bench.analysis.predictions import Predictions
from bench.analysis.statistics import MIN_REPLICATES, Contrast
from bench.analysis.trained import NOT_TRAINED, Training, same_model
from bench.frames import frame

if TYPE_CHECKING:
    from bench.store.records import Listing, TrialEntry, TrialRecord

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
    "p_adjusted": "float64",
    "p_equivalent": "float64",
    "images_only": "boolean",
    "verdict": "str",
    "a_diverged": "Int64",
    "b_diverged": "Int64",
    "flops_ratio": "float64",
    "notes": "str",
    "a_runs": "str",
    "b_runs": "str",
}
"""Columns of the contrasts table: fractions in 0..1, a minus b. `low` to `high` is the plain interval of
level 1 - alpha, of every row alone; `se` is the standard error of the difference. The verdict of a primary
contrast is better or worse where `p_adjusted` is at most alpha, else equivalent where `p_equivalent` is: both
are Holm's over the `comparisons` primary contrasts that are planned and can be decided, the first of no
difference, the second of one of `delta` or more. Exploratory contrasts have neither, and the verdict none.
`images_only`: the interval is about new test images alone, as one deterministic run of each was made.
`flops_ratio` is a over b; runs are those that were paired, in the same order."""


Replicate = tuple[int | None, int, str]
"""What pairs runs: draw seed, training seed, fingerprint of the data."""

WHOLE_SPLIT = "the whole training split: no spread over draws"
IMAGES_ONLY = "one deterministic run of each: the interval is over test images alone"


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

    `result` is None where no replicate of both was run; it has no interval where there are too few.
    `runs_a` and `runs_b` are the paired runs; the accuracies are those of these runs. `flops_ratio` is a
    over b, None where it was not measured.
    `untrained` says which of two different models was not trained, and why: then there is no verdict.
    """

    pair: Pair
    dataset: str
    split_id: str | None
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
    untrained: tuple[str, ...] = ()

    @property
    def contrast(self) -> Contrast:
        """The result, of a pair that was measured."""
        assert self.result is not None
        return self.result

    @property
    def has_interval(self) -> bool:
        """Whether enough was run for one."""
        return self.result is not None and self.result.low is not None


def pairs(listing: "Listing") -> list[Pair]:
    """All contrasts of a suite's listing on all subsets on which both models are planned, primary ones
    first within each comparison; the whole split comes last."""
    planned: dict[str, dict[int | None, set[str]]] = {}
    for entry in listing.trials:
        sizes = planned.setdefault(entry.comparison, {})
        sizes.setdefault(entry.shots, set()).add(entry.contestant)
    return [
        Pair(comparison.name, shots, a, b, primary)
        for comparison in listing.comparisons
        for primary, named in ((True, comparison.contrasts), (False, comparison.exploratory))
        for a, b in named
        for shots in sorted(planned.get(comparison.name, {}), key=lambda n: (n is None, n or 0))
        if {a, b} <= planned[comparison.name][shots]
    ]


def paired_by(entry: "TrialEntry", record: "TrialRecord") -> Replicate:
    """What two runs of one replicate have in common: the seeds and the very same data. A deterministic run
    has no training seed, and goes with the one of its replicate."""
    seed = entry.replicate if entry.seed is None else entry.seed
    return entry.draw_seed, seed, record.data.fingerprint


def find_contrasts(
    listing: "Listing", records: "dict[str, TrialRecord]", predictions: Predictions, cost: pd.DataFrame
) -> list[Finding]:
    """Every contrast of one suite.

    Primary contrasts are judged by Holm's procedure over all that the suite plans and that can be decided,
    measured or not, so that their number does not change while a suite fills up.

    Args:
        listing: the suite as the store lists it.
        records: the records of its finished and diverged trials, by id.
        predictions: of the same store.
        cost: the cost table, for the FLOPs.
    """
    entries: dict[tuple[str, int | None, str], list[TrialEntry]] = {}
    for entry in listing.trials:
        entries.setdefault((entry.comparison, entry.shots, entry.contestant), []).append(entry)
    declared = pairs(listing)
    own = [[entries[pair.comparison, pair.shots, key] for key in (pair.a, pair.b)] for pair in declared]
    comparisons = sum(pair.primary and can_be_decided(both) for pair, both in zip(declared, own, strict=True))
    runs = [_paired(both, records, predictions) for both in own]
    results: dict[int, Contrast] = {}
    accuracies: dict[int, tuple[float, float]] = {}
    for primary in (True, False):
        at = [k for k, pair in enumerate(declared) if pair.primary == primary and runs[k][0]]
        cells = [_cell(declared[k], own[k], runs[k], predictions) for k in at]
        number = comparisons if primary else 0
        results |= zip(at, judge(cells, delta=listing.delta, comparisons=number), strict=True)
        for k, cell in zip(at, cells, strict=True):
            a, b = cell.scores
            accuracies[k] = float(np.asarray(a).mean()), float(np.asarray(b).mean())
    standing, training = Standing(listing, records, cost), Training(predictions.store)
    return [
        _finding(
            listing,
            records,
            standing,
            pair,
            own[k],
            runs[k],
            results.get(k),
            accuracies.get(k, (np.nan, np.nan)),
            training.reasons(*runs[k]),
        )
        for k, pair in enumerate(declared)
    ]


def can_be_decided(entries: "list[list[TrialEntry]]") -> bool:
    """Whether enough replicates of both models are planned for a verdict, or one run says all there is."""
    return min(map(len, entries)) >= MIN_REPLICATES or is_deterministic(entries)


def is_deterministic(entries: "list[list[TrialEntry]]") -> bool:
    """Whether each model has one run, on the whole split and without a training seed."""
    return all(len(own) == 1 and own[0].draw_seed is None and own[0].seed is None for own in entries)


def _paired(
    entries: "list[list[TrialEntry]]", records: "dict[str, TrialRecord]", predictions: Predictions
) -> "list[list[TrialRecord]]":
    """The records of both models that have a score for each image, in the same order of replicates."""
    by_key = [dict(_measured(own, records, predictions)) for own in entries]
    common = [key for key in by_key[0] if key in by_key[1]]
    return [[both[key] for key in common] for both in by_key]


def _cell(
    pair: Pair, entries: "list[list[TrialEntry]]", runs: "list[list[TrialRecord]]", predictions: Predictions
) -> Cell:
    a, b = map(predictions.table, runs)
    return Cell((a, b), pair.comparison, deterministic=is_deterministic(entries))


def _finding(
    listing: "Listing",
    records: "dict[str, TrialRecord]",
    standing: Standing,
    pair: Pair,
    entries: "list[list[TrialEntry]]",
    runs: "list[list[TrialRecord]]",
    result: Contrast | None,
    accuracy: tuple[float, float],
    reasons: tuple[str | None, str | None],
) -> Finding:
    comparison = standing.comparisons[pair.comparison]
    common = len(runs[0])
    diverged_a, diverged_b = (sum(record.outcome == "diverged" for record in own) for own in runs)
    measured = [records[entry.id] for own in entries for entry in own if entry.id in records]
    ratio = standing.flops_ratio(pair.comparison, pair.a, pair.b)
    notes = [
        *_certainty(pair, common, entries),
        *_one_draw(pair, common, entries),
        *standing.notes(pair.comparison, pair.a, pair.b, ratio),
    ]
    titles = listing.contestants[pair.a].title, listing.contestants[pair.b].title
    untrained = tuple(f"{title}: {why}" for title, why in zip(titles, reasons, strict=True) if why)
    withheld = bool(untrained) and not same_model(runs[0] + runs[1])
    if result and withheld:
        result = replace(result, verdict="none", p_adjusted=None, p_equivalent=None, needs=None)
    notes += [f"{NOT_TRAINED}: {words}" for words in untrained]
    notes += [
        f"{k} of {common} runs of {title} diverged, at chance"
        for k, title in zip((diverged_a, diverged_b), titles, strict=True)
        if k
    ]
    notes += standing.flags(measured)
    return Finding(
        pair,
        comparison.dataset,
        comparison.split_id,
        comparison.input_size,
        _images_per_class(pair.shots, measured),
        titles,
        min(map(len, entries)),
        result,
        accuracy,
        (diverged_a, diverged_b),
        ratio,
        tuple(notes),
        tuple(record.id for record in runs[0]),
        tuple(record.id for record in runs[1]),
        untrained if withheld else (),
    )


def contrasts_table(
    suites: "dict[str, Listing]",
    records: "Iterable[TrialRecord]",
    predictions: Predictions,
    cost: pd.DataFrame,
) -> pd.DataFrame:
    """One row a suite, comparison, subset and pair, in the order of the suites."""
    by_id = {record.id: record for record in records}
    rows = [
        _row(finding) | {"suite": name}
        for name, listing in suites.items()
        for finding in find_contrasts(listing, by_id, predictions, cost)
    ]
    return frame(rows, CONTRASTS)


def _row(finding: Finding) -> dict[str, Any]:
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
    entries: "list[TrialEntry]", records: "dict[str, TrialRecord]", predictions: Predictions
) -> "Iterator[tuple[Replicate, TrialRecord]]":
    """The runs that have a score for each image, by what pairs them."""
    for entry in entries:
        if entry.id in records and predictions.scores(records[entry.id]) is not None:
            yield paired_by(entry, records[entry.id]), records[entry.id]


def _certainty(pair: Pair, replicates: int, entries: "list[list[TrialEntry]]") -> list[str]:
    """Why there is no interval where there is none, and what one is about that is about images alone."""
    if replicates >= MIN_REPLICATES:
        return []
    if not replicates:
        return ["not measured: no replicate with predictions of both"]
    if is_deterministic(entries):
        return [IMAGES_ONLY]
    missing = "no interval, no verdict" if pair.primary else "no interval"
    return [f"{replicates} common replicate{'' if replicates == 1 else 's'}: {missing}"]


def _one_draw(pair: Pair, replicates: int, entries: "list[list[TrialEntry]]") -> list[str]:
    """That a number of images per class is the whole split, where it is; other rows have it in their name."""
    resolved = [entry for own in entries for entry in own if entry.id]
    drawn = any(entry.draw_seed is not None for entry in resolved)
    return [] if pair.shots is None or drawn or replicates < 2 else [WHOLE_SPLIT]


def _images_per_class(shots: int | None, measured: "list[TrialRecord]") -> float:
    if shots is not None:
        return float(shots)
    return max((record.data.train_images / record.data.classes for record in measured), default=np.nan)

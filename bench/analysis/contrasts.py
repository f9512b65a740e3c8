"""The contrasts of a suite: every pair of models it compares, on every subset, with what may be claimed.

Primary contrasts, which the suite declares, get verdicts by Holm's procedure over all of them; exploratory
ones, and all under another condition than clean, have intervals and no verdict. Replicates are paired by draw
seed and training seed, images by their place in the test split. A probe has no training seed, and is paired
by what its replicate would have had. An interval is about new training runs and new test images; it
conditions on the pool of training images (and on all of them where the whole split is used), on the values
that were tuned, and on the checkpoint of a pretrained model. A probe on the whole split is deterministic, and
its interval is about new test images alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.analysis.cells import CLEAN, Cell, paired
from bench.analysis.decisions import PairedScores, judge
from bench.analysis.flags import Flag, Note, flags_of_runs, flags_of_search
from bench.analysis.match import Match
from bench.analysis.predictions import Predictions
from bench.analysis.statistics import MIN_REPLICATES, Contrast
from bench.analysis.trained import Training, same_model
from bench.frames import frame

if TYPE_CHECKING:
    from bench.store.records.listing import Listing
    from bench.store.records.trials import Result

CONTRASTS = {
    "suite": "str",
    "comparison": "str",
    "dataset": "str",
    "split_id": "str",
    "input_size": "Int64",
    "condition": "str",
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
    "looks": "Int64",
    "alpha_spent": "float64",
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
`looks` is how often a primary contrast was judged, which spent `alpha_spent` of alpha: once, or after several
numbers of replicates until it was decided; the p-values are over all looks.
`images_only`: the interval is about new test images alone, as one deterministic run of each was made.
`flops_ratio` is a over b; runs are those that were paired, in the same order."""


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
    """The result of one contrast.

    `result` is None where no replicate of both was run; it has no interval where there are too few.
    `runs_a` and `runs_b` are the paired runs; the accuracies are those of these runs. `flops_ratio` is a
    over b, None where it was not measured.
    `untrained` says which of two different models was not trained, and why: then there is no verdict.
    `flags` are what must be known to read it, `notes` the same in words.
    """

    pair: Pair
    dataset: str
    split_id: str | None
    input_size: int
    condition: str
    images_per_class: float
    titles: tuple[str, str]
    planned: int
    result: Contrast | None
    accuracy: tuple[float, ...]
    diverged: tuple[int, ...]
    flops_ratio: float | None
    flags: tuple[Note, ...]
    runs_a: tuple[str, ...]
    runs_b: tuple[str, ...]
    untrained: tuple[str, ...] = ()

    @property
    def contrast(self) -> Contrast:
        """The result, of a pair that was measured."""
        assert self.result is not None
        return self.result

    @property
    def notes(self) -> tuple[str, ...]:
        """The flags in words."""
        return tuple(map(str, self.flags))

    def has(self, *flags: Flag) -> bool:
        """Whether one of some flags is among its own."""
        return any(note.flag in flags for note in self.flags)

    @property
    def has_interval(self) -> bool:
        """Whether enough was run for one."""
        return self.result is not None and self.result.low is not None


def pairs(suite: "Listing", cells: Sequence[Cell]) -> list[tuple[Pair, Cell, Cell]]:
    """All contrasts of a suite on all subsets on which both models are planned, with their cells; primary
    ones first within each comparison; the whole split comes last. Only clean ones are primary."""
    clean = all(cell.condition == CLEAN for cell in cells)
    planned = {(cell.comparison, cell.shots, cell.contestant): cell for cell in cells}
    sizes = dict.fromkeys((cell.comparison, cell.shots) for cell in cells)
    return [
        (Pair(name, shots, a, b, primary and clean), planned[name, shots, a], planned[name, shots, b])
        for comparison in suite.comparisons
        for primary, declared in ((True, comparison.contrasts), (False, comparison.exploratory))
        for a, b in declared
        for name, shots in sizes
        if name == comparison.name and {(name, shots, a), (name, shots, b)} <= planned.keys()
    ]


def primary_pairs(findings: Iterable[Finding]) -> list[list[Finding]]:
    """The findings of each primary pair, from its smallest size to its largest."""
    primary = [finding for finding in findings if finding.pair.primary]
    groups = groupby(primary, key=lambda one: (one.pair.comparison, one.pair.a, one.pair.b))
    return [list(group) for _, group in groups]


def find_contrasts(
    suite: "Listing",
    cells: Sequence[Cell],
    predictions: Predictions,
    cost: pd.DataFrame,
    training: Training | None = None,
) -> list[Finding]:
    """Every contrast of one suite.

    Primary contrasts are judged by Holm's procedure over all that the suite plans and that can be decided,
    measured or not, so that their number does not change while a suite fills up.

    Args:
        suite: as the store lists it.
        cells: all of the suite, under one condition.
        predictions: of the same store.
        cost: the cost table, for the FLOPs.
        training: of the same store, where there is one already.
    """
    declared = pairs(suite, cells)
    comparisons = number_decided(declared)
    runs = [paired(a, b, predictions.has_scores) for _, a, b in declared]
    results: dict[int, Contrast] = {}
    accuracies: dict[int, tuple[float, ...]] = {}
    for primary in (True, False):
        at = [k for k, (pair, _, _) in enumerate(declared) if pair.primary == primary and runs[k][0]]
        scores = {k: (predictions.scores_of(runs[k][0]), predictions.scores_of(runs[k][1])) for k in at}
        judged = []
        for k in at:
            pair, a, b = declared[k]
            looks = looks_at(a, b) if primary else ()
            images = runs[k][0][0].data.test_images
            known = scores[k], pair.comparison, is_deterministic(a, b), looks, images
            judged.append(PairedScores(*known, predictions.fold_of(*runs[k])))
        number = comparisons if primary else 0
        results |= zip(at, judge(judged, delta=suite.delta, comparisons=number), strict=True)
        accuracies |= {k: tuple(float(own.mean()) for own in scores[k]) for k in at}
    match, training = Match(suite, cells, cost), training or Training(predictions.store)
    return [
        _finding(*both, runs[k], results.get(k), accuracies.get(k, (np.nan, np.nan)), match, training)
        for k, both in enumerate(declared)
    ]


def number_decided(declared: Sequence[tuple[Pair, Cell, Cell]]) -> int:
    """How many of some contrasts are primary and can be decided."""
    return sum(pair.primary and can_be_decided(a, b) for pair, a, b in declared)


def can_be_decided(a: Cell, b: Cell) -> bool:
    """Whether enough replicates of both models are planned for a verdict, or one run says all there is."""
    return min(a.planned, b.planned) >= MIN_REPLICATES or is_deterministic(a, b)


def is_deterministic(a: Cell, b: Cell) -> bool:
    """Whether each model has one run that would be the same if repeated."""
    return a.deterministic and b.deterministic


def looks_at(a: Cell, b: Cell) -> tuple[int, ...]:
    """After how many replicates a primary contrast is judged; none: once, with all there are."""
    return () if is_deterministic(a, b) else a.looks


def _finding(
    pair: Pair,
    a: Cell,
    b: Cell,
    runs: "tuple[list[Result], list[Result]]",
    result: Contrast | None,
    accuracy: tuple[float, ...],
    match: Match,
    training: Training,
) -> Finding:
    common, titles = len(runs[0]), (a.title, b.title)
    diverged = tuple(sum(record.outcome == "diverged" for record in own) for own in runs)
    ratio = match.flops_ratio(pair.comparison, pair.a, pair.b)
    reasons = zip(titles, map(training.reason, runs), strict=True)
    untrained = tuple(f"{title}: {why}" for title, why in reasons if why)
    withheld = bool(untrained) and not same_model(runs[0] + runs[1])
    if result and withheld:
        result = replace(result, verdict="none", p_adjusted=None, p_equivalent=None, needs=None)
    flags = _certainty(pair, a, b, common)
    if pair.shots is not None and common > 1 and not (a.drawn or b.drawn):
        flags.append(Flag.WHOLE_SPLIT())
    if result and result.looks and (looks := looks_at(a, b)):
        made = ", ".join(map(str, looks[: result.looks]))
        flags.append(Flag.LOOKS(replicates=made, most=looks[-1]))
    if result and a.asked is not None and common > a.asked:
        flags.append(Flag.MORE_REPLICATES(replicates=common, asked=a.asked))
    flags += match.notes(pair.comparison, pair.a, pair.b)
    flags += [Flag.NOT_TRAINED(reason=reason) for reason in untrained]
    flags += [
        Flag.DIVERGED(diverged=k, runs=common, title=title)
        for k, title in zip(diverged, titles, strict=True)
        if k
    ]
    flags += flags_of_search([a, b])
    flags += flags_of_runs(a.records + b.records)
    flags = [flag for at, flag in enumerate(flags) if flag not in flags[:at]]
    return Finding(
        pair,
        a.dataset,
        a.split_id,
        a.input_size,
        a.condition,
        a.images_per_class,
        titles,
        min(a.planned, b.planned),
        result,
        accuracy,
        diverged,
        ratio,
        tuple(flags),
        tuple(record.id for record in runs[0]),
        tuple(record.id for record in runs[1]),
        untrained if withheld else (),
    )


def contrasts_table(
    suites: "dict[str, Listing]",
    cells: dict[str, list[Cell]],
    predictions: Predictions,
    cost: pd.DataFrame,
    training: Training | None = None,
) -> pd.DataFrame:
    """One row a suite, comparison, subset and pair, in the order of the suites; `cells` are by suite."""
    rows = [
        contrast_row(finding) | {"suite": name}
        for name, suite in suites.items()
        for finding in find_contrasts(suite, cells[name], predictions, cost, training)
    ]
    return frame(rows, CONTRASTS)


def contrast_row(finding: Finding) -> dict[str, Any]:
    """A row of the contrasts table, without its suite."""
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


def _certainty(pair: Pair, a: Cell, b: Cell, replicates: int) -> list[Note]:
    """Why there is no interval where there is none, and what one is about that is about images alone."""
    if replicates >= MIN_REPLICATES:
        return []
    if not replicates:
        return [Flag.NO_PAIR()]
    if is_deterministic(a, b):
        return [Flag.IMAGES_ONLY()]
    noun = "replicate" if replicates == 1 else "replicates"
    lacking = "no interval, no verdict" if pair.primary else "no interval"
    return [Flag.FEW_PAIRS(replicates=replicates, noun=noun, lacking=lacking)]

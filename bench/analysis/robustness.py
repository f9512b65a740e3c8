"""What trained networks give under other conditions than clean, and their corruption errors.

The corruption error of a model under a corruption is its errors summed over the severities, divided by those
of the reference model; their mean over the corruptions is the mCE (Hendrycks and Dietterich, 2019, arXiv
1903.12261). The relative error takes the clean error from each first: how much is lost. A trial that diverged
is at chance under every condition and would seem to lose nothing: relative errors are those of the others, of
all models alike.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.cells import CLEAN, Cell, cells
from bench.data.conditions import Condition, families, find_condition
from bench.frames import frame

if TYPE_CHECKING:
    from bench.store.records.listing import ComparisonEntry, Listing
    from bench.store.records.trials import Result
    from bench.store.run_store import RunStore

CORRUPTIONS = "corruptions"
"""The name of the row over all corruptions."""

ROBUSTNESS = {
    "suite": "str",
    "comparison": "str",
    "dataset": "str",
    "split_id": "str",
    "input_size": "Int64",
    "contestant": "str",
    "title": "str",
    "model": "str",
    "shots": "Int64",
    "images_per_class": "float64",
    "condition": "str",
    "levels": "str",
    "replicates": "Int64",
    "diverged": "Int64",
    "clean_top1": "float64",
    "top1": "float64",
    "top1_sd": "float64",
    "reference": "str",
    "corruption_error": "float64",
    "relative_corruption_error": "float64",
    "runs": "str",
}
"""Columns of the robustness table: one row a contestant, subset and condition, over all of its levels, and
one for all corruptions together (`CORRUPTIONS`), where the corruption errors are the means of those of the
single ones: mCE and relative mCE, 1 for the reference. Accuracies are fractions in 0..1, means over the
levels and over the `replicates` that have all of them; `top1_sd` is the standard deviation over these.
`diverged` of them are at chance and are left out of the relative error."""

Key = tuple[str, int | None, str]


def results_by_condition(store: "RunStore", suites: Iterable["Listing"]) -> dict[str, dict[str, "Result"]]:
    """By condition, other than clean, and trial: the results that suites ask for."""
    results: dict[str, dict[str, Result]] = {}
    asked = sorted({one for suite in suites for one in suite.evaluations if one[1] != CLEAN})
    for run, own in groupby(asked, key=itemgetter(0)):
        if (trial := store.trial(run)) is None:
            continue
        for _, condition in own:
            if result := store.result_of(trial, condition):
                results.setdefault(condition, {})[run] = result
    return results


def by_family(conditions: Iterable[str]) -> dict[str, list[Condition]]:
    """Conditions by the name of their file, in their order, but those that this version does not know."""
    grouped: dict[str, list[Condition]] = {}
    for name in conditions:
        if name.partition("-")[0] in families():
            condition = find_condition(name)
            grouped.setdefault(condition.family, []).append(condition)
    return grouped


def robustness_table(
    suites: Mapping[str, "Listing"],
    clean: Mapping[str, "Result"],
    others: Mapping[str, Mapping[str, "Result"]],
) -> pd.DataFrame:
    """The robustness table, in the order of the suites.

    Args:
        suites: by name, as the store lists them.
        clean: results by trial.
        others: those of `results_by_condition`.
    """
    rows: list[dict[str, Any]] = []
    for name, suite in suites.items():
        measured = {
            condition: {_key(cell): cell for cell in cells(suite, own, condition)}
            for condition, own in ((CLEAN, clean), *others.items())
        }
        for comparison in suite.comparisons:
            own = [key for key in measured[CLEAN] if key[0] == comparison.name]
            rows += [row | {"suite": name} for row in _rows(comparison, own, measured)]
    return frame(rows, ROBUSTNESS)


def corruption_error(errors: Iterable[float], reference: Iterable[float]) -> float:
    """Errors over the severities of a corruption, by those of the reference; NaN where it has none."""
    whole = sum(reference)
    return sum(errors) / whole if whole > 0 else np.nan


def _rows(
    comparison: "ComparisonEntry", keys: list[Key], measured: Mapping[str, Mapping[Key, Cell]]
) -> Iterable[dict[str, Any]]:
    grouped = by_family(comparison.conditions)
    corruptions = [name for name, own in grouped.items() if own[0].is_corruption]
    groups = {name: [name] for name in grouped} | ({CORRUPTIONS: corruptions} if corruptions else {})
    for key in keys:
        reference = comparison.reference and (*key[:2], comparison.reference)
        for name, members in groups.items():
            names = [condition.name for member in members for condition in grouped[member]]
            accuracies, runs, finished = _complete(measured, key, names)
            if not runs:
                continue
            clean = measured[CLEAN][key]
            row = {column: getattr(clean, column, None) for column in ROBUSTNESS}
            row |= {
                "condition": name,
                "levels": " ".join(
                    dict.fromkeys(
                        str(one.level) for member in members for one in grouped[member] if one.level
                    )
                ),
                "replicates": len(runs),
                "diverged": int((~finished).sum()),
                "clean_top1": accuracies[:, 0].mean(),
                "top1": accuracies[:, 1:].mean(),
                "top1_sd": accuracies[:, 1:].mean(1).std(ddof=1) if len(runs) > 1 else np.nan,
                "runs": " ".join(runs),
            }
            if reference and grouped[members[0]][0].is_corruption:
                theirs, others, also = _complete(measured, reference, names)
                levels = [len(grouped[member]) for member in members]
                if others:
                    row["corruption_error"] = _error(accuracies, theirs, levels)
                if finished.any() and also.any():
                    own = accuracies[finished], theirs[also]
                    row["relative_corruption_error"] = _error(*own, levels, relative=True)
                row["reference"] = comparison.reference
            yield row


def _error(
    accuracies: NDArray[np.float64],
    reference: NDArray[np.float64],
    levels: list[int],
    *,
    relative: bool = False,
) -> float:
    """The corruption error, averaged over corruptions of so many `levels`; the first column is the clean
    one."""
    own, theirs = (1 - each.mean(0) for each in (accuracies, reference))
    if relative:
        own, theirs = own - own[0], theirs - theirs[0]
    ends = np.cumsum(levels)[:-1]
    parts = zip(np.split(own[1:], ends), np.split(theirs[1:], ends), strict=True)
    return float(np.mean([corruption_error(a, b) for a, b in parts]))


def _complete(
    measured: Mapping[str, Mapping[Key, Cell]], key: Key, conditions: list[str]
) -> tuple[NDArray[np.float64], list[str], NDArray[np.bool_]]:
    """Of the trials of a cell that have all of some conditions: accuracies (R, 1 + conditions), the clean one
    first, their ids, and whether they finished (R,)."""
    own = [measured.get(name, {}).get(key) for name in (CLEAN, *conditions)]
    by_run = [{record.id: record for record in cell.records} if cell else {} for cell in own]
    runs = [run for run in by_run[0] if all(run in records for records in by_run)]
    finished = np.array([by_run[0][run].outcome == "finished" for run in runs], bool)
    return np.array([[records[run].top1 for records in by_run] for run in runs]), runs, finished


def _key(cell: Cell) -> Key:
    return cell.comparison, cell.shots, cell.contestant

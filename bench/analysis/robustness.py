"""What trained networks give under other conditions than clean, and their corruption errors.

The corruption error of a model under a corruption is its errors summed over the severities, divided by those
of the reference model; their mean over the corruptions is the mCE (Hendrycks and Dietterich, 2019, arXiv
1903.12261). The relative error takes the clean error from each first: how much is lost.
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
levels and over the `replicates` that have all of them; `top1_sd` is the standard deviation over these."""

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
            accuracies, runs = _complete(measured, key, names)
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
                "clean_top1": accuracies[:, 0].mean(),
                "top1": accuracies[:, 1:].mean(),
                "top1_sd": accuracies[:, 1:].mean(1).std(ddof=1) if len(runs) > 1 else np.nan,
                "runs": " ".join(runs),
            }
            if reference and grouped[members[0]][0].is_corruption:
                theirs, others = _complete(measured, reference, names)
                if others:
                    row |= _errors(accuracies, theirs, [len(grouped[member]) for member in members])
                row["reference"] = comparison.reference
            yield row


def _errors(
    accuracies: NDArray[np.float64], reference: NDArray[np.float64], levels: list[int]
) -> dict[str, float]:
    """Corruption errors, averaged over corruptions of so many `levels`; the first column is the clean one."""
    own, theirs = (1 - each.mean(0) for each in (accuracies, reference))
    ends = np.cumsum(levels)[:-1]
    parts = list(zip(np.split(own[1:], ends), np.split(theirs[1:], ends), strict=True))
    absolute = [corruption_error(a, b) for a, b in parts]
    relative = [corruption_error(a - own[0], b - theirs[0]) for a, b in parts]
    return {
        "corruption_error": float(np.mean(absolute)),
        "relative_corruption_error": float(np.mean(relative)),
    }


def _complete(
    measured: Mapping[str, Mapping[Key, Cell]], key: Key, conditions: list[str]
) -> tuple[NDArray[np.float64], list[str]]:
    """Of the trials of a cell that have all of some conditions: accuracies (R, 1 + conditions), the clean one
    first, and their ids."""
    own = [measured.get(name, {}).get(key) for name in (CLEAN, *conditions)]
    by_run = [{record.id: record.top1 for record in cell.records} if cell else {} for cell in own]
    runs = [run for run in by_run[0] if all(run in scores for scores in by_run)]
    return np.array([[scores[run] for scores in by_run] for run in runs]), runs


def _key(cell: Cell) -> Key:
    return cell.comparison, cell.shots, cell.contestant

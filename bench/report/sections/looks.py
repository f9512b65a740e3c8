"""How often the test split was looked at, in trials that were withdrawn too."""

from typing import Any

import pandas as pd

from bench.report.blocks import Column, Details, Table, number
from bench.report.evidence import Evidence
from bench.report.text import NOT_MEASURED, count, counted, listed, percent, size_label


def looks_at_test(evidence: Evidence) -> str:
    """How often the test split was evaluated."""
    done = evidence.done.drop_duplicates("run")
    looks = done["test_evaluations"].dropna()
    earlier = int(evidence.withdrawn["test_evaluations"].sum())
    if looks.empty and not earlier:
        return "The test split has not been evaluated: no trial of this suite has an outcome yet."
    if looks.empty:
        return f"The test split was evaluated {_times(earlier)}, in trials that were later withdrawn."
    text = (
        f"The test split was evaluated {_times(looks.sum())} in {count(len(looks))} trials, at most "
        f"{_times(looks.max())} in any one of them; a trial that diverged is scored at chance without a look."
    )
    changed = [result for own in evidence.under_conditions.values() for result in own.values()]
    others = sum(result.test_evaluations or 0 for result in changed)
    if others:
        text += f" Its changed images were evaluated {_times(others)} more, once a trial and condition."
    again = done.loc[done["test_evaluations"] > 1, "run"]
    if len(again):
        text += f" More than once in: {listed(list(again))}, which were interrupted after their look."
    if earlier:
        return (
            f"{text} It was evaluated {_times(earlier)} more in "
            f"{counted(len(evidence.withdrawn), 'trial')} that were stored and later withdrawn: "
            f"{_times(looks.sum() + others + earlier)} in all stored trials. No trial "
            "chooses anything by it, but whoever changed the suite had seen those results; they are in the "
            "table below."
        )
    return f"{text} Nothing is chosen by it."


def withdrawn(evidence: Evidence) -> Details | None:
    """The trials that were taken out of the store, with what they gave; None where there are none."""
    trials = evidence.withdrawn
    if trials.empty:
        return None
    keys = ["removed", "comparison", "title", "recipe", "precision", "shots", "reason", "commit"]
    groups = [
        (dict(zip(keys, values, strict=True)), rows)
        for values, rows in trials.groupby(keys, dropna=False, sort=False)
    ]
    columns = (
        Column("Comparison", lambda group: group[0]["comparison"] or NOT_MEASURED),
        Column("Model", lambda group: group[0]["title"]),
        number("Images per class", lambda group: size_label(group[0]["shots"])),
        Column(
            "Top-1 of each trial (%)",
            lambda group: listed([percent(value) for value in group[1]["top1"].dropna()]) or "diverged",
            wide=True,
        ),
        number("Looks", lambda group: count(group[1]["test_evaluations"].sum())),
        Column("Recipe, precision", lambda group: f"{group[0]['recipe']}, {group[0]['precision']}"),
        Column("Withdrawn because", lambda group: _reason(group[0]), wide=True),
    )
    caption = (
        "Trials that were stored, looked at the test split and were withdrawn; no other number has them."
    )
    return Details.of("Withdrawn trials and their results", Table.of("withdrawn", caption, columns, groups))


def _reason(trial: dict[str, Any]) -> str:
    commit = "" if pd.isna(trial["commit"]) else f", commit {trial['commit'][:9]}"
    return f"{trial['reason']} ({trial['removed']}{commit})"


def _times(number: float) -> str:
    return {1: "once", 2: "twice"}.get(int(number), f"{count(number)} times")

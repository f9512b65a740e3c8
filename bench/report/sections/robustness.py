"""Robustness: accuracy of the trained networks under other conditions than the clean test images."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.cells import CLEAN, cells
from bench.analysis.kfold import parts_in
from bench.analysis.robustness import CORRUPTIONS, by_family
from bench.analysis.statistics import mean_interval
from bench.data.conditions import Condition, find_condition
from bench.data.corruption import SMALL
from bench.files import slug
from bench.report.blocks import Column, Content, Field, Figure, Gallery, Section, Table, number
from bench.report.evidence import Evidence
from bench.report.lines import Line, line_chart
from bench.report.text import decimal, percent, size_phrase
from bench.store.records.listing import ComparisonEntry

TITLE = "Robustness"
NOT_ASKED, NOT_DEFINED = "-", "not defined"


def robustness(evidence: Evidence) -> Section:
    """Figures for each comparison that was evaluated under other conditions."""
    figures = Gallery.of(
        figure
        for comparison, _, shots, size in _largest(evidence)
        for figure in _figures(evidence, comparison, shots, size)
    )
    return Section.measured(
        "robustness",
        TITLE,
        "The same trained networks on test images that were changed; nothing was trained for it. No contrast "
        "is judged by it; common claims about such images are, as far as they were measured here.",
        figures,
    )


def conditions(evidence: Evidence) -> Section | None:
    """A table for each comparison that was evaluated under other conditions."""
    parts = [
        (
            _corruptions(comparison) if CORRUPTIONS in set(rows["condition"]) else None,
            _table(evidence, comparison, rows, size),
        )
        for comparison, rows, _, size in _largest(evidence)
    ]
    return Section.of("conditions", "Robustness in numbers", parts) if parts else None


def _largest(evidence: Evidence) -> Iterator[tuple[ComparisonEntry, pd.DataFrame, int | None, str]]:
    """The rows of each comparison on the largest subset that was measured, with its shots and its size in
    words; the table on disk has all subsets."""
    for comparison in evidence.suite.comparisons:
        rows = evidence.robustness
        rows = rows[rows["comparison"] == comparison.name]
        if rows.empty:
            continue
        largest = float(rows["images_per_class"].max())
        rows = rows[rows["images_per_class"] == largest]
        shots = None if rows["shots"].isna().any() else int(rows["shots"].max())
        yield comparison, rows, shots, size_phrase(shots, largest)


def _corruptions(comparison: ComparisonEntry) -> str:
    small = comparison.input_size <= SMALL
    reference = (
        "The corruption error of a model is the sum of its errors over the severities, divided by that of "
        "the reference; mCE is its mean over the corruptions, and the relative mCE is the same of what is "
        "lost of the clean accuracy, not defined where the reference loses nothing."
        if comparison.reference
        else "The suite names no reference, so that there is no mCE."
    )
    return (
        "Corruptions are those of Hendrycks and Dietterich (2019, arXiv 1903.12261) with the constants of "
        f"{'CIFAR-10-C' if small else 'ImageNet-C'}, at the input size of {comparison.input_size} px. "
        f"{reference}"
    )


def _figures(
    evidence: Evidence, comparison: ComparisonEntry, shots: int | None, size: str
) -> Iterator[Figure]:
    """Accuracy against the level: of the corruptions together, and of every other condition."""
    grouped = by_family(comparison.conditions)
    corruptions = [own for own in grouped.values() if own[0].is_corruption]
    sweeps = [(own[0].title, [own]) for own in grouped.values() if own not in corruptions]
    if corruptions:
        names = ", ".join(own[0].title for own in corruptions)
        sweeps.insert(0, (f"Mean of the corruptions ({names})", corruptions))
    for what, members in sweeps:
        common = [one.level for one in members[0] if one.level is not None]
        for own in members[1:]:
            common = [level for level in common if level in {one.level for one in own}]
        points = {level: [one for own in members for one in own if one.level == level] for level in common}
        data = _scores(evidence, comparison, shots, points)
        if len(data):
            yield _figure(evidence, comparison, members[0][0], data, what, size)


def _scores(
    evidence: Evidence, comparison: ComparisonEntry, shots: int | None, points: dict[int, list[Condition]]
) -> pd.DataFrame:
    """One row a contestant and level, the mean over some conditions with its interval; the level that changes
    nothing is the clean one. Only trials that have all conditions of all levels count."""
    levels = {level: [one.name for one in own] for level, own in points.items() if level}
    if not levels:
        return pd.DataFrame()
    levels[points[min(levels)][0].unchanged(comparison.input_size)] = [CLEAN]
    measured = {
        name: {
            cell.contestant: {one.id: one for one in cell.records if evidence.predictions.has_scores(one)}
            for cell in cells(evidence.suite, evidence.under(name), name)
            if (cell.comparison, cell.shots) == (comparison.name, shots)
        }
        for names in levels.values()
        for name in names
    }
    rows = []
    for key in (key for key in evidence.styles if key in comparison.contestants):
        every = [measured[name].get(key, {}) for names in levels.values() for name in names]
        runs = [run for run in every[0] if all(run in records for records in every)]
        for level in sorted(levels) if runs else []:
            known = [measured[name][key] for name in levels[level]]
            scores = [evidence.predictions.scores_of([records[run] for run in runs]) for records in known]
            folds = evidence.predictions.fold_of([known[0][run] for run in runs])
            mean = mean_interval(np.mean(scores, axis=0), parts_in(folds))
            low, high = (np.nan if end is None else end for end in (mean.low, mean.high))
            title = evidence.suite.contestants[key].title
            row = {"contestant": key, "title": title, "level": level, "top1": mean.estimate}
            rows.append(row | {"low": low, "high": high, "replicates": len(runs), "runs": " ".join(runs)})
    return pd.DataFrame(rows)


def _figure(
    evidence: Evidence,
    comparison: ComparisonEntry,
    first: Condition,
    data: pd.DataFrame,
    what: str,
    size: str,
) -> Figure:
    """A line a contestant."""
    lines = []
    for key, own in data.groupby("contestant", sort=False):
        values = [(100 * own[name]).to_numpy() for name in ("top1", "low", "high")]
        lines.append(Line(own["title"].iloc[0], evidence.styles[str(key)], own["level"].to_list(), *values))
    ends = "; ".join(f"{line.title}: {line.y[0]:.1f} to {line.y[-1]:.1f} %" for line in lines)
    numbers = dict(zip(data["title"], data["replicates"], strict=True))
    over = "; ".join(f"{title}: {n}" for title, n in numbers.items())
    if len(set(numbers.values())) == 1:
        over = f"{next(iter(numbers.values()))} each"
    unit, clean = first.unit, first.unchanged(comparison.input_size)
    label = unit[:1].upper() + unit[1:]
    return Figure(
        line_chart(lines, label, "Top-1 accuracy (%)", log_x=clean > 0, from_0=True),
        f"robustness-{slug(comparison.name)}-{'severity' if first.is_corruption else slug(first.family)}",
        caption=f"{what}: top-1 accuracy against {unit} in {comparison.name}, {size}; {clean} is the "
        f"clean test set. Replicates: {over}. Bars: 95 % intervals, where there are three or more.",
        alt=f"Line chart of accuracy against {unit}, from the lowest to the highest. {ends}.",
        data=data.drop(columns="runs"),
        runs=" ".join(data["runs"]).split(),
    )


def _table(evidence: Evidence, comparison: ComparisonEntry, rows: pd.DataFrame, size: str) -> Table:
    """One row a condition, a column a contestant."""
    by_key = {(row["contestant"], row["condition"]): row for row in rows.to_dict("records")}
    shown = [key for key in evidence.styles if key in set(rows["contestant"])]
    families = [name for name in by_family(comparison.conditions) if name in set(rows["condition"])]
    lines: list[tuple[str, str, str]] = [("Clean", "clean_top1", families[0])]
    lines += [(find_condition(name).title, "top1", name) for name in families]
    if CORRUPTIONS in set(rows["condition"]):
        lines.append(("Mean of the corruptions", "top1", CORRUPTIONS))
        if comparison.reference:
            lines.append(("mCE", "corruption_error", CORRUPTIONS))
            lines.append(("Relative mCE", "relative_corruption_error", CORRUPTIONS))

    def value(key: str) -> Any:
        def content(line: tuple[str, str, str]) -> Content:
            row = by_key.get((key, line[2]))
            if row is None:
                return NOT_ASKED
            if line[1].endswith("error"):
                text = NOT_DEFINED if np.isnan(row[line[1]]) else decimal(row[line[1]])
                without = line[1] == "relative_corruption_error" and row["diverged"]
                left_out = f"without {row['diverged']} of {row['replicates']} runs, which diverged"
                return Field(text, notes=(left_out,) if without else ())
            spread = percent(row["top1_sd"]) if line[1] == "top1" and not np.isnan(row["top1_sd"]) else ""
            return percent(row[line[1]]), spread

        return content

    levels = {
        name: next(row["levels"] for row in rows.to_dict("records") if row["condition"] == name)
        for name in families
    }
    reference = comparison.reference
    title = evidence.suite.contestants[reference].title if reference else ""
    relative = f" mCE is 1 for the reference, {title}." if reference else ""
    columns = [
        Column("Condition", lambda line: line[0]),
        Column(
            "Levels",
            lambda line: levels.get(line[2], "") if line[1] == "top1" else "",
            under="Condition",
            label="levels ",
        ),
        *(number(evidence.suite.contestants[key].title, value(key)) for key in shown),
    ]
    return Table.of(
        f"robustness-{slug(comparison.name)}",
        f"Top-1 accuracy (%) in {comparison.name} under other conditions, {size}: mean over the levels ± "
        f"standard deviation over replicates.{relative} All sizes are in robustness.csv.",
        columns,
        lines,
        runs=sorted({run for runs in rows["runs"] for run in runs.split()}),
    )

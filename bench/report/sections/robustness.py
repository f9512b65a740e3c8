"""Robustness: accuracy of the trained networks under other conditions than the clean test images."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.cells import CLEAN, Cell, cells
from bench.analysis.robustness import CORRUPTIONS, by_family
from bench.analysis.statistics import mean_interval
from bench.data.conditions import Condition, find_condition
from bench.data.corruption import SMALL
from bench.files import slug
from bench.report.blocks import Column, Content, Figure, Gallery, Section, Table, number
from bench.report.evidence import Evidence
from bench.report.lines import Line, line_figure
from bench.report.text import decimal, listed, percent, size_phrase
from bench.store.records.listing import ComparisonEntry
from bench.store.records.trials import Result

TITLE = "Robustness"
NOT_ASKED, NOT_DEFINED = "-", "not defined"


def robustness(evidence: Evidence) -> Section:
    """Figures for each comparison that was evaluated under other conditions."""
    figures = [
        _figures(evidence, comparison, shots, size) for comparison, _, shots, size in _largest(evidence)
    ]
    if not figures:
        return Section.not_measured("robustness", TITLE)
    return Section.of(
        "robustness",
        TITLE,
        "The same trained networks on test images that were changed; nothing was trained for it, and no "
        "verdict follows from it.",
        Gallery.of(figure for own in figures for figure in own),
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
    by_condition = {
        name: {
            cell.contestant: cell for cell in own if (cell.comparison, cell.shots) == (comparison.name, shots)
        }
        for name in (CLEAN, *comparison.conditions)
        for own in [cells(evidence.suite, _results(evidence, name), name)]
    }
    grouped = by_family(comparison.conditions)
    corruptions = [own for own in grouped.values() if own[0].is_corruption]
    if corruptions:
        levels = [one.level for one in corruptions[0]]
        common = [
            level for level in levels if all(level in [one.level for one in own] for own in corruptions)
        ]
        points = {
            level: [one for own in corruptions for one in own if one.level == level] for level in common
        }
        names = listed([own[0].title for own in corruptions])
        yield from _figure(evidence, comparison, by_condition, points, f"Mean over {names}", size)
    for own in grouped.values():
        if not own[0].is_corruption and own[0].level is not None:
            points = {one.level: [one] for one in own}
            yield from _figure(evidence, comparison, by_condition, points, own[0].title, size)


def _results(evidence: Evidence, condition: str) -> Mapping[str, Result]:
    return evidence.records if condition == CLEAN else evidence.under_conditions.get(condition, {})


def _figure(
    evidence: Evidence,
    comparison: ComparisonEntry,
    by_condition: Mapping[str, Mapping[str, Cell]],
    points: Mapping[int | None, Sequence[Condition]],
    what: str,
    size: str,
) -> Iterator[Figure]:
    """A line a contestant, each level the mean over some conditions; none where nothing is measured."""
    if not points:
        return
    first = next(iter(points.values()))[0]
    clean = first.unchanged(comparison.input_size)
    levels = {clean: [CLEAN], **{level: [one.name for one in own] for level, own in points.items() if level}}
    rows = [
        {"contestant": key, "title": evidence.suite.contestants[key].title, "level": level, **scores}
        for key in comparison.contestants
        for level in sorted(levels)
        if (scores := _scores(evidence, [by_condition[name].get(key) for name in levels[level]]))
    ]
    data = pd.DataFrame(rows)
    shown = [key for key in evidence.styles if rows and key in set(data["contestant"])]
    if not shown:
        return
    lines = []
    for key in shown:
        own = data[data["contestant"] == key]
        y, low, high = (100 * own[name].to_numpy() for name in ("top1", "low", "high"))
        lines.append(Line(own["title"].iloc[0], evidence.styles[key], own["level"].to_list(), y, low, high))
    ends = "; ".join(f"{line.title}: {line.y[0]:.1f} to {line.y[-1]:.1f} %" for line in lines)
    unit = first.unit
    yield line_figure(
        f"robustness-{slug(comparison.name)}-{'severity' if first.is_corruption else slug(first.family)}",
        lines,
        x_label=unit[:1].upper() + unit[1:],
        y_label="Top-1 accuracy (%)",
        caption=f"{what}: top-1 accuracy against {unit} in {comparison.name}, {size}; {clean} is the "
        "clean test set. Bars: 95 % intervals, where there are three replicates.",
        alt=f"Line chart of accuracy against {unit}, from the lowest to the highest. {ends}.",
        data=data.drop(columns="runs"),
        runs=[run for own in data["runs"] for run in own],
        percent=True,
        log_x=clean > 0,
    )


def _scores(evidence: Evidence, own: Sequence[Cell | None]) -> dict[str, Any]:
    """The mean accuracy over some conditions with its interval; empty where no trial has all of them."""
    known = [
        {record.id: record for record in cell.records if evidence.predictions.has_scores(record)}
        if cell
        else {}
        for cell in own
    ]
    runs = [run for run in known[0] if all(run in records for records in known)]
    if not runs:
        return {}
    scores = [evidence.predictions.scores_of([records[run] for run in runs]) for records in known]
    interval = mean_interval(np.mean(scores, axis=0))
    ends = {name: np.nan if (end := getattr(interval, name)) is None else end for name in ("low", "high")}
    return {"top1": interval.estimate, **ends, "replicates": len(runs), "runs": runs}


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
                return NOT_DEFINED if np.isnan(row[line[1]]) else decimal(row[line[1]])
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
            "Levels", lambda line: levels.get(line[2], "") if line[1] == "top1" else "", under="Condition"
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

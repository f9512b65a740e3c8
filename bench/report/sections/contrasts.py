"""Contrasts: the difference of each declared pair on each subset, with its interval and verdict."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from bench.analysis.contrasts import Finding, contrast_row
from bench.analysis.statistics import Contrast
from bench.files import slug
from bench.report.blocks import Column, Field, Figure, Gallery, Section, Table, number
from bench.report.data_sets import data_sets
from bench.report.evidence import Evidence
from bench.report.figures import WIDTH, canvas, one_line
from bench.report.recommendation import undeclared
from bench.report.sections.columns import (
    FINDING_SIZE,
    cell_size,
    finding_notes,
    finding_size,
    finding_table,
)
from bench.report.style import INK, MUTED
from bench.report.text import interval, out_of, percent, points
from bench.report.verdicts import pair_name, table_of, verdict

TITLE = "Contrasts"
SMALLEST_P = 0.001
ROW, GAP = 3.25, 1.2
LOWEST = 34.0
"""Heights: of a row in mm, between two pairs in rows, and of the lowest plot beside which a label fits."""
NUMBERS = 27.0
"""Width of the numbers beside a plot, in mm."""
DATA = ["comparison", "images_per_class", "a", "b", "primary", "difference", "low", "high", "verdict"]
DATA += ["replicates"]
"""What a plot shows of the contrasts table."""


def contrasts(evidence: Evidence) -> Section:
    """A forest plot for each comparison that declares contrasts."""
    figures = Gallery.of(_forest(evidence, name, findings) for name, findings in _measured(evidence))
    return Section.measured("contrasts", TITLE, _how_to_read(evidence), figures)


def contrast_tables(evidence: Evidence) -> Section:
    """A table for each comparison that declares contrasts, and one of what the answer states beside them."""
    caption = "Differences in top-1 accuracy on the test split in"
    every = (
        finding_table(table_of(name), f"{caption} {name}.", COLUMNS, findings)
        for name, findings in _measured(evidence)
    )
    return Section.of("contrast-tables", "Contrasts in numbers", every, _undeclared(evidence))


def _undeclared(evidence: Evidence) -> Table:
    every = [(data, one) for data in data_sets(evidence) for one in undeclared(evidence, data)]
    return Table.of(
        "undeclared",
        "Differences in top-1 accuracy that the answer states and that are no declared contrast: the most "
        "accurate model against the best of the other kind. Exploratory, without a verdict.",
        UNDECLARED,
        every,
        group_by=lambda row: row[0].title,
        runs=lambda row: row[1].runs,
    )


def _measured(evidence: Evidence) -> Iterator[tuple[str, list[Finding]]]:
    """The contrasts of each comparison in which any was measured; none of one that only shows runs of an
    earlier one once more, under other conditions."""
    shown: list[Finding] = []
    for name, group in groupby(evidence.findings, key=lambda finding: finding.pair.comparison):
        findings = list(group)
        measured = [finding for finding in findings if finding.result]
        if any(one.pair.primary or not _is_among(one, shown) for one in measured):
            yield name, findings
        shown += measured


def _is_among(finding: Finding, others: list[Finding]) -> bool:
    """Whether the runs of a contrast are those of another, or some of them."""
    return any(
        {*finding.runs_a} <= {*other.runs_a} and {*finding.runs_b} <= {*other.runs_b} for other in others
    )


def _how_to_read(evidence: Evidence) -> str:
    tried = max((f.result.comparisons for f in evidence.findings if f.pair.primary and f.result), default=0)
    among = f", allowing for {tried} contrasts" if tried > 1 else ""
    return (
        "Accuracy of the first model minus that of the second, in points of top-1 on the test images, with "
        f"95 % intervals. A filled marker has a verdict{among}; an interval can leave out 0 and still have "
        "none. The appendix has the numbers and the procedure."
    )


def _interval(finding: Finding) -> str:
    return _ends(finding.result)


def _ends(result: Contrast | None) -> str:
    return "none" if result is None or result.low is None else interval(result.low, result.high)


def _p(finding: Finding) -> str:
    result = finding.result
    if not result or result.p_adjusted is None:
        return "none"
    return f"< {SMALLEST_P:g}" if result.p_adjusted < SMALLEST_P else f"{result.p_adjusted:.3f}"


COLUMNS = (
    FINDING_SIZE,
    Column("Contrast", pair_name),
    number(
        "Difference (points)", lambda finding: points(finding.result.estimate if finding.result else None)
    ),
    number("95 % interval", _interval),
    Column("Verdict", verdict),
    number("n", lambda finding: out_of(len(finding.runs_a), finding.planned)),
    finding_notes(under="Contrast"),
    number("First model (%)", lambda finding: percent(finding.accuracy[0])),
    number("Second model (%)", lambda finding: percent(finding.accuracy[1])),
    number("p (Holm)", _p),
    Column("Declared", lambda finding: "primary" if finding.pair.primary else "exploratory"),
)


UNDECLARED = (
    Column("Data", lambda row: row[0].title),
    number("Images per class", lambda row: cell_size(row[1].ahead)),
    Column("Contrast", lambda row: " against ".join(map(row[0].name_of, (row[1].ahead, row[1].behind)))),
    number("Difference (points)", lambda row: points(row[1].difference)),
    number("95 % interval", lambda row: _ends(row[1].result)),
    number("n", lambda row: str(row[1].result.replicates if row[1].result else 0)),
    Column("Notes", lambda row: Field(notes=tuple(filter(None, [row[1].remark]))), under="Contrast"),
)


def _forest(evidence: Evidence, name: str, findings: list[Finding]) -> Figure:
    measured = [finding for finding in findings if finding.result]
    groups = []
    for _, group in groupby(measured, key=pair_name):
        members = list(group)
        after = "" if members[0].pair.primary else " (exploratory)"
        groups.append((one_line(members[0].titles, " minus ", after), members))
    rows = len(measured) + GAP * len(groups)
    drawing, (axes,) = canvas(max(ROW * rows + 14, LOWEST), below=10)
    drawing.subplots_adjust(left=20 / WIDTH, right=1 - NUMBERS / WIDTH)
    delta = 100 * evidence.suite.delta
    axes.axvspan(-delta, delta, color=MUTED, alpha=0.18, linewidth=0)
    axes.axvline(0, color=MUTED, linewidth=0.7)
    top, heights = 0.0, []
    beside: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    for heading, members in groups:
        axes.annotate(heading, (0, top), (2, 0), va="center", size=6.5, **beside)
        for height, finding in enumerate(members, start=1):
            _draw(axes, evidence, finding, top + height)
            axes.annotate(_numbers(finding), (1, top + height), (3, 0), va="center", size=6, **beside)
            heights.append(top + height)
        top += len(members) + GAP
    axes.set_ylim(top - GAP + 0.8, -0.7)
    axes.set_yticks(heights, [finding_size(finding) for _, members in groups for finding in members])
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("Difference in top-1 accuracy (points)")
    axes.margins(x=0.08)
    return Figure(
        drawing,
        f"forest-{slug(name)}",
        caption=f"{name}: differences by images per class, with 95 % intervals. Filled, in the colour of the "
        "better model: a verdict; open: none; cross: no interval; dashed: exploratory. Shaded: differences "
        "declared negligible.",
        alt=_alt(name, measured),
        data=pd.DataFrame(map(contrast_row, measured))[DATA],
        runs=[run for finding in measured for run in finding.runs_a + finding.runs_b],
    )


def _numbers(finding: Finding) -> str:
    ends = f" ({_interval(finding)})" if finding.has_interval else ""
    return f"{points(finding.contrast.estimate)}{ends}"


def _draw(axes: Axes, evidence: Evidence, finding: Finding, height: float) -> None:
    result = finding.contrast
    side = {"better": finding.pair.a, "worse": finding.pair.b}.get(result.verdict)
    winner = evidence.styles[side] if side else None
    colour, marker = (winner.colour, winner.marker) if winner else (INK, "D")
    if result.low is not None and result.high is not None:
        ends, dash = [100 * result.low, 100 * result.high], "-" if finding.pair.primary else (0, (3, 1.5))
        axes.plot(ends, [height, height], color=colour, linewidth=1.1, linestyle=dash)
    else:
        marker = "x"
    undecided = finding.has_interval and result.verdict in ("inconclusive", "none")
    axes.plot(
        [100 * result.estimate],
        [height],
        marker=marker,
        color=colour,
        linestyle="none",
        markersize=3.8,
        markerfacecolor="#ffffff" if undecided else colour,
    )


def _alt(name: str, measured: list[Finding]) -> str:
    parts = [
        f"{pair_name(f)} at {finding_size(f)}: {points(f.contrast.estimate)} points, "
        + (f"{interval(f.contrast.low, f.contrast.high)}, {verdict(f)}" if f.has_interval else "no interval")
        for f in measured
    ]
    return f"Forest plot of the contrasts in {name}. {'. '.join(parts)}."

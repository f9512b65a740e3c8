"""Contrasts: the difference of each declared pair on each subset, with its interval and verdict."""

import pandas as pd
from matplotlib.axes import Axes

from bench.analysis.contrasts import Finding
from bench.files import slug
from bench.report.blocks import Block, Column, Field, Figure, Gallery, Heading, Prose, Section, Table
from bench.report.evidence import Evidence
from bench.report.figures import MM, WIDTH, canvas, finish, one_line
from bench.report.sections.example import worked_example
from bench.report.sections.networks import p_value, two_networks
from bench.report.sections.simulated import rates_in_words
from bench.report.style import INK, MUTED
from bench.report.text import interval, percent, points, subset
from bench.report.verdicts import pair_name, short_notes, table_of, verdict

TITLE = "Contrasts"
ROW = 3.6
LOWEST = 34.0
"""Heights in mm: of a row, and of a plot whose words beside the axis are not cut off."""
COLUMNS = (
    Column("Images per class", numeric=True),
    Column("Contrast"),
    Column("Difference (points)", numeric=True),
    Column("95 % interval", numeric=True),
    Column("Verdict"),
    Column("n", numeric=True),
    Column("Notes", under="Contrast"),
    Column("First model (%)", numeric=True),
    Column("Second model (%)", numeric=True),
    Column("p (Holm)", numeric=True),
    Column("Declared"),
)


def contrasts(evidence: Evidence) -> Section:
    """A table and a forest plot for each comparison that declares contrasts."""
    by_comparison: dict[str, list[Finding]] = {}
    for finding in evidence.findings:
        by_comparison.setdefault(finding.pair.comparison, []).append(finding)
    if not by_comparison:
        return Section("contrasts", TITLE, (Prose("This suite declares no contrasts."),))
    blocks: list[Block] = [Prose(_how_to_read(evidence)), Prose(rates_in_words()), worked_example()]
    words = {c.name: c.unmatched for c in evidence.suite.comparisons}
    for name, findings in by_comparison.items():
        blocks.append(Heading(name))
        if words[name]:
            blocks.append(Prose(f"Unmatched: {words[name]}"))
        if any(finding.result for finding in findings):
            blocks.append(Gallery((_forest(evidence, name, findings),)))
        blocks.append(_table(name, findings))
        blocks += two_networks(evidence, name, findings)
    return Section("contrasts", TITLE, tuple(blocks))


def _how_to_read(evidence: Evidence) -> str:
    delta = points(evidence.suite.delta, sign=False)
    number = max((f.result.comparisons for f in evidence.findings if f.pair.primary and f.result), default=0)
    verdicts = (
        f"A primary contrast is better or worse where a difference of 0 is rejected although {number} "
        "contrasts "
        "and sizes were tried (Holm's procedure, 5 % for all of them together), equivalent where two "
        "one-sided "
        f"tests, likewise by Holm, reject a difference of ±{delta} points or more, and inconclusive "
        "otherwise. "
        if number
        else ""
    )
    return (
        "Each difference is the first model minus the second, paired replicate by replicate and image by "
        "image. "
        "Its interval is the plain 95 % interval for new training runs and new test images; where one "
        f"deterministic run of each model was made, for new test images alone. {verdicts}An interval may "
        "leave "
        "out 0 and the verdict still be inconclusive, because many contrasts were tried. Exploratory "
        "contrasts "
        "have an interval and no verdict. n counts replicates of both models; two are too few for an "
        "interval. "
        "On the whole training split all replicates share their images, so the results there do not extend "
        "to other draws."
    )


def _table(name: str, findings: list[Finding]) -> Table:
    starts = [
        index
        for index, finding in enumerate(findings)
        if not index or pair_name(finding) != pair_name(findings[index - 1])
    ]
    runs = [run for finding in findings for run in finding.runs_a + finding.runs_b]
    rows = tuple(_row(finding) for finding in findings)
    caption = f"Differences in top-1 accuracy on the test split in {name}."
    return Table(table_of(name), caption, COLUMNS, rows, frozenset(starts), tuple(dict.fromkeys(runs)))


def _row(finding: Finding) -> tuple[Field, ...]:
    result, n = finding.result, len(finding.runs_a)
    return (
        Field(subset(finding.pair.shots, finding.images_per_class)),
        Field(pair_name(finding)),
        Field(points(result.estimate if result else None)),
        Field(interval(result.low, result.high) if result and finding.has_interval else "none"),
        Field(verdict(finding)),
        Field(str(n) if n == finding.planned else f"{n} of {finding.planned}"),
        Field(notes=short_notes(finding)),
        *(Field(percent(mean)) for mean in finding.accuracy),
        Field("none" if not result or result.p_adjusted is None else p_value(result.p_adjusted)),
        Field("primary" if finding.pair.primary else "exploratory"),
    )


def _forest(evidence: Evidence, name: str, findings: list[Finding]) -> Figure:
    measured = [finding for finding in findings if finding.result]
    pairs = list(dict.fromkeys(pair_name(finding) for finding in measured))
    rows = len(measured) + 1.3 * len(pairs)
    drawing, (axes,) = canvas(max(ROW * rows + 14, LOWEST), below=10)
    drawing.subplots_adjust(left=20 / WIDTH)
    delta = 100 * evidence.suite.delta
    axes.axvspan(-delta, delta, color=MUTED, alpha=0.18, linewidth=0)
    axes.axvline(0, color=MUTED, linewidth=0.7)
    place, ticks = 0.0, []
    for pair in pairs:
        own = [finding for finding in measured if pair_name(finding) == pair]
        words = one_line(own[0].titles, " minus ", "" if own[0].pair.primary else " (exploratory)")
        axes.annotate(
            words, (0, place), (2, 0), ("axes fraction", "data"), "offset points", va="center", size=6.5
        )
        for finding in own:
            place += 1
            _interval(axes, evidence, finding, place)
            ticks.append((place, subset(finding.pair.shots, finding.images_per_class)))
        place += 1.3
    axes.set_ylim(place - 0.5, -0.7)
    axes.set_yticks([at for at, _ in ticks], [words for _, words in ticks])
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("Difference in top-1 accuracy (points)")
    axes.margins(x=0.08)
    drawing.text(
        1.5 * MM / drawing.get_figwidth(), _middle(axes), "Images per class", rotation=90, va="center", size=7
    )
    return finish(
        drawing,
        f"forest-{slug(name)}",
        caption=f"{name}: differences in top-1 accuracy with their intervals. Filled in the colour of the "
        "better model: a verdict; open: no verdict; cross: no interval. Shaded: differences declared "
        "negligible. Intervals are plain 95 % intervals, dashed where the contrast is exploratory.",
        alt=_in_words(name, measured),
        data=_data(measured),
        runs=tuple(dict.fromkeys(run for f in measured for run in f.runs_a + f.runs_b)),
    )


def _middle(axes: Axes) -> float:
    frame = axes.get_position()
    return (frame.y0 + frame.y1) / 2


def _interval(axes: Axes, evidence: Evidence, finding: Finding, place: float) -> None:
    result = finding.contrast
    looks = [evidence.looks[key] for key in (finding.pair.a, finding.pair.b)]
    winner = {"better": looks[0], "worse": looks[1]}.get(result.verdict)
    colour, marker = (winner.colour, winner.marker) if winner else (INK, "D")
    if result.low is not None and result.high is not None:
        ends, dash = [100 * result.low, 100 * result.high], "-" if finding.pair.primary else (0, (3, 1.5))
        axes.plot(ends, [place, place], color=colour, linewidth=1.1, linestyle=dash)
    else:
        marker = "x"
    open_ = finding.has_interval and result.verdict in ("inconclusive", "none")
    face = "#ffffff" if open_ else colour
    axes.plot(
        [100 * result.estimate],
        [place],
        marker=marker,
        color=colour,
        linestyle="none",
        markersize=3.8,
        markerfacecolor=face,
    )


def _data(measured: list[Finding]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "comparison": finding.pair.comparison,
            "images_per_class": finding.images_per_class,
            "a": finding.pair.a,
            "b": finding.pair.b,
            "primary": finding.pair.primary,
            "difference": finding.contrast.estimate,
            "low": finding.contrast.low,
            "high": finding.contrast.high,
            "verdict": finding.contrast.verdict,
            "replicates": finding.contrast.replicates,
        }
        for finding in measured
    )


def _in_words(name: str, measured: list[Finding]) -> str:
    parts = [
        f"{pair_name(f)} at {subset(f.pair.shots, f.images_per_class)}: "
        f"{points(f.contrast.estimate)} points, "
        + (f"{interval(f.contrast.low, f.contrast.high)}, {verdict(f)}" if f.has_interval else "no interval")
        for f in measured
    ]
    return f"Forest plot of the contrasts in {name}. {'. '.join(parts)}."

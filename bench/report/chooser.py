"""What the chooser on the page reads: every measured row, as numbers and as text."""

from typing import Any

from bench.analysis.contrasts import Finding
from bench.files import slug
from bench.report.axes import Axis, measured_axes
from bench.report.blocks import Chooser
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.measured import Platform
from bench.report.row_text import rate
from bench.report.text import decimal, percent, size_phrase, split_label
from bench.report.verdicts import conclusion, difference, pair_name, short_notes, table_of, verdict
from bench.store.records.listing import ComparisonEntry

TABLES = {"throughput": "speed", "memory": "memory", "energy": "speed"}

MATTERS = [
    ["top1", "Accuracy"],
    ["gmacs", "Few operations (GMACs)"],
    ["params", "Few parameters"],
    ["throughput", "Throughput"],
    ["memory", "Memory"],
    ["energy", "Energy"],
]


def chooser(evidence: Evidence) -> tuple[Chooser, ...]:
    """The form, if anything was measured."""
    every = [_comparison(evidence, comparison) for comparison in evidence.suite.comparisons]
    comparisons = [comparison for comparison in every if comparison["rows"]]
    if not comparisons:
        return ()
    start = max(row["size"] for row in comparisons[0]["rows"])
    platforms = [platform for comparison in comparisons for platform in comparison["platforms"]]
    measured = {name for one in platforms for name, own in one["measured"].items() if own["rows"]}
    measured |= {
        name
        for name in ("top1", "gmacs", "params")
        if any(row[name] is not None for comparison in comparisons for row in comparison["rows"])
    }
    kinds = dict.fromkeys(one["kind"] for one in platforms if one["measured"])
    return (
        Chooser(
            {
                "comparisons": comparisons,
                "matters": [[name, label] for name, label in MATTERS if name in measured],
                "devices": list(kinds) or ["CPU"],
                "start": f"{start:g}",
            }
        ),
    )


def _comparison(evidence: Evidence, comparison: ComparisonEntry) -> dict[str, Any]:
    name = comparison.name
    split = split_label(comparison.dataset, comparison.split_id)
    contestants = {key: evidence.suite.contestants[key] for key in comparison.contestants}
    models = {key: contestant.model for key, contestant in contestants.items()}
    cells = [cell for cell in evidence.cells_of(name) if cell.runs]
    findings = [one for one in evidence.findings if one.pair.comparison == name and one.result]
    # The whole split comes last, and stands for a subset that is as large.
    by_size = {(cell.contestant, cell.images_per_class): cell for cell in cells}
    pairs = {(one.pair.a, one.pair.b, one.images_per_class): one for one in findings}
    return {
        "label": f"{name}: {split}, {comparison.input_size} px",
        "accuracy_table": f"accuracy-{slug(name)}",
        "contrasts_table": table_of(name),
        "titles": {key: contestant.title for key, contestant in contestants.items()},
        "rows": [_row(evidence, cell) for cell in by_size.values()],
        "platforms": [
            _platform(evidence, platform, models, comparison.input_size) for platform in evidence.platforms
        ],
        "contrasts": [
            {
                "size": finding.images_per_class,
                "a": finding.pair.a,
                "b": finding.pair.b,
                "better": _better(finding),
                "text": f"{pair_name(finding)}: {_contrast(finding)}",
            }
            for finding in pairs.values()
        ],
    }


def _platform(
    evidence: Evidence, platform: Platform, models: dict[str, str], input_size: int
) -> dict[str, Any]:
    """What was measured on a platform of the contestants, each at one setting for all of them."""
    return {
        "kind": platform.kind,
        "name": platform.name,
        "measured": {
            name: {
                "table": f"{TABLES[name]}-{platform.key}",
                "where": axis.where,
                "rows": {key: _value(name, axis, key) for key in axis.values},
            }
            for name, axis in measured_axes(platform, models, input_size, evidence.headlines).items()
        },
    }


def _value(name: str, axis: Axis, contestant: str) -> dict[str, Any]:
    """A number with its interval, and as text."""
    value, ends = axis.values[contestant], axis.intervals.get(contestant)
    show, unit = {
        "throughput": (rate, "images/s"),
        "memory": (lambda number: decimal(number, 0), "MiB"),
        "energy": (lambda number: f"{number:.3g}", "J per image"),
    }[name]
    interval = f"95 % interval {show(ends[0])} to {show(ends[1])}" if ends else "no interval"
    return {
        "value": value,
        "low": ends[0] if ends else None,
        "high": ends[1] if ends else None,
        "text": "; ".join([f"{show(value)} {unit} ({interval})", *axis.notes[contestant]]),
    }


def _better(finding: Finding) -> str | None:
    """The contestant that a primary contrast calls better, if it calls one so."""
    sides = {"better": finding.pair.a, "worse": finding.pair.b} if finding.pair.primary else {}
    return sides.get(verdict(finding))


def _contrast(finding: Finding) -> str:
    return "; ".join([difference(finding), conclusion(finding), *short_notes(finding)])


def _row(evidence: Evidence, cell: Cell) -> dict[str, Any]:
    flops = evidence.match.flops(cell.comparison, cell.contestant)
    params = evidence.records[cell.runs[0]].model.params
    score, n = cell.scores["top1"], len(cell.runs)
    text = f"{percent(score.mean)} % (n = {n}"
    if cell.interval and cell.interval.low is not None:
        text += f", 95 % interval {percent(cell.interval.low)} to {percent(cell.interval.high)}"
    return {
        "contestant": cell.contestant,
        "title": cell.title,
        "size": cell.images_per_class,
        "size_name": size_phrase(cell.shots, cell.images_per_class),
        "top1": score.mean,
        "untrained": cell.untrained,
        "text": "; ".join([f"{text})", *cell.notes]),
        "gmacs": flops / 2e9 if flops else None,
        "gmacs_text": f"{decimal(flops / 2e9, 3)} GMACs" if flops else None,
        "params": params,
        "params_text": f"{decimal(params / 1e6, 1)} million parameters" if params else None,
    }

"""What the chooser on the page reads: every measured row with its words."""

from typing import TYPE_CHECKING, Any

from bench.analysis.contrasts import Finding
from bench.analysis.match import Standing
from bench.files import slug
from bench.report.axes import Axis, measured_axes
from bench.report.blocks import Chooser
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.measured import Place, rate
from bench.report.text import at_size, decimal, percent, split
from bench.report.verdicts import conclusion, difference, pair_name, short_notes, table_of, verdict

if TYPE_CHECKING:
    from bench.store.records import ComparisonEntry

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
    standing = Standing(evidence.suite, evidence.cells, evidence.cost)
    comparisons = [
        found for c in evidence.suite.comparisons if (found := _comparison(evidence, standing, c))["rows"]
    ]
    if not comparisons:
        return ()
    start = max(row["size"] for row in comparisons[0]["rows"])
    places = [place for comparison in comparisons for place in comparison["places"]]
    measured = {name for place in places for name, own in place["measured"].items() if own["rows"]}
    measured |= {
        name
        for name in ("top1", "gmacs", "params")
        if any(row[name] is not None for comparison in comparisons for row in comparison["rows"])
    }
    kinds = dict.fromkeys(place["kind"] for place in places if place["measured"])
    return (
        Chooser(
            {
                "comparisons": comparisons,
                "matters": [[name, words] for name, words in MATTERS if name in measured],
                "devices": list(kinds) or ["CPU"],
                "start": f"{start:g}",
            }
        ),
    )


def _comparison(evidence: Evidence, standing: Standing, comparison: "ComparisonEntry") -> dict[str, Any]:
    name = comparison.name
    where = split(comparison.dataset, comparison.split_id)
    contestants = {key: evidence.suite.contestants[key] for key in comparison.contestants}
    models = {key: contestant.model for key, contestant in contestants.items()}
    cells = [cell for cell in evidence.cells if cell.comparison == name and cell.runs]
    findings = [found for found in evidence.findings if found.pair.comparison == name and found.result]
    # The whole split comes last, and stands for a subset that is as large.
    by_size = {(cell.contestant, cell.images_per_class): cell for cell in cells}
    pairs = {(found.pair.a, found.pair.b, found.images_per_class): found for found in findings}
    return {
        "label": f"{name}: {where}, {comparison.input_size} px",
        "accuracy_table": f"accuracy-{slug(name)}",
        "contrasts_table": table_of(name),
        "titles": {key: contestant.title for key, contestant in contestants.items()},
        "rows": [_row(evidence, standing, cell) for cell in by_size.values()],
        "places": [_place(evidence, place, models, comparison.input_size) for place in evidence.places],
        "contrasts": [
            {
                "size": finding.images_per_class,
                "a": finding.pair.a,
                "b": finding.pair.b,
                "better": _better(finding),
                "words": f"{pair_name(finding)}: {_contrast(finding)}",
            }
            for finding in pairs.values()
        ],
    }


def _place(evidence: Evidence, place: Place, models: dict[str, str], input_size: int) -> dict[str, Any]:
    """What was measured at a place of the contestants, each at one setting for all of them."""
    return {
        "kind": place.kind,
        "name": place.name,
        "measured": {
            name: {
                "table": f"{TABLES[name]}-{place.key}",
                "where": axis.where,
                "rows": {key: _value(name, axis, key) for key in axis.values},
            }
            for name, axis in measured_axes(place, models, input_size, evidence.headlines).items()
        },
    }


def _value(name: str, axis: Axis, contestant: str) -> dict[str, Any]:
    """A number with its interval, in words too."""
    value, ends = axis.values[contestant], axis.intervals.get(contestant)
    show, unit = {
        "throughput": (rate, "images/s"),
        "memory": (lambda number: decimal(number, 0), "MiB"),
        "energy": (lambda number: f"{number:.3g}", "J per image"),
    }[name]
    words = f"{show(value)} {unit}"
    words += f" (95 % interval {show(ends[0])} to {show(ends[1])})" if ends else " (no interval)"
    return {
        "value": value,
        "low": ends[0] if ends else None,
        "high": ends[1] if ends else None,
        "words": "; ".join([words, *axis.notes[contestant]]),
    }


def _better(finding: Finding) -> str | None:
    """The contestant that a primary contrast calls better, if it calls one so."""
    sides = {"better": finding.pair.a, "worse": finding.pair.b} if finding.pair.primary else {}
    return sides.get(verdict(finding))


def _contrast(finding: Finding) -> str:
    return "; ".join([difference(finding), conclusion(finding), *short_notes(finding)])


def _row(evidence: Evidence, standing: Standing, cell: Cell) -> dict[str, Any]:
    flops = standing.flops(cell.comparison, cell.contestant)
    params = evidence.records[cell.runs[0]].model.params
    score, n = cell.scores["top1"], len(cell.runs)
    words = f"{percent(score.mean)} % (n = {n}"
    if cell.interval and cell.interval.low is not None:
        words += f", 95 % interval {percent(cell.interval.low)} to {percent(cell.interval.high)}"
    return {
        "contestant": cell.contestant,
        "title": cell.title,
        "size": cell.images_per_class,
        "size_name": at_size(cell.shots, cell.images_per_class),
        "top1": score.mean,
        "untrained": cell.untrained,
        "words": "; ".join([f"{words})", *cell.notes]),
        "gmacs": flops / 2e9 if flops else None,
        "gmacs_words": f"{decimal(flops / 2e9, 3)} GMACs" if flops else None,
        "params": params,
        "params_words": f"{decimal(params / 1e6, 1)} million parameters" if params else None,
    }

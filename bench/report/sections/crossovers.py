"""Where the better model changes with the amount of data."""

from dataclasses import replace

from bench.analysis.contrasts import Finding, primary_pairs
from bench.analysis.crossovers import Crossover, crossover_of
from bench.report.blocks import Column, Section, Table
from bench.report.evidence import Evidence
from bench.report.sections.columns import finding_size
from bench.report.text import listed
from bench.report.verdicts import pair_name

NOT_ENOUGH = "needs two sizes with three replicates"


def crossovers(evidence: Evidence) -> Section:
    """The table, where a pair was measured at several sizes; it says little where no better model changes."""
    section = Section.of("efficiency", "Data efficiency", crossover_table(evidence))
    changes = [crossover_of(pair) for pair in _pairs(evidence)]
    return replace(section, says_little=not any(one and one.crossings for one in changes))


def _pairs(evidence: Evidence) -> list[list[Finding]]:
    """The findings of each primary pair that was measured at several sizes."""
    every = primary_pairs(finding for finding in evidence.findings if finding.result)
    return [own for own in every if len({finding.images_per_class for finding in own}) > 1]


def crossover_table(evidence: Evidence) -> Table:
    """Where the better model changes, of each primary pair that was measured at several sizes."""
    pairs = _pairs(evidence)
    columns = (
        Column("Comparison", lambda pair: pair[0].pair.comparison),
        Column("Contrast", lambda pair: pair_name(pair[0])),
        Column("Crossover", _crossover, wide=True),
    )
    caption = (
        "Where the better model changes with the amount of data: one has a verdict at one size, and the "
        "other at a larger one."
    )
    return Table.of("crossover", caption, columns, pairs)


def _crossover(findings: list[Finding]) -> str:
    change = crossover_of(findings)
    untrained = [finding for finding in findings if finding.untrained]
    if change is None and untrained:
        return "not both were trained at two sizes"
    if change is None or sum(f.has_interval and not f.untrained for f in findings) < 2:
        return NOT_ENOUGH
    sentence = crossover_sentence(change, findings[0].titles)
    if not untrained:
        return sentence
    return f"{sentence}, where both were trained (not at {listed([finding_size(f) for f in untrained])})"


def crossover_sentence(crossover: Crossover, titles: tuple[str, str]) -> str:
    """Where the better model changes, if it does."""
    if not crossover.crossings:
        return "not decided" if crossover.status == "inconclusive" else crossover.status
    first = crossover.crossings[0]
    leader, other = titles if first.leader == "a" else titles[::-1]
    about = f"{first.point:.2g}" if first.point < 100 else f"{first.point:.0f}"
    text = f"{leader} is better at {first.low:g}, {other} at {first.high:g}; about {about} by interpolation"
    changes = len(crossover.crossings)
    return text + (f"; {changes} changes in all" if changes > 1 else "")

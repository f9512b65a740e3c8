"""Where the better model changes with the amount of data."""

from itertools import groupby

from bench.analysis.contrasts import Finding
from bench.analysis.crossovers import Crossover, crossover_of
from bench.files import slug
from bench.report.blocks import Column, Field, Table
from bench.report.evidence import Evidence
from bench.report.sections.columns import finding_size
from bench.report.text import listed, merge_notes
from bench.report.verdicts import pair_name, short_notes

NOT_ENOUGH = "needs two sizes with three replicates"


def crossover_table(evidence: Evidence, name: str) -> list[Table]:
    """Where the better model changes, of each primary pair of one comparison; empty where it has none."""
    primary = [f for f in evidence.findings if f.pair.comparison == name and f.pair.primary]
    pairs = [list(group) for _, group in groupby(primary, key=lambda f: (f.pair.a, f.pair.b))]
    columns = (
        Column("Contrast", lambda pair: pair_name(pair[0])),
        Column("Crossover", _crossover, wide=True),
        Column("Notes", _notes, under="Contrast"),
    )
    caption = (
        f"What changes with the amount of data in {name}. A crossover is claimed only of primary contrasts, "
        "where one model is better at one size and the other at a larger one; sizes at which not both were "
        "trained (see the notes) are left out."
    )
    return [Table.of(f"crossover-{slug(name)}", caption, columns, pairs)] if pairs else []


def _notes(findings: list[Finding]) -> Field:
    return Field(notes=merge_notes({finding_size(f): short_notes(f) for f in findings}, "at "))


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
        return crossover.status
    first = crossover.crossings[0]
    leader, other = titles if first.leader == "a" else titles[::-1]
    about = f"{first.point:.2g}" if first.point < 100 else f"{first.point:.0f}"
    text = f"{leader} is better at {first.low:g}, {other} at {first.high:g}; about {about} by interpolation"
    changes = len(crossover.crossings)
    return text + (f"; {changes} changes in all" if changes > 1 else "")

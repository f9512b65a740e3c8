"""Level 1 of the report on a suite that trains nothing."""

from bench.report.blocks import Section
from bench.report.evidence import Evidence
from bench.report.recommendation import PROFILED
from bench.report.sections.answer_table import cost_table


def untrained(evidence: Evidence) -> Section:
    """That nothing is said of accuracy, and the models with what they cost."""
    return Section.of("answer", "What was measured", PROFILED, cost_table(evidence))

"""Accuracy against what it costs, in a section of its own."""

from bench.report.blocks import Block, Gallery, Prose, Section, not_measured
from bench.report.evidence import Evidence
from bench.report.sections.pareto import pareto_figures
from bench.report.text import listed


def tradeoffs(evidence: Evidence) -> Section:
    """The figures, and what could not be drawn."""
    anchor, title = "tradeoffs", "Accuracy against cost"
    figures, missing = pareto_figures(evidence)
    if not figures:
        return not_measured(anchor, title, "accuracy and cost of two models of one comparison")
    blocks: list[Block] = [
        Prose(
            "For the largest amount of training data of each comparison. A model is on the front if no other "
            "is at least as accurate and at least as cheap, and better in one of the two. Throughput, memory "
            "and energy are those of one setting, the same for all models, of one machine."
        ),
        Gallery(tuple(figures)),
    ]
    if missing:
        blocks.append(Prose(f"Not measured for two models of one comparison: {listed(missing)}."))
    return Section(anchor, title, tuple(blocks))

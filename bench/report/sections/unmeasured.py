"""The models of a suite that a section has no number of."""

from collections.abc import Iterable

from bench.report.blocks import Block, Prose
from bench.report.evidence import Evidence
from bench.report.text import listed


def unmeasured(evidence: Evidence, models: Iterable[str], where: str) -> list[Block]:
    """A line that names the suite's models that are not among these; none if all of them are.

    Args:
        where: what was not measured of them, or where.
    """
    present = set(models)
    missing = [model for model in evidence.model_looks if model not in present]
    contestants = evidence.suite.contestants.values()
    titles: list[str] = []
    for model in missing:
        own = [contestant.title for contestant in contestants if contestant.model == model]
        titles += own or [evidence.titles[model]]
    return [Prose(f"Not measured {where}: {listed(titles)}.")] if titles else []

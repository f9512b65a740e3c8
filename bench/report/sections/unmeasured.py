"""The models of a suite that a section has no number of."""

from collections.abc import Iterable

from bench.report.evidence import Evidence
from bench.report.text import listed


def unmeasured(evidence: Evidence, models: Iterable[str], where: str) -> str | None:
    """A line that names the suite's models that are not among these; None if all of them are.

    Args:
        where: what was not measured of them, or where.
    """
    measured = set(models)
    contestants = evidence.suite.contestants.values()
    titles: list[str] = []
    for model in evidence.model_styles:
        if model not in measured:
            own = [contestant.title for contestant in contestants if contestant.model == model]
            titles += own or [evidence.titles[model]]
    return f"Not measured {where}: {listed(titles)}." if titles else None

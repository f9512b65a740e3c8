"""Contrasts in words and as parts of tables."""

from bench.analysis.contrasts import Finding
from bench.files import slug
from bench.report.text import NOT_MEASURED, at_size, interval, percent, points

NO_VERDICT = "no verdict"
EXPLORATORY = "exploratory"
UNMATCHED = "unmatched: "


def table_of(comparison: str) -> str:
    """The name of the table with the contrasts of a comparison."""
    return f"contrasts-{slug(comparison)}"


def verdict(finding: Finding) -> str:
    """The verdict in a word or two; exploratory contrasts have none."""
    if finding.result is None:
        return NOT_MEASURED
    if not finding.pair.primary:
        return EXPLORATORY
    return NO_VERDICT if finding.result.verdict == "none" else finding.result.verdict


def short_notes(finding: Finding) -> tuple[str, ...]:
    """The notes of a contrast, without the words of the comparison, which stand above its table."""
    return tuple("unmatched" if note.startswith(UNMATCHED) else note for note in finding.notes)


def pair_name(finding: Finding) -> str:
    """Which model is compared with which; differences are the first minus the second."""
    return " against ".join(finding.titles)


def where(finding: Finding) -> str:
    """The subset of a contrast within a sentence."""
    return at_size(finding.pair.shots, finding.images_per_class)


def sentence(finding: Finding) -> str:
    """What was found on one subset, with its interval where there is one."""
    a, b = finding.titles
    place = f"in {finding.pair.comparison} with {where(finding)}"
    if finding.result is None:
        return f"{a} against {b} {place}: not measured."
    means = " and ".join(f"{percent(mean)} %" for mean in finding.accuracy)
    if not finding.has_interval:
        n = len(finding.runs_a)
        few = "one replicate" if n == 1 else f"{n} replicates"
        return f"No verdict can be given on {a} against {b} {place}: {few} of each; the means are {means}."
    result = finding.result
    ends = f"(95 % interval {interval(result.low, result.high)})"
    signed, size = points(result.estimate), points(result.estimate, sign=False)
    if result.verdict == "equivalent":
        within = f"within ±{points(result.delta, sign=False)}"
        return f"{a} and {b} are equivalent {place}: {signed} points, {within} {ends}."
    if result.verdict == "inconclusive":
        half = points(result.half_width, sign=False)
        return f"{a} against {b} is inconclusive {place}: {signed} points, known to ±{half} {ends}."
    return f"{a} is {result.verdict} than {b} {place}, by {size} points {ends}."

"""A contrast as a sentence to cite: both accuracies, their difference, and what follows from it."""

from bench.analysis.contrasts import Finding
from bench.analysis.flags import Flag
from bench.analysis.names import dataset_title
from bench.report.text import counted, interval, percent, points, size_label, size_phrase
from bench.report.verdicts import words_of
from bench.store.records.listing import Listing


def largest_measured(group: list[Finding]) -> Finding:
    """Of one pair in one comparison, the largest training set that was measured."""
    measured = [finding for finding in group if finding.result]
    return max(measured, key=lambda f: (f.images_per_class, f.pair.shots is None)) if measured else group[-1]


def trained_how(suite: Listing, comparison: str) -> str:
    """On what and how the models of a comparison are trained, for the beginning of a sentence."""
    own = next(c for c in suite.comparisons if c.name == comparison)
    text = f"On {dataset_title(own.dataset)}, {words_of(own.recipe)[1]}"
    same = [c for c in suite.comparisons if (c.dataset, c.recipe) == (own.dataset, own.recipe)]
    return text if len(same) == 1 else f"{text} ({comparison})"


def trained_on(finding: Finding) -> str:
    """How many images per class the models were trained on."""
    shots = finding.pair.shots
    if shots is None:
        size = size_label(None, finding.images_per_class).removeprefix("all").removesuffix(")")
        return "all training images" + (size and f"{size} per class)")
    whole = finding.has(Flag.IMAGES_ONLY, Flag.WHOLE_SPLIT)
    return size_phrase(shots) + (", which are all training images" if whole else "")


def difference(finding: Finding) -> str:
    """The difference with its interval, where there is one."""
    result = finding.contrast
    text = f"{points(result.estimate)} points"
    if not finding.has_interval:
        return text
    over = " over test images alone" if result.images_only else ""
    return f"{text} (95 % interval{over} {interval(result.low, result.high)})"


def conclusion(finding: Finding) -> str:
    """What follows from the interval and the number of comparisons."""
    if finding.untrained:
        why = "; ".join(finding.untrained)
        return f"nothing follows about the architectures, as not both were trained ({why})"
    result, (a, b) = finding.contrast, finding.titles
    if not finding.has_interval:
        n = result.replicates
        few = f"{counted(n, 'replicate')} of each {'is' if n == 1 else 'are'} too few for an interval"
        return few if not finding.pair.primary else f"{few} or a verdict"
    if not finding.pair.primary:
        return "an exploratory pair, of which nothing is claimed"
    if result.verdict in ("better", "worse"):
        return f"{a if result.verdict == 'better' else b} is better"
    if result.verdict == "equivalent":
        return f"the two are equivalent within ±{points(result.delta, sign=False)} points"
    if result.excludes_0:
        return (
            "not decided: the interval leaves out 0, but that is no verdict among "
            f"{result.comparisons} comparisons"
        )
    return "not decided"


def statement(finding: Finding) -> str:
    """Both accuracies, their difference, and what follows; without a full stop."""
    a, b = finding.titles
    means = [percent(mean) for mean in finding.accuracy]
    return (
        f"trained on {trained_on(finding)}, {a} reaches {means[0]} % and {b} {means[1]} %: "
        f"{difference(finding)}; {conclusion(finding)}"
    )

"""Contrasts in words: the answer, the chooser and `vcbench cite` say the same of the same data."""

from bench.analysis.contrasts import Finding
from bench.analysis.flags import Flag
from bench.files import slug
from bench.report.text import NOT_MEASURED, count, counted, interval, percent, points, size_label, size_phrase
from bench.store.records.listing import Listing

NO_VERDICT = "no verdict"
EXPLORATORY = "exploratory"
TITLES = {"cifar100": "CIFAR-100", "flowers102": "Flowers102"}
"""Datasets that people write otherwise than we name them."""

WORDS = {
    "linear-probe": ("linear probe", "on frozen features"),
    "knn": ("nearest neighbours", "by nearest neighbours of frozen features"),
    "finetune": ("fine-tuned", "fine-tuned"),
    "scratch": ("from scratch", "from random weights"),
}
"""How a recipe, by the beginning of its name, uses a network: in a table, and in a sentence."""


def table_of(comparison: str) -> str:
    """The name of the table with the contrasts of a comparison."""
    return f"contrasts-{slug(comparison)}"


def largest_measured(group: list[Finding]) -> Finding:
    """Of one pair in one comparison, the largest training set that was measured."""
    measured = [finding for finding in group if finding.result]
    return max(measured, key=lambda f: (f.images_per_class, f.pair.shots is None)) if measured else group[-1]


def verdict(finding: Finding) -> str:
    """The verdict in a word or two; exploratory contrasts have none."""
    if finding.result is None:
        return NOT_MEASURED
    if not finding.pair.primary:
        return EXPLORATORY
    return NO_VERDICT if finding.result.verdict == "none" else finding.result.verdict


def short_notes(finding: Finding) -> tuple[str, ...]:
    """The notes of a contrast, without the words of the comparison, which stand above its table."""
    return tuple(note.short if note.flag is Flag.UNMATCHED else str(note) for note in finding.flags)


def pair_name(finding: Finding) -> str:
    """Which model is compared with which; differences are the first minus the second."""
    return " against ".join(finding.titles)


def trained_how(suite: Listing, comparison: str) -> str:
    """On what and how the models of a comparison are trained, for the beginning of a sentence."""
    own = next(c for c in suite.comparisons if c.name == comparison)
    text = f"On {dataset_title(own.dataset)}, {words_of(own.recipe)[1]}"
    same = [c for c in suite.comparisons if (c.dataset, c.recipe) == (own.dataset, own.recipe)]
    return text if len(same) == 1 else f"{text} ({comparison})"


def dataset_title(name: str) -> str:
    """A dataset as people write it."""
    return TITLES.get(name, name)


def words_of(recipe: str) -> tuple[str, str]:
    """How a recipe uses a network, in a table and in a sentence."""
    fitting = (words for start, words in WORDS.items() if recipe.startswith(start))
    return next(fitting, (recipe, f"by recipe {recipe}"))


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


def what_would_decide(finding: Finding) -> str:
    """How much more would have to be measured, if a difference of this size is to be decided."""
    result = finding.result
    if result is None or result.verdict != "inconclusive" or result.needs is None:
        return ""
    needs = result.needs
    if needs.replicates is not None:
        return (
            f"If the difference is as it was measured, about {needs.replicates} replicates instead of "
            f"{result.replicates} would decide it."
        )
    if needs.images is not None:
        would = f"would take about {count(needs.images)} test images instead of {count(result.images)}"
        if result.images_only:
            return f"If the difference is as it was measured, deciding it {would}."
        return f"More replicates alone would not decide it; it {would}."
    return "Neither a hundred replicates nor a hundred times as many test images would decide it."

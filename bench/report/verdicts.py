"""What recipes, pairs and verdicts are called."""

from bench.analysis.contrasts import Finding
from bench.analysis.flags import Flag
from bench.files import slug
from bench.report.text import NOT_MEASURED, count, points

NO_VERDICT = "no verdict"
EXPLORATORY = "exploratory"

WORDS = {
    "linear-probe": ("linear probe", "by linear probe"),
    "knn": ("nearest neighbours", "by nearest neighbours on frozen features"),
    "finetune": ("fine-tuned", "fine-tuned"),
    "scratch": ("from scratch", "from random weights"),
}
"""How a recipe, by the beginning of its name, uses a network: in a table, and in a sentence."""


NOUNS = {
    "linear-probe": "linear probes",
    "knn": "nearest neighbours",
    "finetune": "fine-tuning",
    "scratch": "training from random weights",
}
"""The same as a noun."""


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
    return tuple(note.short if note.flag is Flag.UNMATCHED else str(note) for note in finding.flags)


def pair_name(finding: Finding) -> str:
    """Which model is compared with which; differences are the first minus the second."""
    return " against ".join(finding.titles)


def words_of(recipe: str) -> tuple[str, str]:
    """How a recipe uses a network, in a table and in a sentence."""
    fitting = (words for start, words in WORDS.items() if recipe.startswith(start))
    return next(fitting, (recipe, f"by recipe {recipe}"))


def training_noun(recipe: str) -> str:
    """What is done to a network by a recipe."""
    return next((noun for start, noun in NOUNS.items() if recipe.startswith(start)), f"recipe {recipe}")


def what_would_decide(finding: Finding) -> str:
    """How much more would have to be measured, if a difference of this size is to be decided."""
    result = finding.result
    if result is None or result.verdict != "inconclusive" or result.needs is None:
        return ""
    needs = result.needs
    delta = points(result.delta, sign=False)
    shows = (
        f"would show that they differ by less than {delta} points" if needs.equivalent else "would decide it"
    )
    if needs.replicates is not None:
        return (
            f"If the difference is as it was measured, about {needs.replicates} replicates instead of "
            f"{result.replicates} {shows}."
        )
    if needs.images is not None:
        alone = "" if result.images_only else "More replicates alone would not decide it. "
        return (
            f"{alone}If the difference is as it was measured, about {count(needs.images)} test images "
            f"instead of {count(result.images)} {shows}."
        )
    return "Neither a hundred replicates nor a hundred times as many test images would decide it."

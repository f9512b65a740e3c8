"""The answer: what the primary contrasts say, largest training set first, in at most five paragraphs."""

from itertools import groupby

from bench.analysis.contrasts import Finding
from bench.report.blocks import Claim, Claims, Section
from bench.report.chooser import chooser
from bench.report.evidence import Evidence
from bench.report.text import NOT_MEASURED, percent, points
from bench.report.verdicts import (
    briefly,
    dataset_title,
    pair_name,
    regime,
    short_notes,
    statement,
    table_of,
    trained_how,
    trained_on,
    verdict,
    what_would_decide,
)

MOST = 5


def answer(evidence: Evidence) -> Section:
    """One paragraph a primary contrast and comparison, in the order of the suite, whatever came out."""
    primary = [finding for finding in evidence.findings if finding.pair.primary]
    if not primary:
        text = "This suite declares no primary contrast, so it claims nothing; the tables describe it."
        return Section.of("answer", "The answer", text, chooser(evidence))
    groups = [
        list(group) for _, group in groupby(primary, key=lambda f: (f.pair.comparison, f.pair.a, f.pair.b))
    ]
    left = len(groups) - MOST
    more = "contrast stands" if left == 1 else "contrasts stand"
    return Section.of(
        "answer",
        "The answer",
        Claims(tuple(_claim(evidence, group) for group in groups[:MOST])),
        f"{left} more primary {more} in the section Contrasts." if left > 0 else None,
        both_regimes(evidence, groups),
        _reading(primary),
        chooser(evidence),
    )


def largest_measured(group: list[Finding]) -> Finding:
    """Of one pair in one comparison, the largest training set that was measured."""
    measured = [finding for finding in group if finding.result]
    return max(measured, key=lambda f: (f.images_per_class, f.pair.shots is None)) if measured else group[-1]


def both_regimes(evidence: Evidence, groups: list[list[Finding]]) -> list[str]:
    """For each dataset on which one pair was trained in two ways: both, and the best of each model, at the
    largest training set that they have in common and on which all of these networks were trained."""
    heads: dict[tuple[str, str | None, str, str], list[list[Finding]]] = {}
    for group in groups:
        head = group[0]
        heads.setdefault((head.dataset, head.split_id, head.pair.a, head.pair.b), []).append(group)
    sentences = []
    for same_pair in heads.values():
        by_size = [{f.images_per_class: f for f in one if f.result and not f.untrained} for one in same_pair]
        common = set.intersection(*map(set, by_size))
        if len(same_pair) > 1 and common:
            sentences.append(_both_ways(evidence, [own[max(common)] for own in by_size]))
    return sentences


def _both_ways(evidence: Evidence, findings: list[Finding]) -> str:
    recipes = {c.name: regime(c.recipe) for c in evidence.suite.comparisons}
    ways = [recipes[finding.pair.comparison] for finding in findings]
    if len(set(ways)) < len(ways):
        ways = [f"{way} ({f.pair.comparison})" for way, f in zip(ways, findings, strict=True)]
    each = "; ".join(
        f"{way}, {f.titles[0]} {percent(f.accuracy[0])} % and {f.titles[1]} {percent(f.accuracy[1])} %"
        for way, f in zip(ways, findings, strict=True)
    )
    best = [max(range(len(findings)), key=lambda k: findings[k].accuracy[side]) for side in (0, 1)]
    a, b = (
        f"{findings[k].titles[side]} {ways[k]} ({percent(findings[k].accuracy[side])} %)"
        for side, k in enumerate(best)
    )
    gap = findings[best[0]].accuracy[0] - findings[best[1]].accuracy[1]
    text = f"On {dataset_title(findings[0].dataset)}, trained on {trained_on(findings[0])}: {each}."
    if best[0] == best[1]:
        return f"{text} Both are best {ways[best[0]]}."
    return (
        f"{text} The best of each is {a} and {b}, {points(gap)} points apart. That is no verdict: which "
        "way is best was chosen by these same accuracies, and the two differ in more than the architecture."
    )


def _reading(primary: list[Finding]) -> str:
    """What the intervals and verdicts are about; that there are none where too few replicates were run."""
    if not any(finding.has_interval for finding in primary):
        return (
            "No primary contrast has the three replicates that an interval needs, so nothing is claimed: "
            "means of fewer runs say what was measured, not which model is better."
        )
    number = max(finding.result.comparisons for finding in primary if finding.result)
    among = "" if number == 1 else f" Verdicts allow for all {number} primary contrasts (Holm)."
    alone = any(finding.result and finding.result.images_only for finding in primary)
    only = (
        " Where a single deterministic run of each model was made, the interval is about new test images "
        "alone."
        if alone
        else ""
    )
    return (
        "Differences are in points of top-1 accuracy on the test images. Each interval is a plain 95 % "
        f"interval for new training runs and new test images.{among}{only} All of this holds for these "
        "networks with these weights and recipes, trained on images from the same pool; it does not "
        "extend to ViTs and CNNs in general."
    )


def _claim(evidence: Evidence, group: list[Finding]) -> Claim:
    """One pair in one comparison: all images or the largest subset, then fewer."""
    head = largest_measured(group)
    name = head.pair.comparison
    if head.result is None:
        text = f"{trained_how(evidence.suite, name)}: {pair_name(head)} is {NOT_MEASURED} at any size."
        return Claim(text, verdict(head), (), table_of(name))
    text = f"{trained_how(evidence.suite, name)}, {statement(head)}."
    if decide := what_would_decide(head):
        text += f" {decide}"
    by_size = {f.images_per_class: f for f in group if f.images_per_class != head.images_per_class}
    rest = [by_size[size] for size in sorted(by_size, reverse=True)]
    if rest:
        others = "; ".join(map(briefly, rest))
        text += f" At other sizes, images per class: {others}."
    return Claim(text, verdict(head), short_notes(head), table_of(name))

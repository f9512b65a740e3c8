"""What a report cannot tell its reader beside the limits of its answer, and what was not measured."""

from collections.abc import Iterator

from bench.report.blocks import Bullets, Section
from bench.report.evidence import Evidence
from bench.report.sections.measured_cost import measured_on
from bench.report.text import counted, listed
from bench.report.verdicts import training_noun


def limits(evidence: Evidence, absent: list[str]) -> Section:
    """Statements that hold for this suite alone, then one line on what was not measured.

    Args:
        absent: the titles of the sections that have nothing to show.
    """
    # Those of several words last: "robustness, memory, and cost against input size".
    titles = sorted((title[0].lower() + title[1:] for title in absent), key=lambda title: len(title.split()))
    and_last = listed(titles) if len(titles) < 3 else f"{', '.join(titles[:-1])}, and {titles[-1]}"
    missing = f"Not measured in this suite: {and_last}."
    return Section.of(
        "limits",
        "What this cannot tell you",
        Bullets(tuple(_statements(evidence))),
        missing if absent else None,
    )


def _statements(evidence: Evidence) -> Iterator[str]:
    if evidence.trains:
        yield (
            "What other training images would give: all subsets are drawn from the same images, and "
            "intervals are about new training runs and new test images of the same kind."
        )
    data = {record.data.key: record.data for record in evidence.records.values()}
    for one in data.values():
        name = evidence.names[one.dataset, one.fingerprint]
        if repeated := one.overlap.get("test_in_train"):
            yield (
                f"How well new images of {name} would be classified: {repeated} of {one.test_images} "
                "test images are also in train."
            )
        if unsure := one.overlap.get("two_labels"):
            yield f"What {counted(unsure, 'image')} of {name} with two labels should be."
    primary = [finding for finding in evidence.findings if finding.pair.primary and finding.result]
    undecided = [finding for finding in primary if finding.contrast.verdict == "inconclusive"]
    if undecided:
        yield f"Which model is better: {_undecided(evidence, len(undecided), len(primary))}."
    timed = [f"the {one.name}" for one in evidence.platforms if measured_on(evidence, one)]
    if timed:
        yield (
            f"How fast the models are elsewhere: speed and memory are those of {listed(timed)}, and "
            "other hardware can order the models differently."
        )


def _undecided(evidence: Evidence, undecided: int, measured: int) -> str:
    """How many primary contrasts are not decided, and how many wait for trials of what."""
    waiting = [one.pair.comparison for one in evidence.findings if one.pair.primary and not one.result]
    if not waiting:
        many = (
            f"{undecided} of {measured} primary contrasts are" if measured > 1 else "the primary contrast is"
        )
        return f"{many} not decided"
    nouns = {one.name: training_noun(one.recipe) for one in evidence.suite.comparisons}
    for_what = listed(list(dict.fromkeys(nouns[name] for name in waiting)))
    many = f"{undecided} of the {measured} primary contrasts measured so far"
    more = f"{len(waiting)} more wait{'s' if len(waiting) == 1 else ''} for {for_what}"
    return f"{many} {'is' if undecided == 1 else 'are'} not decided; {more}"

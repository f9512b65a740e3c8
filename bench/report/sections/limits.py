"""What a report cannot tell its reader, and what was not measured: the end of its page."""

from collections.abc import Iterator

from bench.report.blocks import Bullets, Section
from bench.report.evidence import Evidence
from bench.report.text import counted, listed


def limits(evidence: Evidence, absent: list[str]) -> Section:
    """Statements that hold for this suite alone, then one line on what was not measured.

    Args:
        absent: the titles of the sections that have nothing to show.
    """
    missing = f"Not measured in this suite: {listed([title.lower() for title in absent])}."
    statements = tuple(_statements(evidence))
    return Section.of(
        "limits",
        "What this cannot tell you",
        Bullets(statements) if statements else None,
        missing if absent else None,
    )


def _statements(evidence: Evidence) -> Iterator[str]:
    if evidence.trains:
        yield from _of_training(evidence)
    timed = [one for one in evidence.platforms if len(one.speed) or len(one.memory)]
    if timed:
        names = listed([platform.name for platform in timed])
        yield f"Speed and memory are those of the {names}. Other hardware can order the models differently."


def _of_training(evidence: Evidence) -> Iterator[str]:
    models = {one.model for one in evidence.suite.contestants.values()}
    yield (
        f"How ViTs and CNNs compare in general: {counted(len(models), 'model')} with these weights "
        f"{'was' if len(models) == 1 else 'were'} measured, and the results are about these."
    )
    protocols = evidence.trials.groupby("comparison", sort=False)["protocol"].agg(set)
    untuned = [name for name, own in protocols.items() if "shared" in own]
    if untuned:
        yield (
            f"What each model reaches with settings of its own: in {listed(untuned)} one recipe served all "
            "models, without a search. A recipe that suits a model better can change the order."
        )
    yield from _of_data(evidence)
    for comparison in evidence.suite.comparisons:
        if comparison.unmatched and any(cell.runs for cell in evidence.cells_of(comparison.name)):
            yield f"What causes the differences in {comparison.name}: {_sentence(comparison.unmatched)}"
    yield (
        "What other training images would give: all subsets are drawn from the same images, and intervals "
        "are about new training runs and new test images of the same kind."
    )
    primary = [finding for finding in evidence.findings if finding.pair.primary and finding.result]
    undecided = [finding for finding in primary if finding.contrast.verdict in ("inconclusive", "none")]
    if undecided:
        yield (
            f"Which model is better in {len(undecided)} of {counted(len(primary), 'primary contrast')}: "
            "these are not decided."
        )


def _of_data(evidence: Evidence) -> Iterator[str]:
    """What is wrong with the images of a data set, each once."""
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


def _sentence(text: str) -> str:
    """Text with a full stop at its end."""
    return text if text.endswith(".") else f"{text}."

"""Level 1 of a report: the recommendation, the figure, the table, and the form to choose by."""

from collections.abc import Iterator

from bench.report.blocks import Flow, Gallery, Prose, Section
from bench.report.chooser import chooser
from bench.report.data_sets import data_sets
from bench.report.evidence import Evidence
from bench.report.recommendation import paragraphs
from bench.report.sections.answer_figure import answer_figure, styles_of
from bench.report.sections.answer_table import answer_table

TITLE = "The answer"


def answer(evidence: Evidence) -> Section:
    """What to take on each data set with its limits, what that rests on, and the chooser."""
    return Section.of("answer", TITLE, _content(evidence))


def _content(evidence: Evidence) -> Iterator[Flow]:
    yield (Prose(said.text, said.take) for said in paragraphs(evidence))
    every = data_sets(evidence)
    if not every:
        return
    styles = styles_of(evidence, every)
    yield Gallery.of(answer_figure(evidence, data, styles) for data in every)
    yield answer_table(evidence, every, styles)
    yield chooser(evidence, every)

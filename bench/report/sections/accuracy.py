"""The accuracy table: one row a model and subset size."""

from collections.abc import Iterator

from bench.analysis.regimes import in_words, regimes
from bench.files import slug
from bench.report.blocks import Column, Flow, Heading, Section, number
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.sections.columns import CELL_NOTES, CELL_SIZE, cell_model, cell_table, percent_of
from bench.report.text import NOT_MEASURED, count, percent
from bench.store.records.listing import ComparisonEntry


def accuracy(evidence: Evidence) -> Section:
    """A table for each comparison, grouped by images per class so that models stand side by side."""
    return Section.of(
        "accuracy",
        "Accuracy",
        "Mean ± standard deviation over n replicates, on the test split. These describe what was measured; "
        "they are not intervals. Per class is the mean of the accuracies of the classes, NLL the mean "
        "negative log-likelihood in nats, ECE the expected calibration error over 15 bins. A diverged trial "
        "is scored as guessing, and has no ECE. Without duplicates is the accuracy on the test images that "
        "have no near-duplicate in the training images, where the dataset is known to have some.",
        (_comparison(evidence, comparison) for comparison in evidence.suite.comparisons),
    )


def _comparison(evidence: Evidence, comparison: ComparisonEntry) -> Iterator[Flow]:
    name, cells = comparison.name, evidence.cells_of(comparison.name)
    yield Heading(name)
    if any(cell.nearest.n for cell in cells):
        yield _without_training(evidence, cells)
    yield (text for text in in_words(regimes(evidence.cells)) if f" in {name} " in text)
    caption = f"Accuracy in {name}, {comparison.input_size} px."
    yield cell_table(f"accuracy-{slug(name)}", caption, _columns(evidence, cells), cells)


def _without_training(evidence: Evidence, cells: list[Cell]) -> str:
    """What needs no training, on the same images."""
    records = [evidence.records[run] for cell in cells for run in cell.runs]
    baselines = [base for record in records if (base := evidence.training.baseline(record))]
    majority = sorted({percent(base.majority_top1) for base in baselines}, key=float)
    return (
        f"Without any training: chance is {percent(baselines[0].chance_top1)} %, and the most frequent class "
        f"of the training images gives {' to '.join(dict.fromkeys((majority[0], majority[-1])))} %; the last "
        "column has the class of the nearest training image in raw pixels. A model that one of them beats is "
        'marked "not trained", and no statement about its architecture rests on it.'
    )


def _columns(evidence: Evidence, cells: list[Cell]) -> list[Column]:
    columns = [
        CELL_SIZE,
        cell_model(evidence),
        percent_of("top1", "Top-1 (%)"),
        number("n", _replicates),
        Column("Pretraining", lambda c: c.pretraining or NOT_MEASURED, under="Model", label="pretraining "),
        Column("Recipe (protocol)", _recipe, under="Model"),
        CELL_NOTES,
        percent_of("mean_per_class", "Per class (%)"),
        number("NLL", lambda cell: cell.scores["nll"].as_decimal()),
        percent_of("ece", "ECE (%)"),
        Column("Dataset (split)", lambda cell: cell.split),
    ]
    if any(cell.scores["top1_deduplicated"].n for cell in cells):
        columns.append(percent_of("top1_deduplicated", "Without duplicates (%)"))
    if any(cell.nearest.n for cell in cells):
        columns.append(number("Nearest neighbour (%)", lambda cell: cell.nearest.as_percent()[0]))
    return columns


def _replicates(cell: Cell) -> str:
    done = len(cell.runs)
    return count(done) if done == cell.planned else f"{done} of {cell.planned}"


def _recipe(cell: Cell) -> str:
    return f"{cell.recipe} ({cell.protocol})" if cell.protocol else cell.recipe

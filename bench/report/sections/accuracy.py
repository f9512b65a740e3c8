"""The accuracy table: one row a model and subset size."""

from bench.analysis.regimes import in_words, regimes
from bench.files import slug
from bench.report.blocks import Column, Section, number
from bench.report.cells import Baseline, Cell
from bench.report.evidence import Evidence
from bench.report.sections.columns import CELL_NOTES, CELL_SIZE, cell_model, cell_table, percent_of
from bench.report.text import NOT_MEASURED, out_of, percent, span

BASELINES: dict[Baseline, str] = {
    "nearest": "Nearest neighbour (%)",
    "statistics": "Image statistics (%)",
}


def accuracy(evidence: Evidence) -> Section:
    """A table for each comparison, grouped by images per class so that models stand side by side."""
    measured = any(cell.baseline("statistics").n for cell in evidence.cells)
    also = ", image statistics that of the nearest in brightness, colour and sharpness" if measured else ""
    return Section.of(
        "accuracy",
        "Accuracy",
        "Mean ± standard deviation over n replicates, on the test split. These describe what was measured; "
        "they are not intervals. Per class is the mean of the accuracies of the classes, NLL the mean "
        "negative log-likelihood in nats, ECE the expected calibration error over 15 bins. A diverged trial "
        "is scored as guessing, and has no ECE. Without duplicates is the accuracy on the test images that "
        "have no near-duplicate in the training images, where the dataset is known to have some. Nearest "
        f"neighbour is the class of the nearest training image in raw pixels{also}. A model that is below "
        'it, below the most frequent class of the training images or below chance is marked "not trained", '
        "and no statement about its architecture rests on it.",
        in_words(regimes(evidence.cells)),
        [
            cell_table(
                f"accuracy-{slug(one.name)}",
                f"Accuracy in {one.name}, {one.input_size} px.{_without_training(cells)}",
                _columns(evidence, cells),
                cells,
            )
            for one in evidence.suite.comparisons
            for cells in [evidence.cells_of(one.name)]
            if any(cell.runs for cell in cells)
        ],
    )


def _without_training(cells: list[Cell]) -> str:
    """What chance and the most frequent class give on the same images."""
    majority = [cell.baseline("majority").mean for cell in cells if cell.baseline("majority").n]
    if not majority:
        return ""
    chance = 1 / next(record.data.classes for cell in cells for record in cell.records)
    most = span(majority, percent)
    return f" Chance: {percent(chance)} %; the most frequent class of the training images: {most} %."


def _columns(evidence: Evidence, cells: list[Cell]) -> list[Column]:
    columns = [
        CELL_SIZE,
        cell_model(evidence),
        percent_of("top1", "Top-1 (%)"),
        number("n", lambda cell: out_of(len(cell.runs), cell.planned)),
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
    return columns + [_baseline(name) for name in BASELINES if any(cell.baseline(name).n for cell in cells)]


def _baseline(name: Baseline) -> Column:
    return number(BASELINES[name], lambda cell: percent(cell.baseline(name).mean))


def _recipe(cell: Cell) -> str:
    return f"{cell.recipe} ({cell.protocol})" if cell.protocol else cell.recipe

"""The accuracy table: one row a model and subset size."""

from bench.analysis.regimes import in_words, regimes
from bench.files import slug
from bench.report.blocks import Block, Column, Field, Heading, Prose, Section, Table
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.sections.brought import brought
from bench.report.sections.networks import networks
from bench.report.text import NOT_MEASURED, count, percent, plus_minus, subset

COLUMNS = (
    Column("Images per class", numeric=True),
    Column("Model"),
    Column("Top-1 (%)", numeric=True),
    Column("n", numeric=True),
    Column("Pretraining", under="Model", label="pretraining "),
    Column("Recipe (protocol)", under="Model"),
    Column("Notes", under="Model"),
    Column("Per class (%)", numeric=True),
    Column("NLL", numeric=True),
    Column("ECE (%)", numeric=True),
    Column("Dataset (split)"),
)
DEDUPLICATED = Column("Without duplicates (%)", numeric=True)

NEAREST = Column("Nearest neighbour (%)", numeric=True)
"""The last column, where it was measured."""


def accuracy(evidence: Evidence) -> Section:
    """A table for each comparison, grouped by images per class so that models stand side by side."""
    blocks: list[Block] = [
        Prose(
            "Mean ± standard deviation over n replicates, on the test split. These describe what was "
            "measured; they are not intervals. Per class is the mean of the accuracies of the classes, NLL "
            "the mean negative log-likelihood in nats, ECE the expected calibration error over 15 bins. A "
            "diverged trial is scored as guessing, and has no ECE. Without duplicates is the accuracy on "
            "the test "
            "images that have no near-duplicate in the training images, where the dataset is known to have "
            "some."
        )
    ]
    fallen = in_words(regimes(evidence.cells))
    for comparison in evidence.suite.comparisons:
        name = comparison.name
        here = [cell for cell in evidence.cells if cell.comparison == name]
        blocks.append(Heading(name))
        if comparison.unmatched:
            blocks.append(Prose(f"Unmatched: {comparison.unmatched}"))
        baselines = any(cell.nearest.n for cell in here)
        if baselines:
            blocks.append(Prose(_without_training(evidence, here)))
        doubled = any(cell.scores["top1_deduplicated"].n for cell in here)
        first_of_size: dict[int | None, int] = {}
        for index, cell in enumerate(here):
            first_of_size.setdefault(cell.shots, index)
        blocks += [Prose(text) for text in fallen if f" in {name} " in text]
        blocks.append(
            Table(
                name=f"accuracy-{slug(name)}",
                caption=f"Accuracy in {name}, {comparison.input_size} px.",
                columns=(*COLUMNS, *[DEDUPLICATED] * doubled, *[NEAREST] * baselines),
                rows=tuple(
                    _row(evidence, cell, doubled=doubled)
                    + ((Field(cell.nearest.as_percent()[0]),) if baselines else ())
                    for cell in here
                ),
                groups=frozenset(first_of_size.values()),
                runs=tuple(dict.fromkeys(run for cell in here for run in cell.runs)),
            )
        )
        blocks += networks(evidence, name, here)
    return Section("accuracy", "Accuracy", (*blocks, *brought(evidence)))


def _without_training(evidence: Evidence, here: list[Cell]) -> str:
    """What needs no training, on the same images."""
    records = [evidence.records[run] for cell in here for run in cell.runs]
    made = [base for record in records if (base := evidence.training.baseline(record))]
    majority = sorted({percent(base.majority_top1) for base in made}, key=float)
    return (
        f"Without any training: chance is {percent(made[0].chance_top1)} %, always answering the most "
        f"frequent class of the training images {' to '.join(dict.fromkeys((majority[0], majority[-1])))} %, "
        "and the class of the nearest training image in raw pixels what the last column says. A model that "
        'one of them beats is marked "not trained", and no statement about its architecture rests on it.'
    )


def _row(evidence: Evidence, cell: Cell, *, doubled: bool) -> tuple[Field, ...]:
    done = len(cell.runs)
    names = ("top1", "mean_per_class", "ece", "top1_deduplicated")
    percents = {name: cell.scores[name].as_percent() for name in names}
    more = (_score(*percents["top1_deduplicated"]),) if doubled else ()
    return (
        Field(subset(cell.shots, cell.images_per_class)),
        Field(cell.title, look=evidence.looks[cell.contestant]),
        _score(*percents["top1"]),
        Field(count(done) if done == cell.planned else f"{done} of {cell.planned}"),
        Field(cell.pretraining or NOT_MEASURED),
        Field(f"{cell.recipe} ({cell.protocol})" if cell.protocol else cell.recipe),
        Field(notes=cell.notes),
        _score(*percents["mean_per_class"]),
        _score(*cell.scores["nll"].as_decimal()),
        _score(*percents["ece"]),
        Field(cell.split),
        *more,
    )


def _score(mean: str, spread: str) -> Field:
    return Field(mean, spread=plus_minus(spread))

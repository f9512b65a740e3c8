"""Flags: what a reader must know of a cell or of a contrast, and the words for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from bench.analysis.statistics import MIN_REPLICATES
from bench.spec.search import values_text

if TYPE_CHECKING:
    from bench.analysis.cells import Cell
    from bench.store.records.trials import Result


class Flag(Enum):
    """Each flag as a format string; where there is a second, it is the shorter one of tables."""

    NOT_TRAINED = "not trained: {reason}"
    DIVERGED = (
        "{diverged} of {runs} runs of {title} diverged, at chance",
        "{diverged} of {runs} diverged, at chance",
    )
    NO_PAIR = "not measured: no replicate with predictions of both"
    FEW_REPLICATES = f"fewer than {MIN_REPLICATES} replicates: no interval"
    FEW_PAIRS = "{replicates} common {noun}: {lacking}"
    IMAGES_ONLY = "one deterministic run of each: the interval is over test images alone"
    LOOKS = "judged after {replicates} of at most {most} replicates"
    MORE_REPLICATES = (
        "{replicates} replicates, the suite asks for {asked}: its verdict holds if all were planned",
        "more replicates than the suite asks for",
    )
    WHOLE_SPLIT = "the whole training split: no spread over draws"
    UNMATCHED_PRETRAINING = "unmatched pretraining: {both}", "unmatched pretraining"
    UNMATCHED_RECIPE = "unmatched recipe: {both}"
    MIXED_PRECISION = "mixed precision: {both}", "{own}"
    UNMATCHED_WIDTH = "unmatched feature width: {both}"
    NO_FLOPS = "FLOPs not measured"
    UNMATCHED_FLOPS = "{title} costs {ratio:.1f} times the FLOPs"
    UNMATCHED_PARAMETERS = "{title} has {ratio:.1f} times the parameters"
    UNMATCHED_BUDGET = "{title} was trained on {ratio:.1f} times the images"
    UNMATCHED = "unmatched: {what}", "unmatched"
    VAL_ORACLE = "val-oracle: chosen with more labels than the subset has", "val-oracle"
    BEST_VAL = "best epoch by val"
    SEARCH_EDGE = (
        "{title}: what was chosen ends the range searched ({values})",
        "at the end of the range searched",
    )
    NOT_VERIFIED = "copy not verified"
    TEST_IN_TRAIN = "{repeated} of {images} test images are also in train"
    TWO_LABELS = "{images} images have two labels"
    NO_CARD = "no model card"

    def __init__(self, text: str, short: str | None = None) -> None:
        self.text = text
        self.short = text if short is None else short

    def __call__(self, **values: Any) -> "Note":
        """The flag of one cell or contrast, with the values that its text names."""
        return Note(self, values)


@dataclass(frozen=True)
class Note:
    """A flag with its values; as a string it is a whole note."""

    flag: Flag
    values: dict[str, Any]

    def __str__(self) -> str:
        return self.flag.text.format(**self.values)

    @property
    def short(self) -> str:
        """The note of a table."""
        return self.flag.short.format(**self.values)


def flags_of_cell(
    cell: "Cell", comparison: "Sequence[Cell]", unmatched: str, untrained: str | None
) -> list[Note]:
    """The flags of a cell's average.

    Args:
        comparison: all cells of the same comparison.
        unmatched: what the suite says is not matched in it.
        untrained: why its networks do not count as trained; None where they do.
    """
    records, n = cell.records, len(cell.records)
    notes = [Flag.NOT_TRAINED(reason=untrained)] if untrained else []
    if cell.diverged:
        notes.append(Flag.DIVERGED(diverged=cell.diverged, runs=n, title=cell.title))
    if 0 < n < MIN_REPLICATES:
        notes.append(Flag.FEW_REPLICATES())
    if cell.shots is not None and n > 1 and not cell.drawn:
        notes.append(Flag.WHOLE_SPLIT())
    notes += flags_of_search([cell])
    notes += flags_of_runs(records)
    pretraining = dict.fromkeys(other.pretraining for other in comparison if other.pretraining)
    if len(pretraining) > 1:
        notes.append(Flag.UNMATCHED_PRETRAINING(both=" against ".join(pretraining)))
    elif unmatched:
        notes.append(Flag.UNMATCHED(what=unmatched))
    every = dict.fromkeys(record.identity.precision for other in comparison for record in other.records)
    if n and len(every) > 1:
        own = dict.fromkeys(record.identity.precision for record in records)
        notes.append(Flag.MIXED_PRECISION(both=" against ".join(every), own=" / ".join(own)))
    return notes


def flags_of_search(cells: "Sequence[Cell]") -> list[Note]:
    """The flags of how recipe values of some cells were chosen."""
    notes = [Flag.VAL_ORACLE()] if any(cell.more_labels for cell in cells) else []
    for cell in cells:
        if cell.search is not None and cell.search.edge is not None:
            values = values_text(cell.search.chosen or {})
            notes.append(Flag.SEARCH_EDGE(title=cell.title, values=values))
    return notes


def flags_of_runs(records: "Iterable[Result]") -> list[Note]:
    """The flags of any of these trials: how they were chosen, and what is wrong with their data."""
    records = list(records)
    selections = {record.selection for record in records}
    notes = [Flag.VAL_ORACLE()] if "val-oracle" in selections else []
    notes += [Flag.BEST_VAL()] if "best-val" in selections else []
    if any(record.data.data_copy == "copy not verified" for record in records):
        notes.append(Flag.NOT_VERIFIED())
    for data in (record.data for record in records):
        if repeated := data.overlap.get("test_in_train"):
            notes.append(Flag.TEST_IN_TRAIN(repeated=repeated, images=data.test_images))
        if unsure := data.overlap.get("two_labels"):
            notes.append(Flag.TWO_LABELS(images=unsure))
    if any(not record.model.carded for record in records):
        notes.append(Flag.NO_CARD())
    return [note for at, note in enumerate(notes) if note not in notes[:at]]

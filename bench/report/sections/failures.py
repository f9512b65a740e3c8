"""Where each model fails: accuracy by class, and the classes that are taken for one another."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.files import slug
from bench.report.blocks import Column, Flow, Heading, Section, Table, number
from bench.report.cells import Cell, notes_sentence
from bench.report.evidence import Evidence
from bench.report.text import percent, points, size_phrase

TITLE = "Where each model fails"
SHOWN = 5


@dataclass(frozen=True)
class Confusions:
    """What the networks of a cell take the test images of each class for.

    Attributes:
        counts: how many images of each class (row) were taken for each class (column), over all replicates
            (C, C).
        images: test images of each class (C,).
        names: the classes as the store names them, or by their numbers.
    """

    cell: Cell
    counts: np.ndarray
    images: np.ndarray
    names: list[str]


def failures(evidence: Evidence) -> Section:
    """For the largest subset of each comparison: its primary pairs by class, and each model's confusions."""
    measured = [(one, largest_measured(evidence, one.name)) for one in evidence.suite.comparisons]
    return Section.measured(
        "failures",
        TITLE,
        "Of the largest subset of each comparison, over the test images of all finished replicates. They "
        "describe the networks that were trained; they are not verdicts, and among many classes some differ "
        "by chance. A class whose name the store does not have is given by its number, from 0.",
        (_comparison(evidence, one.name, one.contrasts, members) for one, members in measured if members),
    )


def largest_measured(evidence: Evidence, name: str) -> dict[str, Confusions]:
    """The contestants of a comparison on its largest subset that has predictions."""
    cells = evidence.cells_of(name)
    for shots in reversed(list(dict.fromkeys(cell.shots for cell in cells))):
        members = [_confusions(evidence, cell) for cell in cells if cell.shots == shots]
        if any(members):
            return {one.cell.contestant: one for one in members if one}
    return {}


def _comparison(
    evidence: Evidence, name: str, pairs: list[list[str]], members: dict[str, Confusions]
) -> Iterator[Flow]:
    first = next(iter(members.values())).cell
    yield Heading(f"{name}, {size_phrase(first.shots, first.images_per_class)}")
    both = [(members[a], members[b]) for a, b in pairs if a in members and b in members]
    if both:
        yield _classes(name, both)
    yield _confused(evidence, name, list(members.values()))


def _confusions(evidence: Evidence, cell: Cell) -> Confusions | None:
    outputs = evidence.outputs_of(cell)
    if not outputs:
        return None
    data = evidence.records[cell.runs[0]].data
    names = evidence.store.class_names(data) or [f"class {number}" for number in range(data.classes)]
    flat = [one.labels.astype(np.int64) * data.classes + one.predicted for one in outputs]
    counts = np.bincount(np.concatenate(flat), minlength=data.classes**2)
    return Confusions(
        cell,
        counts.reshape(data.classes, data.classes),
        np.bincount(outputs[0].labels, minlength=data.classes),
        names,
    )


def per_class(confusion: np.ndarray) -> np.ndarray:
    """The accuracy of each class (C,); NaN for a class without test images."""
    total = confusion.sum(1)
    return np.divide(confusion.diagonal(), total, out=np.full(len(total), np.nan), where=total > 0)


def most_confused(confusion: np.ndarray, count: int) -> list[tuple[int, int, float]]:
    """The pairs (true class, predicted class, share of the true class's images) with the largest shares."""
    total = confusion.sum(1, keepdims=True)
    share = np.divide(confusion, total, out=np.zeros(confusion.shape), where=total > 0)
    np.fill_diagonal(share, 0)
    order = np.argsort(-share, axis=None, kind="stable")[:count]
    pairs = [divmod(int(k), len(share)) for k in order]
    return [(true, taken, float(share[true, taken])) for true, taken in pairs if share[true, taken] > 0]


def _classes(name: str, both: list[tuple[Confusions, Confusions]]) -> Table:
    rows = []
    for a, b in both:
        first, second = per_class(a.counts), per_class(b.counts)
        known = np.flatnonzero(a.images > 0)
        order = known[np.argsort(-(first - second)[known], kind="stable")]
        ends = order if len(order) <= 2 * SHOWN else np.r_[order[:SHOWN], order[-SHOWN:]]
        contrast = f"{a.cell.title} against {b.cell.title}"
        rows += [(contrast, a.names[k], float(first[k]), float(second[k]), a.images[k]) for k in ends]
    columns = (
        Column("Contrast", lambda row: row[0]),
        Column("Class", lambda row: row[1]),
        number("Difference (points)", lambda row: points(row[2] - row[3])),
        number("First model (%)", lambda row: percent(row[2])),
        number("Second model (%)", lambda row: percent(row[3])),
        number("Test images", lambda row: str(row[4])),
    )
    cells = [one.cell for pair in both for one in pair]
    caption = f"Accuracy by class in {name}: the classes on which two models differ most, either way."
    caption += notes_sentence(cells)
    runs = [run for cell in cells for run in cell.runs]
    return Table.of(f"classes-{slug(name)}", caption, columns, rows, group_by=lambda row: row[0], runs=runs)


def _confused(evidence: Evidence, name: str, members: list[Confusions]) -> Table:
    rows = [(one, *confused) for one in members for confused in most_confused(one.counts, SHOWN)]
    columns = (
        Column("Model", lambda row: evidence.cell_title(row[0].cell)),
        Column("True class", lambda row: row[0].names[row[1]]),
        Column("Taken for", lambda row: row[0].names[row[2]]),
        number("Share of the true class (%)", lambda row: percent(row[3])),
    )
    cells = [one.cell for one in members]
    caption = f"The classes that each model most often takes for another in {name}."
    caption += notes_sentence(cells)
    return Table.of(
        f"confused-{slug(name)}",
        caption,
        columns,
        rows,
        group_by=lambda row: row[0].cell.contestant,
        runs=[run for cell in cells for run in cell.runs],
    )

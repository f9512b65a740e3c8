"""Where each model fails: accuracy by class, and the classes that are taken for one another."""

import numpy as np
import pandas as pd

from bench.files import slug
from bench.report.blocks import (
    Block,
    Column,
    Field,
    Figure,
    Gallery,
    Heading,
    Prose,
    Section,
    Table,
    not_measured,
)
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.figures import canvas, finish, shortened
from bench.report.style import INK, MUTED
from bench.report.text import at_size, noted, percent, points, remark

TITLE = "Where each model fails"
SHOWN = 5
AXIS_CHARACTERS = 24
Confusion = np.ndarray


Members = dict[str, tuple[Cell, Confusion]]
"""Of one comparison and subset, by contestant."""


def failures(evidence: Evidence) -> Section:
    """For the largest subset of each comparison: its primary pairs by class, and each model's confusions."""
    blocks: list[Block] = [
        Prose(
            "Of the largest subset of each comparison, over the test images of all finished replicates. "
            "These describe the networks that were trained; they are no verdicts, and of many classes some "
            "differ by luck. A class whose name the store does not have is given by its number, from 0."
        )
    ]
    for comparison in evidence.suite.comparisons:
        if members := largest_measured(evidence, comparison.name):
            blocks += _comparison(evidence, comparison.name, comparison.contrasts, members)
    if len(blocks) == 1:
        return not_measured("failures", TITLE, "no trial of this suite has stored predictions")
    return Section("failures", TITLE, tuple(blocks))


def largest_measured(evidence: Evidence, name: str) -> Members:
    """The contestants of a comparison on its largest subset that has predictions."""
    here = [cell for cell in evidence.cells if cell.comparison == name]
    for shots in reversed(list(dict.fromkeys(cell.shots for cell in here))):
        counted = [(cell, _confusion(evidence, cell)) for cell in here if cell.shots == shots]
        found = {cell.contestant: (cell, own) for cell, own in counted if own is not None}
        if found:
            return found
    return {}


def _comparison(evidence: Evidence, name: str, pairs: list[list[str]], members: Members) -> list[Block]:
    first = next(iter(members.values()))[0]
    blocks: list[Block] = [Heading(f"{name}, {at_size(first.shots, first.images_per_class)}")]
    both = [(members[a], members[b]) for a, b in pairs if a in members and b in members]
    if both:
        blocks.append(Gallery(tuple(_figure(evidence, a, b) for a, b in both)))
        blocks.append(_classes(evidence, name, both))
    return [*blocks, _confused(evidence, name, members)]


def _confusion(evidence: Evidence, cell: Cell) -> Confusion | None:
    """How many images of each class (row) were taken for each class (column), over all replicates (C, C)."""
    read = [evidence.predictions.outputs(evidence.records[run]) for run in cell.runs]
    outputs = [found for found in read if found is not None]
    if not outputs:
        return None
    classes = evidence.records[cell.runs[0]].data.classes
    flat = [found.labels.astype(np.int64) * classes + found.predicted for found in outputs]
    return np.bincount(np.concatenate(flat), minlength=classes**2).reshape(classes, classes)


def per_class(confusion: Confusion) -> np.ndarray:
    """The accuracy of each class (C,); NaN for a class without test images."""
    total = confusion.sum(1)
    return np.divide(confusion.diagonal(), total, out=np.full(len(total), np.nan), where=total > 0)


def most_confused(confusion: Confusion, count: int) -> list[tuple[int, int, float]]:
    """The pairs (true class, predicted class, share of the true class's images) with the largest shares."""
    total = confusion.sum(1, keepdims=True)
    share = np.divide(confusion, total, out=np.zeros(confusion.shape), where=total > 0)
    np.fill_diagonal(share, 0)
    order = np.argsort(-share, axis=None, kind="stable")[:count]
    places = [divmod(int(place), len(share)) for place in order]
    return [(true, taken, float(share[true, taken])) for true, taken in places if share[true, taken] > 0]


def class_names(evidence: Evidence, cell: Cell) -> list[str]:
    """The classes as the store names them, or by their numbers."""
    data = evidence.records[cell.runs[0]].data
    return evidence.store.class_names(data) or [f"class {number}" for number in range(data.classes)]


def _class_sizes(evidence: Evidence, cell: Cell) -> np.ndarray:
    """Test images of each class (C,)."""
    records = [evidence.records[run] for run in cell.runs]
    outputs = next(found for r in records if (found := evidence.predictions.outputs(r)) is not None)
    return np.bincount(outputs.labels, minlength=records[0].data.classes)


def _classes(
    evidence: Evidence, name: str, both: list[tuple[tuple[Cell, Confusion], tuple[Cell, Confusion]]]
) -> Table:
    columns = (
        Column("Contrast"),
        Column("Class"),
        Column("Difference (points)", numeric=True),
        Column("First (%)", numeric=True),
        Column("Second (%)", numeric=True),
        Column("Test images", numeric=True),
    )
    rows: list[tuple[Field, ...]] = []
    groups: list[int] = []
    for (a, confusion_a), (b, confusion_b) in both:
        groups.append(len(rows))
        first, second = per_class(confusion_a), per_class(confusion_b)
        names = class_names(evidence, a)
        images = _class_sizes(evidence, a)
        known = np.flatnonzero(images > 0)
        order = known[np.argsort(-(first - second)[known], kind="stable")]
        ends = order if len(order) <= 2 * SHOWN else np.r_[order[:SHOWN], order[-SHOWN:]]
        for k in ends:
            rows.append(
                (
                    Field(f"{a.title} against {b.title}"),
                    Field(names[k]),
                    Field(points(float(first[k] - second[k]))),
                    Field(percent(float(first[k]))),
                    Field(percent(float(second[k]))),
                    Field(str(images[k])),
                )
            )
    caption = f"Accuracy by class in {name}: the classes on which two models differ most, either way."
    caption += remark(noted({cell.title: cell.notes for pair in both for cell, _ in pair}))
    runs = dict.fromkeys(run for pair in both for cell, _ in pair for run in cell.runs)
    return Table(f"classes-{slug(name)}", caption, columns, tuple(rows), frozenset(groups), tuple(runs))


def _confused(evidence: Evidence, name: str, members: Members) -> Table:
    columns = (
        Column("Model"),
        Column("True class"),
        Column("Taken for"),
        Column("Share of the true class (%)", numeric=True),
    )
    rows: list[tuple[Field, ...]] = []
    groups: list[int] = []
    for key, (cell, confusion) in members.items():
        groups.append(len(rows))
        names = class_names(evidence, cell)
        for true, taken, share in most_confused(confusion, SHOWN):
            title = Field(cell.title, look=evidence.looks[key])
            rows.append((title, Field(names[true]), Field(names[taken]), Field(percent(share))))
    caption = f"The classes that each model most often takes for another in {name}."
    caption += remark(noted({cell.title: cell.notes for cell, _ in members.values()}))
    runs = tuple(dict.fromkeys(run for cell, _ in members.values() for run in cell.runs))
    return Table(f"confused-{slug(name)}", caption, columns, tuple(rows), frozenset(groups), runs)


def _figure(evidence: Evidence, a: tuple[Cell, Confusion], b: tuple[Cell, Confusion]) -> Figure:
    first, second = per_class(a[1]), per_class(b[1])
    drawing, (axes,) = canvas(70)
    drawing.subplots_adjust(left=13 / 85, right=75 / 85)
    axes.axline((0, 0), slope=1, color=MUTED, linewidth=0.7)
    ahead = np.where(first > second, 0, np.where(first < second, 1, 2))
    looks = [evidence.looks[cell.contestant] for cell, _ in (a, b)]
    styles = [(look.colour, look.marker) for look in looks] + [(INK, ".")]
    for side, (colour, marker) in enumerate(styles):
        some = ahead == side
        axes.scatter(
            100 * second[some], 100 * first[some], s=11, color=colour, marker=marker, alpha=0.75, linewidths=0
        )
    lowest = 10 * np.floor(10 * np.nanmin([first, second])) - 2
    axes.set_xlim(lowest, 102)
    axes.set_ylim(lowest, 102)
    axes.set_xlabel(f"Accuracy of {shortened(b[0].title, AXIS_CHARACTERS)} (%)")
    axes.set_ylabel(f"Accuracy of {shortened(a[0].title, AXIS_CHARACTERS)} (%)")
    wins = [int((ahead == side).sum()) for side in (0, 1)]
    words = (
        f"{a[0].title} is ahead on {wins[0]} classes, {b[0].title} on {wins[1]}, of "
        f"{int(np.isfinite(first).sum())}."
    )
    return finish(
        drawing,
        f"classes-{slug(a[0].comparison)}-{slug(a[0].contestant)}-{slug(b[0].contestant)}",
        caption=f"{a[0].comparison}: accuracy of each class. {words}"
        + remark(noted({cell.title: cell.notes for cell, _ in (a, b)})),
        alt=f"Scatter plot of the accuracy of each class in {a[0].comparison}. {words}",
        data=pd.DataFrame(
            {"class": np.arange(len(first)), "name": class_names(evidence, a[0]), "a": first, "b": second}
        ),
        runs=tuple(dict.fromkeys(a[0].runs + b[0].runs)),
    )

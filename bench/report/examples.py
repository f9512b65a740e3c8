"""Example images: what one model of a primary pair gets right and the other does not. Only on request."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing
from PIL import Image

from bench.files import slug
from bench.report.blocks import Figure, Gallery, Heading, Section, flatten
from bench.report.evidence import Evidence
from bench.report.figures import MM, WIDTH, shortened
from bench.report.sections.failures import Confusions, largest_measured
from bench.store.records.trials import Result

Pictures = Callable[[Result], Callable[[int], np.ndarray]]
"""From a trial's record to a function that reads one of its test images, uint8 (h, w, 3), by position."""

COLUMNS, ROWS = 4, 2
SIDE = 96
LETTERS = 15


def with_examples(evidence: Evidence, sections: list[Section], pictures: Pictures) -> list[Section]:
    """The sections, with example images in the one on failures.

    Raises:
        InputError: the data is not what the runs were tested on.
    """
    galleries = []
    for comparison in evidence.suite.comparisons:
        members = largest_measured(evidence, comparison.name)
        for pair in comparison.contrasts:
            if set(pair) <= members.keys():
                a, b = (members[key] for key in pair)
                read = pictures(evidence.records[a.cell.runs[0]])
                galleries.append(Gallery.of(_figure(evidence, *ends, read) for ends in ((a, b), (b, a))))
    if all(gallery.empty for gallery in galleries):
        return sections
    text = (
        "Test images that every replicate of one model gets right and every replicate of the other gets "
        "wrong, spread evenly over those in the order of the split, not picked."
    )
    more = tuple(flatten((Heading("Example images"), text, galleries)))
    return [replace(s, blocks=(*s.blocks, *more)) if s.anchor == "failures" else s for s in sections]


def only_first(right: np.ndarray, other: np.ndarray, count: int) -> np.ndarray:
    """Positions of images that all of the first (R, N) and none of the other (R, N) have right.

    At most `count`, at even steps through all of them.
    """
    images = np.flatnonzero(right.all(0) & ~other.any(0))
    return images[np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)]


def _figure(
    evidence: Evidence, first: Confusions, second: Confusions, read: Callable[[int], np.ndarray]
) -> Figure | None:
    cell, other = first.cell, second.cell
    ours, theirs = evidence.outputs_of(cell), evidence.outputs_of(other)
    right, wrong = (np.stack([outputs.correct for outputs in own]) for own in (ours, theirs))
    images = only_first(right, wrong, COLUMNS * ROWS)
    if not len(images):
        return None
    true = [first.names[ours[0].labels[image]] for image in images]
    predicted = [first.names[theirs[0].predicted[image]] for image in images]
    rows = -(-len(images) // COLUMNS)
    drawing = Drawing(figsize=(WIDTH * MM, 27 * rows * MM))
    FigureCanvasAgg(drawing)
    grid = drawing.subplots(rows, COLUMNS, squeeze=False)
    drawing.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=1 - 0.24 / rows, wspace=0.08, hspace=0.42)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, label, taken_for in zip(grid.flat, images, true, predicted, strict=False):
        small = Image.fromarray(read(image))
        small.thumbnail((SIDE, SIDE))
        axes.imshow(np.asarray(small), interpolation="nearest")
        above = f"{shortened(label, LETTERS)}\nnot {shortened(taken_for, LETTERS)}"
        axes.set_title(above, size=5.5, pad=2, linespacing=1.1)
    each = "; ".join(f"{a}, taken for {b}" for a, b in zip(true, predicted, strict=True))
    return Figure(
        drawing,
        f"images-{slug(cell.comparison)}-{slug(cell.contestant)}-not-{slug(other.contestant)}",
        caption=f"{cell.comparison}: right for {cell.title}, wrong for {other.title}. Above each image its "
        f"class, and what the first replicate of {other.title} takes it for.",
        alt=f"Test images that {cell.title} gets right and {other.title} does not: {each}.",
        data=pd.DataFrame({"image": images, "true": true, "taken_for": predicted}),
        runs=cell.runs + other.runs,
    )

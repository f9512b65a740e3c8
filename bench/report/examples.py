"""Example images: what one model of a primary pair gets right and the other does not. Only on request."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing
from PIL import Image

from bench.files import slug
from bench.report.blocks import Block, Figure, Gallery, Heading, Prose, Section
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.figures import MM, WIDTH, finish
from bench.report.sections.failures import class_names, largest_measured

if TYPE_CHECKING:
    from bench.store.records import TrialRecord

Pictures = Callable[["TrialRecord"], Callable[[int], np.ndarray]]
"""From a trial's record to a function that reads one of its test images, uint8 (h, w, 3), by position."""

COLUMNS, ROWS = 4, 2
SIDE = 96
LETTERS = 15


def with_examples(evidence: Evidence, sections: list[Section], pictures: Pictures) -> list[Section]:
    """The sections, with example images in the one on failures.

    Raises:
        InputError: the data is not what the runs were tested on.
    """
    galleries: list[Gallery] = []
    for comparison in evidence.suite.comparisons:
        members = largest_measured(evidence, comparison.name)
        for a, b in comparison.contrasts:
            if a in members and b in members:
                pair = members[a][0], members[b][0]
                read = pictures(evidence.records[pair[0].runs[0]])
                drawn = [_figure(evidence, *ends, read) for ends in (pair, pair[::-1])]
                galleries.append(Gallery(tuple(figure for figure in drawn if figure)))
    blocks: list[Block] = [gallery for gallery in galleries if gallery.figures]
    if blocks:
        said = (
            "Test images that every replicate of one model gets right and every replicate of the other gets "
            "wrong, spread evenly over those in the order of the split, not picked."
        )
        blocks = [Heading("Example images"), Prose(said), *blocks]
    return [replace(s, blocks=(*s.blocks, *blocks)) if s.anchor == "failures" else s for s in sections]


def only_first(right: np.ndarray, other: np.ndarray, count: int) -> np.ndarray:
    """Positions of images that all of the first (R, N) and none of the other (R, N) have right.

    At most `count`, at even steps through all of them.
    """
    found = np.flatnonzero(right.all(0) & ~other.any(0))
    return found[np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int)]


def _figure(evidence: Evidence, cell: Cell, other: Cell, read: Callable[[int], np.ndarray]) -> Figure | None:
    ours, theirs = (
        [found for run in own.runs if (found := evidence.predictions.outputs(evidence.records[run]))]
        for own in (cell, other)
    )
    right, wrong = (np.stack([outputs.correct for outputs in own]) for own in (ours, theirs))
    places = only_first(right, wrong, COLUMNS * ROWS)
    if not len(places):
        return None
    names = class_names(evidence, cell)
    true = [names[ours[0].labels[place]] for place in places]
    taken = [names[theirs[0].predicted[place]] for place in places]
    rows = -(-len(places) // COLUMNS)
    drawing = Drawing(figsize=(WIDTH * MM, 27 * rows * MM))
    FigureCanvasAgg(drawing)
    grid = drawing.subplots(rows, COLUMNS, squeeze=False)
    drawing.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=1 - 0.24 / rows, wspace=0.08, hspace=0.42)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, place, is_, said in zip(grid.flat, places, true, taken, strict=False):
        small = Image.fromarray(read(place))
        small.thumbnail((SIDE, SIDE))
        axes.imshow(np.asarray(small), interpolation="nearest")
        axes.set_title(f"{_short(is_)}\nnot {_short(said)}", size=5.5, pad=2, linespacing=1.1)
    told = "; ".join(f"{is_}, taken for {said}" for is_, said in zip(true, taken, strict=True))
    return finish(
        drawing,
        f"images-{slug(cell.comparison)}-{slug(cell.contestant)}-not-{slug(other.contestant)}",
        caption=f"{cell.comparison}: right for {cell.title}, wrong for {other.title}. Above each image its "
        f"class, and what the first replicate of {other.title} takes it for.",
        alt=f"Test images that {cell.title} gets right and {other.title} does not: {told}.",
        data=pd.DataFrame({"image": places, "true": true, "taken_for": taken}),
        runs=tuple(dict.fromkeys(cell.runs + other.runs)),
    )


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else name[: LETTERS - 1] + "…"

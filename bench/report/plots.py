"""One figure of a report by itself, as matplotlib has it."""

from collections.abc import Callable

from matplotlib.figure import Figure as Drawing

from bench.errors import InputError, did_you_mean
from bench.report.blocks import Figure, Section, walk
from bench.report.evidence import Evidence, gather
from bench.report.sections.answer import answer
from bench.report.sections.calibration import calibration
from bench.report.sections.contrasts import contrasts
from bench.report.sections.curves import curves
from bench.report.sections.measurements import memory, speed
from bench.report.sections.scaling import scaling
from bench.report.sections.searches import searches
from bench.report.style import house_style
from bench.store.run_store import RunStore

PLOTS: dict[str, tuple[Callable[[Evidence], Section | None], str]] = {
    "calibration": (calibration, "reliability"),
    "contrasts": (contrasts, "forest"),
    "data_efficiency": (answer, "answer"),
    "learning_curves": (curves, "curves"),
    "learning_rates": (searches, "search"),
    "memory": (memory, "memory"),
    "scaling": (scaling, "scaling"),
    "throughput": (speed, "throughput"),
}
"""For each name the section that has such figures, and how the names of their files begin."""


def draw(store: RunStore, suite: str, name: str, which: str | None = None) -> Drawing:
    """A figure of the report on a suite.

    Args:
        name: of `PLOTS`.
        which: what follows in the name of the figure's file, mostly the data set or the comparison; it
            may be left out where the report has one such figure.

    Raises:
        InputError: no such suite or name; no such figure, or several of them.
    """
    if name not in PLOTS:
        raise InputError(f'no plot "{name}"{did_you_mean(name, PLOTS)} (there are {", ".join(PLOTS)})')
    section, prefix = PLOTS[name]
    with house_style():
        made = section(gather(store, suite))
    blocks = made.blocks if made else ()
    figures = {
        block.name.removeprefix(prefix).removeprefix("-"): block.drawing
        for block in walk(blocks)
        if isinstance(block, Figure) and block.name.startswith(prefix)
    }
    if not figures:
        raise InputError(f'{suite}: its report has no figure "{name}": nothing of it was measured')
    if which is None and len(figures) == 1:
        return next(iter(figures.values()))
    if which not in figures:
        wrong = "" if which is None else f' none is "{which}"{did_you_mean(which, figures)};'
        raise InputError(f'{suite}: of "{name}"{wrong} say which: {", ".join(figures)}')
    return figures[which]

"""One style for all figures: colours that colour-blind readers tell apart, markers and line styles."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.store.records.listing import Listing

INK, MUTED, GRID, PAPER = "#1d2329", "#66707a", "#dfe3e7", "#ffffff"

# Okabe and Ito (2008), with grey for yellow, which is too pale for lines on white. The second of each
# pair is its stand-in on a dark page.
SERIES = (
    ("#0072b2", "#5aa9f0"),
    ("#d55e00", "#ff8b4d"),
    ("#009e73", "#33c9a0"),
    ("#cc79a7", "#eaa0c8"),
    ("#e69f00", "#f5c04a"),
    ("#56b4e9", "#9adcff"),
    ("#1d232a", "#f1f3f5"),
    ("#8a8f94", "#a9b0b6"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", (0, (5, 1.6)), (0, (5, 1.4, 1.2, 1.4)), (0, (1.4, 1.4)), (0, (7, 1.4, 1.2, 1.4, 1.2, 1.4)))

VARIABLES = {INK: "fig-ink", MUTED: "fig-muted", GRID: "fig-grid", PAPER: "fig-paper"} | {
    light: f"series-{number}" for number, (light, _) in enumerate(SERIES)
}
"""The CSS variable that stands for each colour where a figure stands in a page."""

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": 7.0,
    "axes.labelpad": 3.0,
    "axes.linewidth": 0.6,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.size": 2.5,
    "ytick.major.size": 0.0,
    "xtick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.6,
    "figure.facecolor": PAPER,
    "figure.dpi": 200,
    "savefig.dpi": 220,
    # Whole TrueType fonts: publishers refuse the Type 3 that is matplotlib's own choice.
    "pdf.fonttype": 42,
    "svg.hashsalt": "vcbench",
}


@dataclass(frozen=True)
class Style:
    """How one contestant is drawn, everywhere in a report: `slot` is its position in the palette.

    Where several ways of training stand together, `regime` is the position of its marker and line style.
    """

    slot: int
    regime: int | None = None

    @property
    def colour(self) -> str:
        """The colour on white."""
        return SERIES[self.slot % len(SERIES)][0]

    @property
    def variable(self) -> str:
        """The CSS variable of the colour on a page."""
        return VARIABLES[self.colour]

    @property
    def _shape(self) -> int:
        return self.slot if self.regime is None else self.regime

    @property
    def marker(self) -> str:
        """The marker, in matplotlib's letters."""
        return MARKERS[self._shape % len(MARKERS)]

    @property
    def dash(self) -> Any:
        """The line style, as matplotlib takes it."""
        return DASHES[self._shape % len(DASHES)]


def assign_styles(suite: Listing) -> dict[str, Style]:
    """A style for each contestant of a suite, in the order in which its comparisons name them.

    A model has one style throughout. Where one comparison has the same model more than once (trained in
    two ways), the second of them has a style of its own, again the same in every comparison.
    """
    ranks = {key: 0 for comparison in suite.comparisons for key in comparison.contestants}
    for comparison in suite.comparisons:
        seen: dict[str, int] = {}
        for key in comparison.contestants:
            model = suite.contestants[key].model
            ranks[key] = max(ranks[key], seen.get(model, 0))
            seen[model] = seen.get(model, 0) + 1
    kinds = [(suite.contestants[key].model, rank) for key, rank in ranks.items()]
    slots = {kind: slot for slot, kind in enumerate(dict.fromkeys(kinds))}
    return {key: Style(slots[kind]) for key, kind in zip(ranks, kinds, strict=True)}


UNSTABLE = {
    "svg": ("Date", "Creator", "Format", "Type"),
    "png": ("Software",),
    "pdf": ("CreationDate", "Creator", "Producer"),
}
"""What matplotlib writes into a file of each kind that differs between two days or versions."""


def saved(drawing: Figure, kind: str) -> bytes:
    """A drawing as a file of one kind of `UNSTABLE`; equal drawings give equal bytes."""
    file = BytesIO()
    with house_style():
        drawing.savefig(file, format=kind, metadata=dict.fromkeys(UNSTABLE[kind]))
    return file.getvalue()


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's own defaults with the style on top, whatever the user's configuration says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield

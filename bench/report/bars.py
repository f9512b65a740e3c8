"""Figures of stacked horizontal bars, whose parts differ in hatching as well as in shade."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.patches import Patch

from bench.report.blocks import Figure
from bench.report.figures import WIDTH, canvas, renderer_of, shortened

BAR = 6.2  # mm, with the room between two
TITLE_CHARACTERS = 30
# Light, and none of the colours that change on a dark page, so that the hatching stands out on both.
SHADES = ("#7cc4ee", "#f0b73a", "#f3e9c9", "#3fbf97", "#dba0c0", "#a7adb3", "#e1e4e7", "#e98a4a")
EDGE = "#10151a"
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "", "----", "||||")


def bar_title(name: str, after: str) -> str:
    """A name with what tells its bars apart, which stays whole where the two are too long for a figure."""
    return shortened(name, TITLE_CHARACTERS - len(after)) + after


def stacked_bars(
    name: str,
    titles: Sequence[str],
    parts: Mapping[str, Sequence[float]],
    *,
    x_label: str,
    caption: str,
    alt: str,
    data: pd.DataFrame,
    runs: Sequence[str] = (),
    at_ends: Sequence[str] = (),
) -> Figure:
    """One bar a title, the first on top; `parts` maps a part's name to its lengths, one a bar.

    Args:
        at_ends: text to stand after each bar.
    """
    shown = {part: values for part, values in parts.items() if any(values)}
    legend_rows = -(-len(shown) // 2)
    height = BAR * len(titles) + 3.6 * legend_rows + 17
    drawing, (axes,) = canvas(height)
    left = [0.0] * len(titles)
    patches = []
    for number, (part, values) in enumerate(shown.items()):
        style: dict[str, Any] = {
            "facecolor": SHADES[number % len(SHADES)],
            "hatch": HATCHES[number % len(HATCHES)],
            "edgecolor": EDGE,
            "linewidth": 0.4,
        }
        axes.barh(range(len(titles)), values, left=left, height=0.66, **style)
        left = [a + b for a, b in zip(left, values, strict=True)]
        patches.append(Patch(label=part, **style))
    axes.set_yticks(range(len(titles)), [shortened(title, TITLE_CHARACTERS) for title in titles])
    axes.set_ylim(len(titles) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(x_label)
    axes.set_xlim(0, max(left))
    renderer = renderer_of(drawing)
    widest = max(label.get_window_extent(renderer).width for label in axes.get_yticklabels())
    margin = widest / drawing.dpi * 25.4 + 3.5
    right = 3.0
    for bar, (end, label) in enumerate(zip(left, at_ends, strict=False)):
        text = axes.annotate(
            label, (end, bar), xytext=(2, 0), textcoords="offset points", va="center", size=6.5
        )
        room = text.get_window_extent(renderer).width / drawing.dpi * 25.4 + 2
        right = max(right, room if end == max(left) else room * 0.6)
    top = 1 - (3.6 * legend_rows + 3.5) / height
    drawing.subplots_adjust(left=margin / WIDTH, right=1 - right / WIDTH, top=top, bottom=9.5 / height)
    drawing.legend(
        handles=patches,
        loc="upper left",
        bbox_to_anchor=(1 / WIDTH, 1 - 1 / height),
        ncols=2,
        frameon=False,
        fontsize=6.5,
        handlelength=1.6,
        handleheight=0.9,
        borderpad=0,
        borderaxespad=0,
        labelspacing=0.35,
        columnspacing=1.2,
    )
    return Figure(drawing, name, caption=caption, alt=alt, data=data, runs=runs)


def shares_sentence(titles: Sequence[str], parts: Mapping[str, Sequence[float]]) -> str:
    """The parts of each bar in percent, as text; parts of nothing are left out."""
    return "; ".join(
        f"{title}: " + ", ".join(f"{part} {values[k]:.0f} %" for part, values in parts.items() if values[k])
        for k, title in enumerate(titles)
    )

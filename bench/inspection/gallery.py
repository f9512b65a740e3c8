"""`vcbench inspect`: all pictures of a network and an image, as files and on one page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from bench.files import write_bytes, write_text
from bench.frames import for_csv
from bench.inspection.loading import RANDOM
from bench.inspection.pictures import attention, evidence, journey, layers, likeness, sequence
from bench.inspection.probes import Probes
from bench.inspection.tokens import NotShown
from bench.inspection.view import View
from bench.report.blocks import Figure, Table
from bench.report.style import SERIES, house_style
from bench.report.writers.fill import environment
from bench.report.writers.html import inline

PAGES = environment(Path(__file__).parent / "templates", inline=inline)
"""The templates of this package, with those of reports beside them."""

Picture = Figure | Table
# What is drawn of each network, by section, in the order of the page: a name and a function.
OF_ONE: dict[str, dict[str, Callable[[View], Picture]]] = {
    "From pixels to tokens": {
        "the image cut into patches": sequence.patches,
        "the sequence of tokens": sequence.sequence,
        "similarity of position embeddings": sequence.positions,
        "the steps": sequence.steps,
    },
    "What the layers respond to": {
        "the first filters": layers.first_filters,
        "feature maps": layers.feature_maps,
    },
    "Attention": {
        "attention of the class token": attention.from_class_token,
        "attention of a patch": attention.from_patch,
        "attention matrices": attention.matrices,
        "attention rollout": attention.rolled_out,
        "attention distance": attention.reach,
    },
    "From block to block": {"logits read off early": journey.early_logits},
}
TOGETHER: dict[str, Callable[[Sequence[View]], Figure]] = {
    "class evidence": evidence.class_evidence,
    "occlusion": evidence.occluded,
    "receptive fields": layers.fields,
    "likeness of layers (CKA)": likeness.alike,
}
LAST = "Evidence, receptive fields, likeness of layers"


@dataclass
class Section:
    """Pictures under a heading."""

    title: str
    pictures: list[Picture] = field(default_factory=list)


@dataclass
class Gallery:
    """All pictures of one or two networks and an image.

    Attributes:
        sections: with their pictures; empty ones are left out.
        left_out: what a network does not have, and why, a line each.
    """

    views: Sequence[View]
    sections: list[Section]
    left_out: list[str]

    @property
    def pictures(self) -> list[Picture]:
        """All of them, in order."""
        return [picture for section in self.sections for picture in section.pictures]

    @property
    def title(self) -> str:
        """Of the page."""
        return "Inside " + " and ".join(view.model.title for view in self.views)

    def __getitem__(self, name: str) -> Picture:
        """A picture by its name, or by the end of it where only one has it ("attention-class").

        Raises:
            KeyError: none has it, or several.
        """
        named = [one for one in self.pictures if one.name == name or one.name.endswith(f"-{name}")]
        if len(named) != 1:
            raise KeyError(f"{name}: {len(named)} pictures; there are {[one.name for one in self.pictures]}")
        return named[0]

    def html(self, *, files: bool = False) -> str:
        """The page: style and figures in one file; with links to the `files` beside it."""
        return PAGES.get_template("gallery.html").render(gallery=self, files=files)

    def write(self, out: str | Path, *, page_only: bool = False) -> Path:
        """Write the page index.html, and of each picture PNG, SVG and the numbers as CSV unless `page_only`;
        returns the page.

        Raises:
            StoreError: the folder cannot be written.
        """
        folder = Path(out)
        for picture in () if page_only else self.pictures:
            if isinstance(picture, Figure):
                write_bytes(folder / f"{picture.name}.png", picture.png)
                write_text(folder / f"{picture.name}.svg", picture.svg)
            write_text(folder / f"{picture.name}.csv", _csv(picture))
        write_text(folder / "index.html", self.html(files=not page_only))
        return folder / "index.html"


def draw(
    views: Sequence[View], probes: Probes | None = None, progress: Callable[[str], None] = lambda _: None
) -> Gallery:
    """Draw all pictures of one network or two.

    Args:
        probes: fits probes at every depth; None leaves that picture out.
        progress: is given the name of each picture before it is drawn.

    Raises:
        InputError: no such class or patch.
    """
    missing: dict[tuple[str, str], list[str]] = {}

    def of(drawn: Sequence[View], name: str, make: Callable[[], Picture]) -> list[Picture]:
        progress(name)
        title = " and ".join(view.model.title for view in drawn)
        try:
            with house_style():
                picture = make()
                untrained = [view.model.card.title for view in drawn if view.model.is_random]
                if untrained and isinstance(picture, Figure):
                    text = f"{RANDOM}: {', '.join(untrained)}"
                    picture.drawing.text(0.004, 0.997, text, size=5, va="top", color=SERIES[1][0])
                return [picture]
        except NotShown as reason:
            missing.setdefault((title, str(reason)), []).append(name)
            return []

    sections = []
    for heading, wanted in OF_ONE.items():
        section = Section(heading)
        for name, function in wanted.items():
            for view in views:
                section.pictures += of([view], name, partial(function, view))
        if heading == "From block to block" and probes is not None:
            section.pictures += of(views, "probes", partial(journey.probed, views, probes))
        sections.append(section)
    last = Section(LAST)
    for name, together in TOGETHER.items():
        last.pictures += of(views, name, partial(together, views))
    sections.append(last)
    left_out = [f"{title}: {', '.join(names)}: {reason}." for (title, reason), names in missing.items()]
    if probes is None:
        left_out.append("Probes after each block: they need a dataset (--dataset NAME).")
    return Gallery(views, [section for section in sections if section.pictures], left_out)


def _csv(picture: Picture) -> str:
    if isinstance(picture, Table):
        titles = [column.title for column in picture.columns]
        frame = pd.DataFrame([[cell.text for cell in row] for row in picture.rows], columns=titles)
    else:
        frame = picture.data
    text: str = for_csv(frame).to_csv(index=False, lineterminator="\n")
    return text

"""Complementarity: whether two models fail on different images, and what averaging them gains."""

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bench.analysis.complementarity import Kind, Network, Pairing, pairings
from bench.analysis.contrasts import Finding
from bench.analysis.ensembles import AVERAGED, Ensembles
from bench.analysis.match import UNMATCHED_FLOPS, Standing
from bench.files import slug
from bench.report.blocks import Block, Column, Field, Figure, Gallery, Heading, Prose, Section, Table
from bench.report.blocks import not_measured as nothing_measured
from bench.report.evidence import Evidence
from bench.report.figures import MM, WIDTH, canvas, finish, one_line, shortened
from bench.report.style import INK, Look
from bench.report.text import NOT_MEASURED, percent, subset
from bench.report.verdicts import pair_name, short_notes

TITLE = "Complementarity"
ROW = 3.6
HEAD = 1.2
LEGEND_CHARACTERS = 36
COLUMNS = (
    Column("Images per class", numeric=True),
    Column("Pair"),
    Column("Shared errors (%)", numeric=True),
    Column("At most (%)", numeric=True),
    Column("Shared by two runs of the first (%)", numeric=True),
    Column("Shared by two of the second (%)", numeric=True),
    Column("One alone (%)", numeric=True),
    Column("Average of both (%)", numeric=True),
    Column("Average of two runs of the first (%)", numeric=True),
    Column("Average of two of the second (%)", numeric=True),
    Column("Oracle (%)", numeric=True),
    Column("Single model of the pair's FLOPs (%)", under="Pair", label="single model of the pair's FLOPs: "),
    Column("n", numeric=True),
    Column("Notes", under="Pair"),
)
TWO: Kind = "a + b"
TWINS_A: Kind = "a + a"
TWINS_B: Kind = "b + b"


@dataclass(frozen=True)
class Complement:
    """The pairings of one contrast on one subset by their kind, and the `runs` behind them."""

    finding: Finding
    found: dict[Kind, Pairing]
    replicates: int
    runs: tuple[str, ...]

    @property
    def two(self) -> Pairing:
        """The pair of different models, from different replicates where there are two."""
        return self.found.get(TWO) or self.found["a + b, same replicate"]

    def shared(self, kind: Kind) -> float:
        """Shared errors of a kind of pair; missing where there is none."""
        pairing = self.two if kind == TWO else self.found.get(kind)
        return np.nan if pairing is None or pairing.error_overlap is None else pairing.error_overlap


def complementarity(evidence: Evidence) -> Section:
    """A figure and a table for each comparison that declares contrasts."""
    ensembles = Ensembles(evidence.store, evidence.predictions)
    complements = [found for f in evidence.findings if (found := _complement(evidence, ensembles, f))]
    if not complements:
        return nothing_measured("complementarity", TITLE, "no contrast has stored predictions of both models")
    standing = Standing(evidence.suite, evidence.cells, evidence.cost)
    blocks: list[Block] = [
        Prose(
            "Shared errors: of the test images that at least one of two networks got wrong, the share that "
            "both did. Two networks of unequal accuracy cannot share all: at most is the share if the errors "
            "of one were all errors of the other as well. Oracle: the accuracy of always picking the right "
            "one of the two; a bound, not a method. Average: the accuracy of the mean of the two networks' "
            "probabilities. Averaging any two networks helps, so two models stand beside two runs of one "
            "model: all of these pairs are of different replicates, which on subsets saw different training "
            "images too. A pair costs what both of its models cost. These numbers describe the networks that "
            f"were trained, of at most the first {AVERAGED} replicates; diverged runs are left out. n counts "
            "replicates; with one there are no twins, and the two models are from the same replicate."
        )
    ]
    for name, group in groupby(complements, key=lambda found: found.finding.pair.comparison):
        members = list(group)
        blocks.append(Heading(name))
        if any(_drawn(found) for found in members):
            blocks.append(Gallery((_figure(evidence, name, members),)))
        blocks.append(_table(evidence, standing, name, members))
    return Section("complementarity", TITLE, tuple(blocks))


def _complement(evidence: Evidence, ensembles: Ensembles, finding: Finding) -> Complement | None:
    both = [
        pair
        for pair in zip(finding.runs_a, finding.runs_b, strict=True)
        if all(evidence.predictions.outputs(evidence.records[run]) is not None for run in pair)
    ][:AVERAGED]
    if not both:
        return None
    runs = dict(zip("ab", zip(*both, strict=True), strict=True))
    correct = {
        side: np.stack([evidence.predictions.known(evidence.records[run]).correct for run in own])
        for side, own in runs.items()
    }

    def averaged(one: Network, other: Network) -> float | None:
        return ensembles.top1(*(evidence.records[runs[side][place]] for side, place in (one, other)))

    found = {pairing.kind: pairing for pairing in pairings(correct["a"], correct["b"], averaged)}
    return Complement(finding, found, len(both), runs["a"] + runs["b"])


def _table(evidence: Evidence, standing: Standing, name: str, members: list[Complement]) -> Table:
    names = [pair_name(found.finding) for found in members]
    starts = frozenset(i for i, own in enumerate(names) if not i or own != names[i - 1])
    rows = tuple(_row(evidence, standing, found) for found in members)
    caption = f"Complementarity of the models in {name}, on the test split: means over pairs of networks."
    runs = tuple(dict.fromkeys(run for found in members for run in found.runs))
    return Table(f"complementarity-{slug(name)}", caption, COLUMNS, rows, starts, runs)


def _row(evidence: Evidence, standing: Standing, found: Complement) -> tuple[Field, ...]:
    finding = found.finding
    twins = [found.found.get(kind) for kind in (TWINS_A, TWINS_B)]
    return (
        Field(subset(finding.pair.shots, finding.images_per_class)),
        Field(" and ".join(finding.titles)),
        Field(_or_none(found.two.error_overlap)),
        Field(_or_none(found.two.largest_overlap)),
        *(Field(percent(found.shared(kind))) for kind in (TWINS_A, TWINS_B)),
        Field(percent(found.two.members)),
        *(Field(_averaged(pairing)) for pairing in (found.two, *twins)),
        Field(percent(found.two.oracle)),
        Field(_single(evidence, standing, finding)),
        Field(str(found.replicates)),
        Field(notes=short_notes(finding)),
    )


def _or_none(share: float | None) -> str:
    """Networks without errors share none."""
    return "no errors" if share is None else percent(share)


def _averaged(pairing: Pairing | None) -> str:
    return NOT_MEASURED if pairing is None or pairing.ensemble is None else percent(pairing.ensemble)


def _single(evidence: Evidence, standing: Standing, finding: Finding) -> str:
    """The accuracy of a model of the same comparison and subset that costs what both of the pair cost."""
    pair = finding.pair
    flops = [standing.flops(pair.comparison, key) for key in (pair.a, pair.b)]
    both = sum(filter(None, flops))
    if None in flops:
        return NOT_MEASURED
    named = []
    for cell in evidence.cells:
        own = standing.flops(cell.comparison, cell.contestant)
        here = (cell.comparison, cell.shots) == (pair.comparison, pair.shots) and cell.runs
        if here and own and 1 / UNMATCHED_FLOPS <= own / both <= UNMATCHED_FLOPS:
            named.append(f"{cell.title}: {percent(cell.scores['top1'].mean)}")
    return "; ".join(named) or NOT_MEASURED


def _figure(evidence: Evidence, name: str, members: list[Complement]) -> Figure:
    lost = [found.finding for found in members if found.finding.untrained]
    members = [found for found in members if _drawn(found)]
    pairs = list(dict.fromkeys(pair_name(found.finding) for found in members))
    rows = len(members) + HEAD * len(pairs)
    looks = {
        title: evidence.looks[key]
        for found in members
        for title, key in zip(found.finding.titles, (found.finding.pair.a, found.finding.pair.b), strict=True)
    }
    lines = 2 + len(looks)
    drawing, (axes,) = canvas(ROW * rows + 12 + 3 * lines, below=10)
    top = 1 - (3 * lines + 2) * MM / drawing.get_figheight()
    drawing.subplots_adjust(left=20 / WIDTH, top=top)
    place, ticks = 0.0, []
    for pair in pairs:
        own = [found for found in members if pair_name(found.finding) == pair]
        words = one_line(own[0].finding.titles, " and ")
        axes.annotate(
            words, (0, place), (2, 0), ("axes fraction", "data"), "offset points", va="center", size=6.5
        )
        for found in own:
            place += 1
            finding = found.finding
            for kind, key in ((TWINS_A, finding.pair.a), (TWINS_B, finding.pair.b)):
                _mark(axes, found.shared(kind), place, evidence.looks[key])
            most = np.nan if found.two.largest_overlap is None else found.two.largest_overlap
            axes.plot([100 * most], [place], "|", color=INK, markersize=6.5, markeredgewidth=0.9)
            axes.plot([100 * found.shared(TWO)], [place], "D", color=INK, markersize=3.6, zorder=3)
            ticks.append((place, subset(finding.pair.shots, finding.images_per_class)))
        place += HEAD
    axes.set_ylim(place - 0.4, -0.7)
    axes.set_yticks([at for at, _ in ticks], [words for _, words in ticks])
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.06)
    axes.set_xlabel("Shared errors (% of the images that either got wrong)")
    middle = sum(axes.get_position().intervaly) / 2
    drawing.text(1.5 / WIDTH, middle, "Images per class", rotation=90, va="center", size=7)
    black: dict[str, Any] = {"color": INK, "linestyle": "none"}
    handles = [
        Line2D([], [], marker="D", markersize=3.6, label="the two models", **black),
        Line2D([], [], marker="|", markersize=6.5, label="the most that they could share", **black),
    ]
    handles += [
        Line2D(
            [],
            [],
            marker=look.marker,
            color=look.colour,
            linestyle="none",
            label=f"two runs of {shortened(title, LEGEND_CHARACTERS)}",
        )
        for title, look in looks.items()
    ]
    drawing.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(18 / WIDTH, 1.0),
        frameon=False,
        fontsize=6.5,
        handletextpad=0.2,
        labelspacing=0.25,
    )
    return finish(
        drawing,
        f"complementarity-{slug(name)}",
        caption=f"{name}: how often two networks fail on the same test images: of the two models, and of two "
        "runs of each. The bar is the most that the two models could share, given their accuracies."
        + "".join(
            f" Not drawn: {pair_name(f)} at {subset(f.pair.shots, f.images_per_class)}, as not both were "
            f"trained ({'; '.join(f.untrained)})."
            for f in lost
        ),
        alt=_in_words(name, members),
        data=_data(members),
        runs=tuple(dict.fromkeys(run for found in members for run in found.runs)),
    )


def _drawn(found: Complement) -> bool:
    """Whether there are two runs of each model to compare with, and both models were trained."""
    return found.replicates > 1 and not found.finding.untrained


def _mark(axes: Axes, value: float, place: float, look: Look) -> None:
    axes.plot([100 * value], [place], marker=look.marker, color=look.colour, linestyle="none", markersize=3.8)


def _data(members: list[Complement]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "comparison": found.finding.pair.comparison,
            "images_per_class": found.finding.images_per_class,
            "a": found.finding.pair.a,
            "b": found.finding.pair.b,
            "kind": kind,
            "pairs": pairing.pairs,
            "error_overlap": pairing.error_overlap,
            "largest_overlap": pairing.largest_overlap,
            "both_wrong": pairing.both_wrong,
            "oracle": pairing.oracle,
            "members": pairing.members,
            "ensemble": pairing.ensemble,
        }
        for found in members
        for kind, pairing in found.found.items()
    )


def _in_words(name: str, members: list[Complement]) -> str:
    parts = [
        f"{' and '.join(found.finding.titles)} at "
        f"{subset(found.finding.pair.shots, found.finding.images_per_class)}: "
        f"{percent(found.shared(TWO))} % together, {percent(found.shared(TWINS_A))} % and "
        f"{percent(found.shared(TWINS_B))} % of two runs of each"
        for found in members
    ]
    return f"Dot plot of shared errors in {name}. {'. '.join(parts)}."

"""Complementarity: whether two models fail on different images, and what averaging them gains."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from bench.analysis.complementarity import Kind, Network, Pairing, pairings
from bench.analysis.contrasts import Finding
from bench.analysis.ensembles import AVERAGED, Ensembles
from bench.analysis.match import UNMATCHED_FLOPS
from bench.files import slug
from bench.report.blocks import Column, Figure, Flow, Gallery, Heading, Section, Table, number
from bench.report.evidence import Evidence
from bench.report.figures import MM, WIDTH, canvas, one_line, rows_under_headings, shortened
from bench.report.sections.columns import FINDING_SIZE, finding_notes, finding_size
from bench.report.style import INK
from bench.report.text import NOT_MEASURED, percent
from bench.report.verdicts import pair_name

TITLE = "Complementarity"
ROW, GAP = 3.6, 1.2
"""Heights: of a row in mm, between two pairs in rows."""
LEGEND_CHARACTERS = 36
TWO: Kind = "a + b"
TWINS_A: Kind = "a + a"
TWINS_B: Kind = "b + b"


@dataclass(frozen=True)
class Complement:
    """The pairings of one contrast on one subset by their kind, and the `runs` behind them."""

    finding: Finding
    pairings: dict[Kind, Pairing]
    replicates: int
    runs: tuple[str, ...]

    @property
    def two(self) -> Pairing:
        """The pair of different models, from different replicates where there are two."""
        return self.pairings.get(TWO) or self.pairings["a + b, same replicate"]

    @property
    def drawn(self) -> bool:
        """Whether there are two runs of each model to compare with, and both models were trained."""
        return self.replicates > 1 and not self.finding.untrained

    def shared(self, kind: Kind) -> float:
        """Shared errors of a kind of pair; missing where there is none."""
        pairing = self.two if kind == TWO else self.pairings.get(kind)
        return np.nan if pairing is None or pairing.error_overlap is None else pairing.error_overlap

    def averaged(self, kind: Kind) -> str:
        """The accuracy of averaging a kind of pair, in percent."""
        pairing = self.two if kind == TWO else self.pairings.get(kind)
        return NOT_MEASURED if pairing is None else percent(pairing.ensemble)


def complementarity(evidence: Evidence) -> Section:
    """A figure and a table for each comparison that declares contrasts."""
    ensembles = Ensembles(evidence.store, evidence.predictions)
    complements = [one for f in evidence.findings if (one := _complement(evidence, ensembles, f))]
    if not complements:
        return Section.not_measured(
            "complementarity", TITLE, "no contrast has stored predictions of both models"
        )
    groups = groupby(complements, key=lambda one: one.finding.pair.comparison)
    return Section.of(
        "complementarity",
        TITLE,
        "Shared errors: of the test images that at least one of two networks got wrong, the share that both "
        "did. Two networks of unequal accuracy cannot share all: at most is the share if the errors of one "
        "were all errors of the other as well. Oracle: the accuracy of always picking the right one of the "
        "two; a bound, not a method. Average: the accuracy of the mean of the two networks' probabilities. "
        "Averaging any two networks helps, so two models stand beside two runs of one model: all of these "
        "pairs are of different replicates, which on subsets saw different training images too. A pair costs "
        "what both of its models cost. These numbers describe the networks that were trained, of at most the "
        f"first {AVERAGED} replicates; diverged runs are left out. n counts replicates; with one there are "
        "no twins, and the two models are from the same replicate.",
        (_comparison(evidence, name, list(members)) for name, members in groups),
    )


def _comparison(evidence: Evidence, name: str, members: list[Complement]) -> Iterator[Flow]:
    yield Heading(name)
    if any(one.drawn for one in members):
        yield Gallery.of([_figure(evidence, name, members)])
    yield _table(evidence, name, members)


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
        return ensembles.top1(*(evidence.records[runs[side][k]] for side, k in (one, other)))

    by_kind = {pairing.kind: pairing for pairing in pairings(correct["a"], correct["b"], averaged)}
    return Complement(finding, by_kind, len(both), runs["a"] + runs["b"])


def _table(evidence: Evidence, name: str, members: list[Complement]) -> Table:
    single = "single model of the pair's FLOPs"
    columns = (
        FINDING_SIZE.on(lambda one: one.finding),
        Column("Pair", lambda one: " and ".join(one.finding.titles)),
        number("Shared errors (%)", lambda one: _or_none(one.two.error_overlap)),
        number("At most (%)", lambda one: _or_none(one.two.largest_overlap)),
        number("Shared by two runs of the first (%)", lambda one: percent(one.shared(TWINS_A))),
        number("Shared by two of the second (%)", lambda one: percent(one.shared(TWINS_B))),
        number("One alone (%)", lambda one: percent(one.two.members)),
        number("Average of both (%)", lambda one: one.averaged(TWO)),
        number("Average of two runs of the first (%)", lambda one: one.averaged(TWINS_A)),
        number("Average of two of the second (%)", lambda one: one.averaged(TWINS_B)),
        number("Oracle (%)", lambda one: percent(one.two.oracle)),
        Column(
            f"{single[0].upper()}{single[1:]} (%)",
            lambda one: _single(evidence, one.finding),
            under="Pair",
            label=f"{single}: ",
        ),
        number("n", lambda one: str(one.replicates)),
        finding_notes(under="Pair").on(lambda one: one.finding),
    )
    return Table.of(
        f"complementarity-{slug(name)}",
        f"Complementarity of the models in {name}, on the test split: means over pairs of networks.",
        columns,
        members,
        group_by=lambda one: pair_name(one.finding),
        runs=lambda one: one.runs,
    )


def _or_none(share: float | None) -> str:
    """Networks without errors share none."""
    return "no errors" if share is None else percent(share)


def _single(evidence: Evidence, finding: Finding) -> str:
    """The accuracy of a model of the same comparison and subset that costs what both of the pair cost."""
    pair = finding.pair
    flops = [evidence.match.flops(pair.comparison, key) for key in (pair.a, pair.b)]
    both = sum(filter(None, flops))
    if None in flops:
        return NOT_MEASURED
    as_dear = []
    for cell in evidence.cells_of(pair.comparison):
        own = evidence.match.flops(cell.comparison, cell.contestant)
        same_size = cell.shots == pair.shots and cell.runs
        if same_size and own and 1 / UNMATCHED_FLOPS <= own / both <= UNMATCHED_FLOPS:
            as_dear.append(f"{cell.title}: {percent(cell.scores['top1'].mean)}")
    return "; ".join(as_dear) or NOT_MEASURED


def _figure(evidence: Evidence, name: str, members: list[Complement]) -> Figure:
    untrained = [one.finding for one in members if one.finding.untrained]
    members = [one for one in members if one.drawn]
    groups = []
    for _, group in groupby(members, key=lambda one: pair_name(one.finding)):
        own = list(group)
        groups.append((one_line(own[0].finding.titles, " and "), own))
    styles = {
        title: evidence.styles[key]
        for one in members
        for title, key in zip(one.finding.titles, (one.finding.pair.a, one.finding.pair.b), strict=True)
    }
    lines = 2 + len(styles)
    drawing, (axes,) = canvas(ROW * (len(members) + GAP * len(groups)) + 12 + 3 * lines, below=10)
    top = 1 - (3 * lines + 2) * MM / drawing.get_figheight()
    drawing.subplots_adjust(left=20 / WIDTH, top=top)
    dot: dict[str, Any] = {"linestyle": "none", "markersize": 3.8}
    for height, one in rows_under_headings(drawing, axes, groups, GAP, lambda one: finding_size(one.finding)):
        pair = one.finding.pair
        for kind, key in ((TWINS_A, pair.a), (TWINS_B, pair.b)):
            style = evidence.styles[key]
            axes.plot([100 * one.shared(kind)], [height], marker=style.marker, color=style.colour, **dot)
        most = np.nan if one.two.largest_overlap is None else one.two.largest_overlap
        axes.plot([100 * most], [height], "|", color=INK, markersize=6.5, markeredgewidth=0.9)
        axes.plot([100 * one.shared(TWO)], [height], "D", color=INK, markersize=3.6, zorder=3)
    axes.margins(x=0.06)
    axes.set_xlabel("Shared errors (% of the images that either got wrong)")
    black: dict[str, Any] = {"color": INK, "linestyle": "none"}
    handles = [
        Line2D([], [], marker="D", markersize=3.6, label="the two models", **black),
        Line2D([], [], marker="|", markersize=6.5, label="the most that they could share", **black),
    ]
    for title, style in styles.items():
        label = f"two runs of {shortened(title, LEGEND_CHARACTERS)}"
        handles.append(Line2D([], [], marker=style.marker, color=style.colour, linestyle="none", label=label))
    drawing.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(18 / WIDTH, 1.0),
        frameon=False,
        fontsize=6.5,
        handletextpad=0.2,
        labelspacing=0.25,
    )
    return Figure(
        drawing,
        f"complementarity-{slug(name)}",
        caption=f"{name}: how often two networks fail on the same test images: of the two models, and of two "
        "runs of each. The bar is the most that the two models could share, given their accuracies."
        + "".join(
            f" Not drawn: {pair_name(f)} at {finding_size(f)}, as not both were trained "
            f"({'; '.join(f.untrained)})."
            for f in untrained
        ),
        alt=_alt(name, members),
        data=_data(members),
        runs=[run for one in members for run in one.runs],
    )


def _data(members: list[Complement]) -> pd.DataFrame:
    numbers = ("pairs", "error_overlap", "largest_overlap", "both_wrong", "oracle", "members", "ensemble")
    return pd.DataFrame(
        {
            "comparison": one.finding.pair.comparison,
            "images_per_class": one.finding.images_per_class,
            "a": one.finding.pair.a,
            "b": one.finding.pair.b,
            "kind": kind,
            **{name: getattr(pairing, name) for name in numbers},
        }
        for one in members
        for kind, pairing in one.pairings.items()
    )


def _alt(name: str, members: list[Complement]) -> str:
    parts = [
        f"{' and '.join(one.finding.titles)} at {finding_size(one.finding)}: "
        f"{percent(one.shared(TWO))} % together, {percent(one.shared(TWINS_A))} % and "
        f"{percent(one.shared(TWINS_B))} % of two runs of each"
        for one in members
    ]
    return f"Dot plot of shared errors in {name}. {'. '.join(parts)}."

"""Complementarity: whether two models fail on different images, and what averaging them gains."""

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from bench.analysis.complementarity import Kind, Network, Pairing, pairings
from bench.analysis.contrasts import Finding
from bench.analysis.ensembles import AVERAGED
from bench.files import slug
from bench.report.blocks import Column, Section, Table, number
from bench.report.evidence import Evidence
from bench.report.sections.columns import FINDING_SIZE, finding_notes
from bench.report.text import NOT_MEASURED, percent
from bench.report.verdicts import pair_name

TITLE = "Complementarity"
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
        """The pair of different models."""
        return self.pairings[TWO]

    def shared(self, kind: Kind) -> str:
        """Shared errors of a kind of pair, in percent; networks without errors share none."""
        pairing = self.pairings.get(kind)
        if pairing is None:
            return NOT_MEASURED
        return "no errors" if pairing.error_overlap is None else percent(pairing.error_overlap)

    def averaged(self, kind: Kind) -> str:
        """The accuracy of averaging a kind of pair, in percent."""
        pairing = self.pairings.get(kind)
        return NOT_MEASURED if pairing is None else percent(pairing.ensemble)


def complementarity(evidence: Evidence) -> Section:
    """A table for each comparison that declares contrasts."""
    groups = groupby(complements(evidence), key=lambda one: one.finding.pair.comparison)
    return Section.measured(
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
        (_table(name, list(members)) for name, members in groups),
    )


def complements(evidence: Evidence) -> list[Complement]:
    """Those of all contrasts with stored predictions of both models."""
    return [one for f in evidence.findings if (one := _complement(evidence, f))]


def _complement(evidence: Evidence, finding: Finding) -> Complement | None:
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
        return evidence.averages.top1(*(evidence.records[runs[side][k]] for side, k in (one, other)))

    by_kind = {pairing.kind: pairing for pairing in pairings(correct["a"], correct["b"], averaged)}
    by_kind.setdefault(TWO, by_kind["a + b, same replicate"])  # of one replicate there is no other
    return Complement(finding, by_kind, len(both), runs["a"] + runs["b"])


def _table(name: str, members: list[Complement]) -> Table:
    def most(one: Complement) -> str:
        largest = one.two.largest_overlap
        return "no errors" if largest is None else percent(largest)

    columns = (
        FINDING_SIZE.on(lambda one: one.finding),
        Column("Pair", lambda one: " and ".join(one.finding.titles)),
        number("Shared errors (%)", lambda one: one.shared(TWO)),
        number("At most (%)", most),
        number("Shared by two runs of the first (%)", lambda one: one.shared(TWINS_A)),
        number("Shared by two of the second (%)", lambda one: one.shared(TWINS_B)),
        number("One alone (%)", lambda one: percent(one.two.members)),
        number("Average of both (%)", lambda one: one.averaged(TWO)),
        number("Average of two runs of the first (%)", lambda one: one.averaged(TWINS_A)),
        number("Average of two of the second (%)", lambda one: one.averaged(TWINS_B)),
        number("Oracle (%)", lambda one: percent(one.two.oracle)),
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

"""Two networks set against each other: which is ahead, by how much, and how sure that is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.analysis.cells import paired
from bench.analysis.contrasts import Finding
from bench.analysis.decisions import PairedScores, judge
from bench.analysis.statistics import Contrast, Verdict
from bench.report.cells import Cell, Score
from bench.report.evidence import Evidence
from bench.report.text import counted, interval_ends, points

Strength = Literal["decided", "likely", "even", "unclear"]


@dataclass(frozen=True)
class Lead:
    """The difference between two networks, so that it is `ahead` of `behind`.

    Attributes:
        difference: of their accuracies over the paired runs; fractions, not negative.
        result: the contrast, ahead minus behind; None where no two runs can be paired.
        finding: what was declared of the pair, if anything was.
        runs: those that were paired, of both.
    """

    ahead: Cell
    behind: Cell
    difference: float
    result: Contrast | None
    finding: Finding | None = None
    runs: tuple[str, ...] = ()

    @property
    def between(self) -> tuple[tuple[str, str, int | None], ...]:
        """Comparison, contestant and shots of both."""
        return tuple((cell.comparison, cell.contestant, cell.shots) for cell in (self.ahead, self.behind))

    @property
    def strength(self) -> Strength:
        """Decided by a verdict; likely, where the interval leaves out 0 without a verdict; even, where it
        does not or the two are equivalent; unclear without an interval."""
        if self.result is None or self.result.low is None:
            return "unclear"
        if self.result.verdict in ("better", "worse"):
            return "decided"
        return "likely" if self.result.excludes_0 and self.result.verdict != "equivalent" else "even"

    @property
    def remark(self) -> str:
        """What is to be known beside the interval; empty where a verdict says that the difference is real."""
        result = self.result
        if result is None:
            return "no common replicate"
        if result.low is None:
            return f"{counted(result.replicates, 'replicate')} of each, too few for an interval"
        if self.ahead.comparison != self.behind.comparison:
            return ""
        if self.finding is None or not self.finding.pair.primary:
            return "exploratory"
        if result.verdict == "equivalent":
            return f"equivalent within ±{points(result.delta, sign=False)} points"
        if result.verdict in ("better", "worse"):
            return ""
        among = f" among {result.comparisons} contrasts" if result.excludes_0 else ""
        return f"not decided{among}"

    @property
    def basis(self) -> str:
        """Interval and remark in brackets; empty without either."""
        parts, result = [], self.result
        if result is not None and result.low is not None:
            low, high = (end.removeprefix("+") for end in interval_ends(result.low, result.high))
            over = ", over test images alone" if result.images_only else ""
            parts.append(f"95 % interval {low} to {high}{over}")
        text = "; ".join(filter(None, [*parts, self.remark]))
        return f" ({text})" if text else ""

    def paired(self, cell: Cell) -> Score:
        """The accuracy of one of the two over the paired runs, whose difference this is."""
        return Score.of([record.top1 for record in cell.records if record.id in self.runs])

    @property
    def points(self) -> str:
        """The difference with its unit."""
        number = points(self.difference).removeprefix("+")
        return "less than 0.1 points" if number == "0.0" else f"{number} points"


def lead(evidence: Evidence, a: Cell, b: Cell) -> Lead:
    """Which of two networks is ahead, over their common replicates."""
    finding = declared(evidence.findings, a, b)
    if finding:
        result, runs = finding.result, finding.runs_a + finding.runs_b
        a, b = (a, b) if finding.pair.a == a.contestant else (b, a)
    else:
        result, runs = _undeclared(evidence, a, b)
    difference = result.estimate if result else a.scores["top1"].mean - b.scores["top1"].mean
    if difference >= 0:
        return Lead(a, b, difference, result, finding, runs)
    return Lead(b, a, -difference, result and turned(result), finding, runs)


def turned(result: Contrast) -> Contrast:
    """The contrast of b minus a from that of a minus b."""
    opposite: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}
    return replace(
        result,
        estimate=-result.estimate,
        low=None if result.high is None else -result.high,
        high=None if result.low is None else -result.low,
        verdict=opposite.get(result.verdict, result.verdict),
    )


def declared(findings: Iterable[Finding], a: Cell, b: Cell) -> Finding | None:
    """The declared contrast of two cells; a primary one before others."""
    own = [
        one
        for one in findings
        if a.comparison == b.comparison == one.pair.comparison
        and one.pair.shots == a.shots
        and {one.pair.a, one.pair.b} == {a.contestant, b.contestant}
    ]
    return max(own, key=lambda one: one.pair.primary, default=None)


def _undeclared(evidence: Evidence, a: Cell, b: Cell) -> tuple[Contrast | None, tuple[str, ...]]:
    """The difference of two cells that no contrast names, with its interval and without a verdict, and its
    runs."""
    predictions = evidence.predictions
    both = paired(a, b, predictions.has_scores)
    if not both[0]:
        return None, (*a.runs, *b.runs)
    scores = predictions.scores_of(both[0]), predictions.scores_of(both[1])
    images, folds = both[0][0].data.test_images, predictions.fold_of(*both)
    cell = PairedScores(scores, images=images, fold_of=folds)
    (result,) = judge([cell], delta=evidence.suite.delta, comparisons=0)
    return result, tuple(record.id for own in both for record in own)


def rivals(cells: Sequence[Cell]) -> tuple[Cell, Cell] | None:
    """The most accurate trained network, and the best one of another kind; without any, of the other
    networks or trainings. None with fewer than two."""
    trained = sorted((c for c in cells if not c.untrained), key=lambda c: -c.scores["top1"].mean)
    if not trained:
        return None
    first = trained[0]
    for part in (kind_of, lambda cell: cell.model, lambda cell: cell.contestant):
        others = [cell for cell in trained if part(cell) != part(first)]
        if others:
            return first, others[0]
    return None


def kind_of(cell: Cell) -> str:
    """The kind of a cell's network, as its card says."""
    return cell.records[0].model.kind or "other"

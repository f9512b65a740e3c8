"""What a report recommends: plain sentences made by rules from cells and contrasts.

With so many images per class, the most accurate network that was trained is set against the best one of the
other kind (ViT or CNN; with one kind, of the other networks). This is done for every number that was
measured; sentences quote the smallest and the largest, and none is chosen because its result is clear. The
chooser shows the same advice, number by number.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from bench.analysis.cells import paired
from bench.analysis.contrasts import Finding
from bench.analysis.decisions import PairedScores, judge
from bench.analysis.flags import Flag
from bench.analysis.regimes import FROZEN, regimes
from bench.analysis.statistics import Contrast, Verdict
from bench.report.cells import Cell
from bench.report.data_sets import DataSet, Regime, data_sets, untrained_sizes
from bench.report.evidence import Evidence
from bench.report.text import counted, interval_ends, listed, percent, points
from bench.report.verdicts import what_would_decide

Strength = Literal["decided", "likely", "even", "unclear"]
KINDS = {"transformer": "ViT", "cnn": "CNN"}
MOST_CHANGES = 4
MOST_TRAININGS = 3
PER_CLASS = " images per class"


@dataclass(frozen=True)
class Lead:
    """The difference between two networks, so that it is `ahead` of `behind`.

    Attributes:
        difference: of their accuracies over the paired runs; fractions, not negative.
        result: the contrast, ahead minus behind; None where no two runs can be paired.
        finding: what was declared of the pair, if anything was.
    """

    ahead: Cell
    behind: Cell
    difference: float
    result: Contrast | None
    finding: Finding | None = None

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
        parts = [self._interval, self.remark]
        text = "; ".join(filter(None, parts))
        return f" ({text})" if text else ""

    @property
    def _interval(self) -> str:
        result = self.result
        if result is None or result.low is None:
            return ""
        low, high = (end.removeprefix("+") for end in interval_ends(result.low, result.high))
        return f"95 % interval{' over test images alone' if result.images_only else ''} {low} to {high}"

    @property
    def points(self) -> str:
        """The difference with its unit."""
        number = points(self.difference).removeprefix("+")
        return "less than 0.1 points" if number == "0.0" else f"{number} points"


def lead(evidence: Evidence, a: Cell, b: Cell) -> Lead:
    """Which of two networks is ahead, over their common replicates."""
    finding = declared(evidence.findings, a, b)
    if finding:
        result = finding.result
        a, b = (a, b) if finding.pair.a == a.contestant else (b, a)
    else:
        result = _undeclared(evidence, a, b)
    difference = result.estimate if result else a.scores["top1"].mean - b.scores["top1"].mean
    if difference >= 0:
        return Lead(a, b, difference, result, finding)
    return Lead(b, a, -difference, result and turned(result), finding)


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


def _undeclared(evidence: Evidence, a: Cell, b: Cell) -> Contrast | None:
    """The difference of two cells that no contrast names, with its interval and without a verdict."""
    predictions = evidence.predictions
    both = paired(a, b, predictions.has_scores)
    if not both[0]:
        return None
    scores = predictions.scores_of(both[0]), predictions.scores_of(both[1])
    return judge([PairedScores(scores)], delta=evidence.suite.delta, comparisons=0)[0]


@dataclass(frozen=True)
class Choice:
    """What to take, and how sure that is: `names` are two where both do, none where none was trained."""

    strength: Literal["decided", "likely", "even", "unclear", "only", "none"]
    names: tuple[str, ...]

    def words(self, where: str, named: Iterable[str] = ()) -> str:
        """The choice in a sentence, after "take".

        Args:
            where: with how many images.
            named: two networks that stand before it.
        """
        names = (
            "either of the two"
            if len(self.names) == 2 and {*self.names} == {*named}
            else " or ".join(self.names)
        )
        certainty = {
            "decided": "",
            "likely": " (likely, not decided)",
            "even": " (no clear difference)",
            "unclear": " (too few runs to tell)",
            "only": " (no other network was trained)",
            "none": " (no network was trained)",
        }
        return f"{names or 'none'} {where}{certainty[self.strength]}"


@dataclass(frozen=True)
class Advice:
    """What follows for one number of images per class.

    Attributes:
        leads: in each regime the best network against the best of the other kind.
        best: the same over all regimes; None where fewer than two networks were trained.
        cells: all that was measured.
    """

    data: DataSet
    size: float
    leads: tuple[tuple[Regime, Lead], ...]
    best: Lead | None
    cells: tuple[Cell, ...]

    @property
    def choice(self) -> "Choice":
        """What to take; equal where the advice is the same."""
        trained = [cell for cell in self.cells if not cell.untrained]
        if self.best is None:
            return Choice("only" if trained else "none", tuple(map(self.data.name_of, trained)))
        both = tuple(self.data.name_of(cell) for cell in (self.best.ahead, self.best.behind))
        if self.best.strength == "even":
            return Choice("even", tuple(sorted(both)))
        return Choice(self.best.strength, both[:1])

    def sentences(self) -> list[str]:
        """The choice with its numbers, for this number of images per class alone."""
        sentences = [f"Take {self.choice.words(f'with {size_words(self.cells)}')}."]
        sentences += [f"{_upper(regime.phrase)}, {_told(one)}." for regime, one in self.leads]
        if self.best and self.best.ahead.comparison != self.best.behind.comparison:
            sentences.append(best_of_each(self.data, self.best))
        if self.best and self.best.finding and (decide := what_would_decide(self.best.finding)):
            sentences.append(decide)
        missing = [regime for regime in self.data.regimes if self.size not in regime.sizes]
        if missing:
            names = listed([regime.label for regime in missing])
            sentences.append(f"Not measured with so many images: {names}.")
        if lost := untrained_sizes(self.cells):
            sentences.append(f"Left out of comparisons of networks, as not trained: {listed(list(lost))}.")
        return sentences


def advise(evidence: Evidence, data: DataSet, size: float) -> Advice:
    """The advice for one data set and one of its sizes."""
    cells = data.at(size)
    leads = []
    for regime in data.regimes:
        if pair := rivals(regime.at(size)):
            leads.append((regime, lead(evidence, *pair)))
    best = rivals(cells)
    return Advice(data, size, tuple(leads), lead(evidence, *best) if best else None, tuple(cells))


def rivals(cells: Sequence[Cell]) -> tuple[Cell, Cell] | None:
    """The most accurate trained network, and the best one of another kind; without any, of the other
    networks or trainings. None with fewer than two."""
    trained = sorted((c for c in cells if not c.untrained), key=lambda c: -c.scores["top1"].mean)
    if not trained:
        return None
    first = trained[0]
    for part in (_kind, lambda cell: cell.model, lambda cell: cell.contestant):
        others = [cell for cell in trained if part(cell) != part(first)]
        if others:
            return first, others[0]
    return None


def _kind(cell: Cell) -> str:
    return cell.records[0].model.kind or "other"


@dataclass(frozen=True)
class Recommendation:
    """A paragraph: `take` says what it comes to in a few words, `text` on what that rests."""

    take: str
    text: str


def recommend(evidence: Evidence, data: DataSet) -> Recommendation:
    """What to take on a data set, over the numbers of images per class that most regimes were measured
    with."""
    every = [advise(evidence, data, size) for size in data.common_sizes]
    last = every[-1]
    sentences = _over_regimes(last) if len(data.regimes) > 1 else _over_sizes(evidence, every)
    if len(data.sizes) > len(every):
        sentences.append("Other numbers of images were measured in fewer ways; the chooser has them.")
    return Recommendation(f"On {data.title}, take {_over_all(every)}.", " ".join(sentences))


def _over_all(every: Sequence[Advice]) -> str:
    """What to take, with from where to where it holds."""
    runs = [list(own) for _, own in groupby(every, key=lambda advice: advice.choice)]
    last = runs[-1]
    if len(runs) > MOST_CHANGES:
        changes = len(runs) - 1
        return f"{last[0].choice.words(_range(last))}; with fewer images, this changes {changes} times"
    names = {name for own in runs for name in own[0].choice.names if len(own[0].choice.names) == 1}
    parts = [runs[0][0].choice.words(_range(runs[0]))]
    parts += [own[0].choice.words(_range(own).removesuffix(PER_CLASS), names) for own in runs[1:]]
    return "; ".join(parts)


def _range(own: Sequence[Advice]) -> str:
    first, last = own[0], own[-1]
    return f"with {f'{first.size:g} to ' if len(own) > 1 else ''}{size_words(last.cells)}"


def _over_sizes(evidence: Evidence, every: Sequence[Advice]) -> list[str]:
    """One regime: two networks at the smallest and at the largest size of both."""
    bests = [advice.best for advice in every if advice.best]
    if not bests:
        return []
    pair = (bests[-1].ahead.contestant, bests[-1].behind.contestant)
    return [_curve(evidence, every[0].data.regimes[0], every, pair)]


def _curve(evidence: Evidence, regime: Regime, every: Sequence[Advice], pair: tuple[str, str]) -> str:
    """Two networks at the smallest and the largest size at which both were trained."""
    by_size = [
        [cell for key in pair for cell in advice.cells if cell.contestant == key and not cell.untrained]
        for advice in every
    ]
    both = [cells for cells in by_size if len(cells) == len(pair)]
    large = lead(evidence, *both[-1])
    if len(both) == 1:
        return f"{_upper(regime.phrase)}, {_told(large, both[0])}."
    small = lead(evidence, *both[0])
    return f"{_upper(regime.phrase)}, {_told(small, both[0])}{_continued(small, large, both[-1])}."


def _continued(before: Lead, now: Lead, cells: Sequence[Cell]) -> str:
    """The second of two differences of one pair, after the first."""
    if not now.difference:
        return f"; with {size_words(cells)}, they are equally accurate{now.basis}"
    if now.ahead.contestant == before.ahead.contestant and before.difference:
        return f" and by {now.points} with {size_words(cells)}{now.basis}"
    return f"; with {size_words(cells)}, {now.ahead.title} is ahead by {now.points}{now.basis}"


def _told(one: Lead, cells: Sequence[Cell] = ()) -> str:
    with_size = f" with {size_words(cells)}" if cells else ""
    if not one.difference:
        return f"{one.ahead.title} and {one.behind.title} are equally accurate{with_size}{one.basis}"
    return f"{one.ahead.title} is ahead of {one.behind.title} by {one.points}{with_size}{one.basis}"


def _over_regimes(last: Advice) -> list[str]:
    """Every regime at one size, the best of each network, and whose fine-tuning is below frozen features."""
    each = "; ".join(f"{regime.phrase}, {_told(one)}" for regime, one in last.leads)
    sentences = [f"With {size_words(last.cells)}: {each}."] if each else []
    if last.best and len(last.leads) > 1:
        sentences.append(best_of_each(last.data, last.best))
    for one in regimes(cell for cell in last.cells if not cell.untrained):
        for name, fall in one.below_frozen.items():
            (how,) = (regime.phrase for regime in last.data.regimes if regime.comparison.name == name)
            sentences.append(
                f"{_upper(how)}, {one.title} falls {points(fall, sign=False)} points below its own frozen "
                "features, so this recipe does not suit it."
            )
    return sentences


def best_of_each(data: DataSet, best: Lead) -> str:
    """Both networks, each in the regime in which it is best."""
    if best.ahead.comparison == best.behind.comparison:
        return f"Each of the two is best {data.regime_of(best.ahead).phrase}."
    ahead, behind = (
        f"{data.name_of(cell)} ({percent(cell.scores['top1'].mean)} %)" for cell in (best.ahead, best.behind)
    )
    return (
        f"Comparing the best of each, {ahead} is ahead of {behind} by {best.points}{best.basis}; that is no "
        "verdict, as these same accuracies chose the regimes."
    )


def trainings(evidence: Evidence, data: DataSet) -> list[str]:
    """What the training of one network changed: primary contrasts of two trainings, at most a few."""
    sentences = []
    for regime in data.regimes:
        models = {cell.contestant: (cell.model, cell.pretraining) for cell in regime.cells}
        for a, b in regime.comparison.contrasts:
            if models.get(a, a) != models.get(b, b):
                continue
            by_size = [{cell.contestant: cell for cell in regime.at(size)} for size in regime.sizes]
            both = [[own[a], own[b]] for own in by_size if {a, b} <= own.keys()]
            if both:
                small, large = lead(evidence, *both[0]), lead(evidence, *both[-1])
                more = _continued(small, large, both[-1]) if len(both) > 1 else ""
                sentences.append(f"{_told(small, both[0])}{more}.")
    return sentences[:MOST_TRAININGS]


def limits(evidence: Evidence, every: Sequence[DataSet]) -> str:
    """What the sentences above cannot tell, in one sentence and the names of what was left out."""
    cells = [cell for data in every for cell in data.cells]
    facts = [_networks(cells), *_recipes(every), *_unmatched(evidence, every), *_copies(every)]
    text = f"{'; '.join(filter(None, facts))}."
    lost = untrained_sizes(cells)
    if not lost:
        return text
    names = listed([f"{title} (with {_sizes(own)} images per class)" for title, own in lost.items()])
    return f"{text} Left out of comparisons of networks, as not trained: {names}."


def _sizes(cells: Sequence[Cell]) -> str:
    return listed(list(dict.fromkeys("all" if c.shots is None else str(c.shots) for c in cells)))


def _networks(cells: Iterable[Cell]) -> str:
    models: dict[str, set[str]] = {}
    for cell in cells:
        models.setdefault(KINDS.get(_kind(cell), _kind(cell)), set()).add(cell.model)
    names = listed([_number(len(own), kind) for kind, own in sorted(models.items(), reverse=True)])
    if len(models) < 2:
        return f"{names} compared, and no ViT with a CNN"
    return f"comparing {names} does not settle ViT or CNN in general"


def _number(number: int, kind: str) -> str:
    return f"one {kind}" if number == 1 else counted(number, kind)


def _recipes(every: Iterable[DataSet]) -> list[str]:
    """Which ways of training all weights were not tuned for each network."""
    shared = dict.fromkeys(
        regime.label
        for data in every
        for regime in data.regimes
        if any(cell.protocol == "shared" and not _frozen(cell) for cell in regime.cells)
    )
    return [f"the recipe was tuned for no network ({', '.join(shared)})"] if shared else []


def _frozen(cell: Cell) -> bool:
    return any(record.identity.recipe.get(table) is not None for record in cell.records for table in FROZEN)


UNMATCHED = {
    Flag.UNMATCHED_FLOPS: "{title} costs {ratio:.1f} times the FLOPs",
    Flag.UNMATCHED_PRETRAINING: "pretrained on {both}",
    Flag.UNMATCHED_WIDTH: "the frozen features differ in width ({both})",
}


def _unmatched(evidence: Evidence, every: Sequence[DataSet]) -> Iterator[str]:
    """In what the two networks that a recommendation compares differ, each once."""
    bests = [advise(evidence, data, data.common_sizes[-1]).best for data in every]
    notes = [note for best in bests if best and best.finding for note in best.finding.flags]
    said = (UNMATCHED[note.flag].format(**note.values) for note in notes if note.flag in UNMATCHED)
    return iter(dict.fromkeys(said))


def _copies(every: Iterable[DataSet]) -> list[str]:
    names = [
        data.title
        for data in every
        if any(record.data.data_copy == "copy not verified" for c in data.cells for record in c.records)
    ]
    return [f"the images of {listed(names)} are a copy that could not be verified"] if names else []


def paragraphs(evidence: Evidence) -> list[Recommendation]:
    """What to take on each data set, what the training of one network changed, and the limits."""
    every = data_sets(evidence)
    if not every:
        return [Recommendation("", NOTHING if evidence.trains else PROFILED)]
    changed = [sentence for data in every for sentence in trainings(evidence, data)]
    return [
        *(recommend(evidence, data) for data in every),
        *([Recommendation("The same network, trained otherwise:", " ".join(changed))] if changed else []),
        Recommendation("Limits:", limits(evidence, every)),
    ]


def answer(evidence: Evidence) -> str:
    """The recommendation as plain text, one paragraph a data set and one for the limits."""
    return "\n\n".join(f"{one.take} {one.text}".strip() for one in paragraphs(evidence))


def takes(evidence: Evidence) -> list[str]:
    """What to take, one sentence a data set; without any, why there is none."""
    own = [recommend(evidence, data).take for data in data_sets(evidence)]
    return own or [one.text for one in paragraphs(evidence)]


NOTHING = "Nothing was measured yet, so nothing is recommended."
PROFILED = (
    "Nothing was trained, so this says nothing about accuracy: it shows what each network costs and how fast "
    "it runs."
)


def size_words(cells: Sequence[Cell]) -> str:
    """How many images per class, in a sentence."""
    size = cells[0].images_per_class
    every = "all " if any(cell.shots is None for cell in cells) else ""
    about = "of about " if size % 1 else ""
    return f"{every}{about}{counted(round(size), 'image')} per class"


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]

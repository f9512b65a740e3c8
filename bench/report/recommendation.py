"""What a report recommends: plain sentences made by rules from cells and contrasts.

With so many images per class, the most accurate network that was trained is set against the best one of the
other kind (ViT or CNN; with one kind, of the other networks). This is done for every number that was
measured; sentences quote the smallest and the largest, and none is chosen because its result is clear. The
chooser shows the same advice, number by number.
"""

from collections.abc import Sequence
from itertools import groupby

from bench.analysis.names import dataset_title
from bench.analysis.regimes import regimes
from bench.report.advice import Advice, advise, best_of_each, sentence_case, size_words, who_leads
from bench.report.answer_limits import limits
from bench.report.blocks import Prose
from bench.report.cells import Cell
from bench.report.data_sets import DataSet, data_sets
from bench.report.evidence import Evidence
from bench.report.leads import Lead, lead
from bench.report.text import listed, points
from bench.report.verdicts import training_noun

MOST_CHANGES = 4
MOST_TRAININGS = 3
PER_CLASS = " images per class"


def recommend(evidence: Evidence, data: DataSet) -> Prose:
    """What to take on a data set, over the numbers of images per class that most regimes were measured
    with."""
    every = [advise(evidence, data, size) for size in data.common_sizes]
    last = every[-1]
    sentences = _over_regimes(last) if len(data.regimes) > 1 else _over_sizes(evidence, every)
    if len(data.sizes) > len(every):
        sentences.append("Other numbers of images were measured in fewer ways; the chooser has them.")
    return Prose(" ".join(sentences), lead=f"On {data.title}, take {_over_all(every)}.")


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
    """One regime: two networks at the smallest and at the largest size of both; where others are the best two
    at the smallest, these as well."""
    advices = [(advice.best, advice.cells) for advice in every if advice.best]
    if not advices:
        return []
    (first, cells), (last, _) = advices[0], advices[-1]
    pair = {last.ahead.contestant, last.behind.contestant}
    sentences = [_curve(evidence, every)]
    if {first.ahead.contestant, first.behind.contestant} != pair:
        sentences.append(f"{sentence_case(who_leads(first, cells))}.")
    return sentences


def _curve(evidence: Evidence, every: Sequence[Advice]) -> str:
    """The two networks that are set against each other at the largest size, at the smallest and the largest
    at which both were trained."""
    ends, start = _ends(every), sentence_case(every[0].data.regimes[0].phrase)
    leads = [lead(evidence, *both) for both in ends]
    more = _continued(leads[0], leads[1], ends[1]) if len(ends) > 1 else ""
    return f"{start}, {who_leads(leads[0], ends[0])}{more}."


def _ends(every: Sequence[Advice]) -> list[list[Cell]]:
    """The cells of those two at one or two sizes."""
    last = [advice.best for advice in every if advice.best][-1]
    pair = last.ahead.contestant, last.behind.contestant
    by_size = [
        [cell for key in pair for cell in advice.cells if cell.contestant == key and not cell.untrained]
        for advice in every
    ]
    both = [cells for cells in by_size if len(cells) == len(pair)]
    return both if len(both) == 1 else [both[0], both[-1]]


def undeclared(evidence: Evidence, data: DataSet) -> list[Lead]:
    """The differences that the recommendation and the chooser state of a data set and that are no declared
    contrast, by images per class."""
    every = [advise(evidence, data, size) for size in data.sizes]
    leads = [one for advice in every for _, one in advice.leads]
    leads += [advice.best for advice in every if advice.best]
    if len(data.regimes) == 1 and any(advice.best for advice in every):
        leads += [lead(evidence, *both) for both in _ends(every)]
    own = {one.between: one for one in leads if one.finding is None}
    return sorted(own.values(), key=lambda one: one.ahead.images_per_class)


def _continued(before: Lead, now: Lead, cells: Sequence[Cell]) -> str:
    """The second of two differences of one pair, after the first."""
    if not now.difference:
        return f"; with {size_words(cells)}, they are equally accurate{now.basis}"
    if now.ahead.contestant == before.ahead.contestant and before.difference:
        return f" and by {now.points} with {size_words(cells)}{now.basis}"
    return f"; with {size_words(cells)}, {now.ahead.title} is ahead by {now.points}{now.basis}"


def _over_regimes(last: Advice) -> list[str]:
    """Every regime at one size, the best of each network, and whose fine-tuning is below frozen features."""
    each = "; ".join(f"{regime.phrase}, {who_leads(one)}" for regime, one in last.leads)
    sentences = [f"With {size_words(last.cells)}: {each}."] if each else []
    if last.best and len(last.leads) > 1:
        sentences.append(best_of_each(last.data, last.best))
    for one in regimes(cell for cell in last.cells if not cell.untrained):
        for name, fall in one.below_frozen.items():
            (how,) = (regime.phrase for regime in last.data.regimes if regime.comparison.name == name)
            sentences.append(
                f"{sentence_case(how)}, {one.title} falls {points(fall, sign=False)} points below its own "
                "frozen features, so this recipe does not suit it."
            )
    return sentences


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
                sentences.append(f"{who_leads(small, both[0])}{more}.")
    return sentences[:MOST_TRAININGS]


def paragraphs(evidence: Evidence) -> list[Prose]:
    """What to take on each data set, what the training of one network changed, and the limits."""
    every = data_sets(evidence)
    if not every:
        return [Prose(NOTHING if evidence.trains else PROFILED)]
    changed = [sentence for data in every for sentence in trainings(evidence, data)]
    return [
        *(recommend(evidence, data) for data in every),
        *([Prose(" ".join(changed), lead="The same network, trained differently:")] if changed else []),
        Prose(limits(evidence, every), lead="Limits:"),
    ]


def unfinished(evidence: Evidence) -> Prose | None:
    """Which ways of training have planned trials that are not done; None where all are, or none is."""
    trials = evidence.trials
    known = trials["run"].notna()
    trials = trials[~(known & trials.duplicated("run"))]
    if trials.empty or not trials["outcome"].notna().any():
        return None
    recipes = {one.name: training_noun(one.recipe) for one in evidence.suite.comparisons}
    parts = []
    ways = trials.groupby([trials["comparison"].map(recipes), "dataset"], sort=False)
    for (noun, name), own in ways:
        if missing := int(own["outcome"].isna().sum()):
            are = "is" if missing == 1 else "are"
            parts.append(f"{noun} on {dataset_title(name)} ({missing} of {len(own)} trials {are} missing)")
    return Prose(f"{listed(parts)}.", lead="Not finished:") if parts else None


def answer(evidence: Evidence) -> str:
    """The recommendation as plain text, one paragraph a data set and one for the limits."""
    return "\n\n".join(f"{one.lead} {one.text}".strip() for one in paragraphs(evidence))


def takes(evidence: Evidence) -> list[str]:
    """What to take, one sentence a data set; without any, why there is none."""
    own = [recommend(evidence, data).lead for data in data_sets(evidence)]
    return own or [one.text for one in paragraphs(evidence)]


NOTHING = "Nothing was measured yet, so nothing is recommended."
PROFILED = (
    "Nothing was trained, so this says nothing about accuracy: it shows what each network costs and how fast "
    "it runs."
)

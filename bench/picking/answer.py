"""A pick in words, in numbers, and as a record that says where the numbers are from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.analysis.groups import letters
from bench.analysis.statistics import pair_p, wilson
from bench.machine import commit, device_name, machine_name, versions
from bench.picking.pick import Entered, Picked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALPHA = 0.05
FASTER = 1.2  # times as fast, from which on a model that is not told apart from the best is named
COLUMNS = {
    "model": "str",
    "title": "str",
    "family": "str",
    "kind": "str",
    "params": "Int64",
    "upstream_top1": "float",
    "images_per_s": "float",
    "batch": "Int64",
    "latency_ms": "float",
    "sample": "Int64",
    "cv_top1": "float",
    "knn_top1": "float",
    "unseen": "Int64",
    "top1": "float",
    "low": "float",
    "high": "float",
    "group": "str",
    "pareto": "boolean",
    "finetuned_top1": "float",
    "note": "str",
}


Accuracies = dict[tuple[str, str], tuple[float, float]]
"""Mean top-1 on val and on the test split, by recipe and model."""


@dataclass(frozen=True)
class Answer:
    """What a pick came to.

    Attributes:
        picked: what was measured.
        sentences: what to take, how sure that is, and what it costs.
        next: the command that would settle it, and about how long it takes.
        suite: the file of the suite that goes on from here.
        measured: what the suite came to; empty where there was no time for it.

    Example:
        >>> answer = vcbench.pick("photos", budget="10m")
        >>> print(answer)
        >>> answer.table[["title", "top1", "low", "high", "images_per_s", "group"]]
    """

    picked: Picked
    sentences: list[str]
    next: str
    suite: Path
    measured: Accuracies

    @property
    def best(self) -> str:
        """The first of the race; where the best were trained on all images, the best of them on val."""
        known = {one: val for one, (val, _) in self.measured.items() if val == val}
        return max(known, key=lambda one: known[one])[1] if known else self.picked.best

    @cached_property
    def table(self) -> pd.DataFrame:
        """See `table`."""
        tuned = {model: top1 for (recipe, model), (_, top1) in self.measured.items() if recipe == "finetune"}
        return table(self.picked, tuned)

    @property
    def left_out(self) -> list[str]:
        """Which models took no part and why, in lines."""
        return left_out(self.picked)

    def figure(self) -> "Figure":
        """Accuracy against images per second of those that were left, with 95 % intervals."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes = figure.subplots()
        for row in self.table.dropna(subset=["group"]).itertuples():
            (low, high), top1 = self.picked.interval(row.model), self.picked.accuracy(row.model)
            colour = {"cnn": "#c2571a", "transformer": "#2f6db5"}.get(row.kind, "#555555")
            axes.errorbar(
                row.images_per_s,
                100 * top1,
                [[100 * (top1 - low)], [100 * (high - top1)]],
                fmt="o",
                color=colour,
            )
            axes.annotate(
                row.title, (row.images_per_s, 100 * top1), (6, 6), textcoords="offset points", color=colour
            )
        axes.set_xlabel(f"images/s here, {self.picked.input_size} px")
        axes.set_ylabel("top-1 of a linear probe, %")
        axes.margins(x=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        return figure

    def __str__(self) -> str:
        return " ".join([*self.sentences, self.next])

    def _repr_html_(self) -> str:
        """For a notebook: the answer and the table."""
        from markupsafe import escape

        columns = ["title", "params", "images_per_s", "cv_top1", "top1", "low", "high", "group", "pareto"]
        shown = (
            self.table[columns].dropna(subset=["cv_top1"]).to_html(index=False, float_format="{:.3g}".format)
        )
        return f"<p>{escape(str(self))}</p>{shown}"


def table(picked: Picked, finetuned: dict[str, float] | None = None) -> pd.DataFrame:
    """One row a model: those that were judged in the order of the race, then by how far they came.

    `cv_top1` and `knn_top1` are cross-validated on `sample` training images; `top1` with its 95 % interval is
    that of the probe on `unseen` images of val; `pareto` says that no other judged model is both as accurate
    and faster. `note` says why others left the race.

    Args:
        finetuned: mean top-1 on the test split by model, where models were fine-tuned.
    """
    judged = picked.survivors
    groups = dict(zip(judged, group_letters(picked), strict=True))
    standings = picked.race.standings
    others = sorted(
        (name for name in picked.entered if name not in judged),
        key=lambda name: (-len(standings[name].rounds), -_cv(picked, name)),
    )
    rows = []
    for name in [*judged, *others]:
        one, standing = picked.entered[name], standings[name]
        row = _facts(one) | {"note": standing.left or ""}
        if standing.rounds:
            score = standing.last
            row |= {
                "sample": standing.rounds[-1][0],
                "cv_top1": score.top1,
                "knn_top1": float(score.knn.mean()),
            }
        if one.judged is not None:
            low, high = picked.interval(name)
            row |= {"unseen": len(one.judged), "top1": picked.accuracy(name), "low": low, "high": high}
        if name in judged:
            row |= {"group": groups[name], "pareto": not any(_beats(picked, other, name) for other in judged)}
        if finetuned and name in finetuned:
            row["finetuned_top1"] = finetuned[name]
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(
        {name: kind for name, kind in COLUMNS.items() if kind != "str"}
    )


def left_out(picked: Picked) -> list[str]:
    """Which models took no part, a line a reason."""
    by_reason: dict[str, list[str]] = {}
    for one in picked.left_out:
        by_reason.setdefault(one.reason, []).append(one.card.title)
    return [f"Left out ({reason}): {', '.join(titles)}" for reason, titles in by_reason.items()]


def _facts(one: Entered) -> dict[str, Any]:
    card = one.candidate.card
    return {
        "model": card.name,
        "title": card.title,
        "family": card.family,
        "kind": card.kind,
        "params": one.candidate.parameters,
        "upstream_top1": card.upstream_top1,
        "images_per_s": one.images_per_s,
        "batch": one.batch,
        "latency_ms": one.latency_ms,
    }


def _cv(picked: Picked, name: str) -> float:
    rounds = picked.race.standings[name].rounds
    return rounds[-1][1].top1 if rounds else 0.0


def _beats(picked: Picked, other: str, name: str) -> bool:
    accurate, fast = picked.accuracy, {key: picked.entered[key].images_per_s for key in (other, name)}
    better = accurate(other) > accurate(name) or fast[other] > fast[name]
    return better and accurate(other) >= accurate(name) and fast[other] >= fast[name]


def told_apart(picked: Picked, a: str, b: str) -> bool:
    """Whether two of those that were left differ, by `pair_p` on the same images, all pairs counted."""
    count = len(picked.survivors)
    pairs = count * (count - 1) / 2
    return pair_p(picked.correct(a), picked.correct(b), picked.groups(a)) * pairs < ALPHA


def group_letters(picked: Picked) -> list[str]:
    """Letters of those that were judged, in the order of the race: those not told apart share one."""
    names = picked.survivors
    apart = [
        (i, j)
        for i in range(len(names))
        for j in range(i + 1, len(names))
        if told_apart(picked, names[i], names[j])
    ]
    return letters(len(names), apart)


def sentences(picked: Picked) -> list[str]:
    """What to take, how sure that is, and what it costs."""
    best, names = picked.best, picked.survivors
    tied = [name for name in names[1:] if not told_apart(picked, best, name)]
    return [_take(picked, best, tied), _cost(picked, best, tied), *_other_family(picked, best)]


def _take(picked: Picked, best: str, tied: list[str]) -> str:
    one = picked.entered[best]
    title = one.candidate.card.title
    images = picked.race.images
    right, groups = picked.correct(best), picked.groups(best)
    low, high = picked.interval(best)
    what = (
        f"{len(right):,} val images that had no part in choosing it"
        if one.judged is not None
        else f"{len(right):,} training images, each held out once, on which it was chosen as the best"
    )
    what += "" if groups is None else f", in {len(np.unique(groups)):,} groups"
    how = (
        f"a linear probe on its frozen features, fitted to {images:,} training images, is right on "
        f"{_percent(picked.accuracy(best))} of {what} (95 % interval {100 * low:.1f} to {100 * high:.1f}; "
        f"always naming the largest class: {_percent(picked.majority())})"
    )
    if not tied:
        return f"Take {title}: {how}."
    others = " and ".join(
        f"{picked.entered[name].candidate.card.title} ({_percent(picked.accuracy(name))})" for name in tied
    )
    return f"{title} came first in the race, but is not told apart from {others}: {how}."


def _cost(picked: Picked, best: str, tied: list[str]) -> str:
    one = picked.entered[best]
    text = (
        f"{one.candidate.card.title} has {one.candidate.parameters / 1e6:.1f} million parameters and does "
        f"{one.images_per_s:.0f} images/s here ({one.latency_ms:.2g} ms for one image)"
    )
    fastest = max(tied, key=lambda name: picked.entered[name].images_per_s, default=None)
    if fastest is None:
        return f"{text}."
    ratio = picked.entered[fastest].images_per_s / one.images_per_s
    if ratio < FASTER:
        return f"{text}."
    title = picked.entered[fastest].candidate.card.title
    return f"{text}; {title} is {ratio:.1f} times as fast: take it where speed counts."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def stopped_at(picked: Picked) -> str:
    """What more time would have been used for in the race; empty where it used all images."""
    whole = len(picked.dataset.splits["train"])
    if picked.race.images == whole:
        return ""
    return f"The race stopped at {picked.race.images:,} of {whole:,} training images: {picked.race.ended}. "


def _other_family(picked: Picked, best: str) -> list[str]:
    """How far the best of the other kind is behind."""
    kind = picked.entered[best].candidate.card.kind
    scored = [name for name in picked.entered if picked.race.standings[name].rounds]
    others = [name for name in scored if picked.entered[name].candidate.card.kind != kind]
    if not others:
        return []
    word = {"cnn": "ViT", "transformer": "CNN"}.get(kind, "model of another family")
    judged = [name for name in picked.survivors if name in others]
    if judged:
        other = max(judged, key=picked.accuracy)
        title = picked.entered[other].candidate.card.title
        behind = picked.accuracy(best) - picked.accuracy(other)
        sure = "" if told_apart(picked, best, other) else ", which may be chance"
        return [f"The best {word}, {title}, is {_behind(behind)}{sure}."]
    other = max(others, key=lambda name: (len(picked.race.standings[name].rounds), _cv(picked, name)))
    title = picked.entered[other].candidate.card.title
    standing = picked.race.standings[other]
    images = standing.rounds[-1][0]
    then = next(score for size, score in picked.race.standings[best].rounds if size == images)
    behind = then.top1 - standing.last.top1
    return [f"The best {word}, {title}, was {_behind(behind)} on {images:,} images."]


def _behind(difference: float) -> str:
    return f"{100 * abs(difference):.1f} points {'behind' if difference >= 0 else 'ahead'}"


def trained_sentence(picked: Picked, measured: Accuracies) -> str:
    """What training on all images came to on the test split, the best on val first; without val no order."""
    ways = {"finetune": "fine-tuned", "linear-probe": "on frozen features"}
    judged = all(val == val for val, _ in measured.values())
    order = sorted(measured, key=lambda one: -measured[one][0]) if judged else list(measured)
    tests = len(picked.dataset.splits["test"])
    said = [
        f"{picked.entered[model].candidate.card.title} {ways[recipe]} {_percent(measured[recipe, model][1])}"
        for recipe, model in order
    ]
    interval = ""
    if picked.dataset.groups is None:  # with groups it takes more than the share of images
        low, high = wilson(round(measured[order[0]][1] * tests), tests)
        interval = f" (95 % interval {100 * low:.1f} to {100 * high:.1f})"
    return (
        f"Trained on all images, {said[0]} of {tests:,} test images{interval}"
        f"{' is the best by val; then' if judged else ';'} {', '.join(said[1:])}."
    )


def record(picked: Picked, dataset: str) -> dict[str, Any]:
    """All that the answer rests on, as plain data."""
    rounds = {
        name: [
            {"images": size, "probe_top1": score.top1, "knn_top1": float(score.knn.mean()), "l2": score.l2}
            for size, score in standing.rounds
        ]
        for name, standing in picked.race.standings.items()
    }
    return {
        "format": 1,
        "dataset": dataset,
        "data": picked.dataset.fingerprint,
        "split_id": picked.dataset.split_id,
        "images": picked.dataset.counts(),
        "input_size": picked.input_size,
        "precision": picked.precision,
        "device": device_name(picked.device),
        "machine": machine_name(),
        "versions": versions(),
        "commit": commit(),
        "budget_s": picked.budget,
        "spent_s": round(picked.seconds, 1),
        "race_ended": picked.race.ended,
        "rounds": rounds,
        "weights": {name: one.candidate.weights.fingerprint for name, one in picked.entered.items()},
        "val_positions": picked.val.tolist(),
        "judged": {
            name: [int(right) for right in picked.correct(name)]
            for name in picked.survivors
            if picked.entered[name].judged is not None
        },
        "left_out": {one.card.name: one.reason for one in picked.left_out},
    }

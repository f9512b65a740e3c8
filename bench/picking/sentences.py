"""The answer of a pick in sentences: what to take, how sure that is, what it costs, and the other family."""

import math
from collections.abc import Mapping

import numpy as np

from bench.analysis.statistics import pair_p, share_interval
from bench.picking.pick import ALPHA, Picked
from bench.picking.trained import Key, Trained, best_of

FASTER = 1.2  # times as fast, from which on a model that is not told apart from the best is named
WAYS = {"finetune": "fine-tuned", "linear-probe": "on frozen features"}


def sentences(picked: Picked, trained: Mapping[Key, Trained]) -> list[str]:
    """What to take, how sure that is, and what it costs; where models were trained, all of it by that."""
    if trained:
        return _trained(picked, trained)
    best = picked.best
    others = [name for name in picked.survivors if name != best]
    tied = {name: _title(picked, name) for name in others if not picked.told_apart(best, name)}
    return [_take(picked, best, list(tied)), _cost(picked, best, tied), *_other_family(picked, best)]


def _trained(picked: Picked, trained: Mapping[Key, Trained]) -> list[str]:
    """The sentences by what training on all images came to on the test split, the best on val first."""
    places = picked.survivors
    best = best_of(trained, places[0])

    def order(key: Key) -> tuple[float, int, str]:
        val = trained[key].val
        return math.inf if math.isnan(val) else -val, places.index(key[1]), key[0]

    others = sorted((key for key in trained if key != best), key=order)
    groups = picked.dataset.groups
    groups = None if groups is None else groups[picked.dataset.splits["test"]]
    pairs = len(trained) * (len(trained) - 1) / 2

    def apart(key: Key) -> bool:
        a, b = trained[best].correct, trained[key].correct
        return a is None or b is None or pair_p(a, b, groups) * pairs < ALPHA

    tied = [key for key in others if not apart(key)]
    fast = {key[1]: _named(picked, key) for key in reversed(tied) if key[1] != best[1]}
    take = _take_trained(picked, trained, best, tied, others, groups)
    return [take, _cost(picked, best[1], fast), *_trained_family(picked, trained, best, tied, others)]


def _take_trained(
    picked: Picked,
    trained: Mapping[Key, Trained],
    best: Key,
    tied: list[Key],
    others: list[Key],
    groups: np.ndarray | None,
) -> str:
    one = trained[best]

    def listed(keys: list[Key]) -> str:
        return " and ".join(f"{_named(picked, key)} ({_percent(trained[key].top1)})" for key in keys)

    chosen = "came first in the race" if math.isnan(one.val) else "is the best on val"
    how = f"trained on all images, it is right on {_percent(one.top1)} of "
    how += f"{len(picked.dataset.splits['test']):,} test images that had no part in choosing it"
    how += "" if groups is None else f", in {len(np.unique(groups)):,} groups"
    if one.correct is not None:
        low, high = share_interval(one.correct, groups)
        how += f" (95 % interval {100 * low:.1f} to {100 * high:.1f})"
    rest = [key for key in others if key not in tied]
    ahead = [key for key in rest if trained[key].top1 > one.top1]
    doubts = [f"is behind {listed(ahead)} on the test images"] if ahead else []
    doubts += [f"is not told apart from {listed(tied)}"] if tied else []
    if doubts:
        take = f"{_named(picked, best)} {chosen}, but {' and '.join(doubts)}: {how}"
    else:
        take = f"Take {_named(picked, best)}, which {chosen}: {how}"
    return f"{take}; told apart from it: {listed(rest)}." if rest else f"{take}."


def _trained_family(
    picked: Picked, trained: Mapping[Key, Trained], best: Key, tied: list[Key], others: list[Key]
) -> list[str]:
    """How far the best of the other kind is behind, or was in the race where none of it was trained."""
    kind = picked.entered[best[1]].kind
    other = next((key for key in others if picked.entered[key[1]].kind != kind), None)
    if other is None:
        return [
            f"{line.removesuffix('.')} on frozen features; it was not trained."
            for line in _other_family(picked, best[1])
        ]
    behind = _behind(trained[best].top1 - trained[other].top1)
    sure = ", which may be chance" if other in tied else ""
    return [f"The best {_kind(picked, other[1])}, {_named(picked, other)}, is {behind}{sure}."]


def _named(picked: Picked, key: Key) -> str:
    recipe, model = key
    return f"{_title(picked, model)} {WAYS[recipe]}"


def _title(picked: Picked, model: str) -> str:
    return picked.entered[model].candidate.card.title


def _take(picked: Picked, best: str, tied: list[str]) -> str:
    one, first = picked.entered[best], picked.survivors[0]
    title = _title(picked, best)
    images = picked.race.images
    right, groups = picked.correct(best), picked.groups(best)
    low, high = picked.interval(best)
    what = f"{len(right):,} " + (
        "training images, each held out once" if one.judged is None else "val images"
    )
    unseen = one.judged is not None and best == first
    what += " that had no part in choosing it" if unseen else ", a little too good as they have chosen it"
    what += "" if groups is None else f", in {len(np.unique(groups)):,} groups"
    how = (
        f"a linear probe on its frozen features, fitted to {images:,} training images, is right on "
        f"{_percent(picked.accuracy(best))} of {what} (95 % interval {100 * low:.1f} to {100 * high:.1f}; "
        f"always naming the largest class: {_percent(picked.majority())})"
    )

    def listed(*names: str) -> str:
        return " and ".join(f"{_title(picked, name)} ({_percent(picked.accuracy(name))})" for name in names)

    place = "came first in the race"
    if best != first:
        place = f"is better on val than {listed(first)}, the first of the race, and told apart from it"
    if tied:
        return f"{title} {place}, but is not told apart from {listed(*tied)}: {how}."
    return f"Take {title}: {how}." if best == first else f"Take {title}, which {place}: {how}."


def _cost(picked: Picked, best: str, tied: Mapping[str, str]) -> str:
    """What the best costs, and which of those not told apart, by the words for each, is faster."""
    one = picked.entered[best]
    text = (
        f"{_title(picked, best)} has {one.candidate.parameters / 1e6:.1f} million parameters and does "
        f"{one.images_per_s:.0f} images/s here ({one.latency_ms:.2g} ms for one image)"
    )
    fastest = max(tied, key=lambda name: picked.entered[name].images_per_s, default=None)
    if fastest is None:
        return f"{text}."
    ratio = picked.entered[fastest].images_per_s / one.images_per_s
    if ratio < FASTER:
        return f"{text}."
    return f"{text}; {tied[fastest]} is {ratio:.1f} times as fast: take it where speed counts."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def stopped_at(picked: Picked) -> str:
    """Why not all images were used; empty where the race used all, and no damaged one was met."""
    whole, race = len(picked.dataset.splits["train"]), picked.race
    stages = [f"The race stopped at {race.images:,} of {whole:,} training images: {race.ended}. "]
    stages = [] if race.images == whole else stages
    stages += [f"The judgement stopped: {picked.damaged}. "] if picked.damaged else []
    return "".join(stages)


def _other_family(picked: Picked, best: str) -> list[str]:
    """How far the best of the other kind is behind."""
    kind, standings = picked.entered[best].kind, picked.race.standings
    others = [name for name, one in picked.entered.items() if standings[name].rounds and one.kind != kind]
    if not others:
        return []
    judged = [name for name in picked.survivors if name in others]
    if judged:
        other = max(judged, key=picked.accuracy)
        title = _title(picked, other)
        behind = picked.accuracy(best) - picked.accuracy(other)
        sure = "" if picked.told_apart(best, other) else ", which may be chance"
        return [f"The best {_kind(picked, other)}, {title}, is {_behind(behind)}{sure}."]
    other = max(others, key=lambda name: (len(standings[name].rounds), standings[name].last.top1))
    title = _title(picked, other)
    standing = standings[other]
    images = standing.rounds[-1][0]
    then = next(score for size, score in standings[best].rounds if size == images)
    behind = then.top1 - standing.last.top1
    return [f"The best {_kind(picked, other)}, {title}, was {_behind(behind)} on {images:,} images."]


def _kind(picked: Picked, model: str) -> str:
    kinds = {"cnn": "CNN", "transformer": "ViT"}
    return kinds.get(picked.entered[model].kind, "model of another family")


def _behind(difference: float) -> str:
    return f"{100 * abs(difference):.1f} points {'behind' if difference >= 0 else 'ahead'}"

"""The race: candidates are scored on a growing sample, and those that are surely behind leave it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from bench.analysis.statistics import by_group
from bench.errors import DataError
from bench.picking.scores import Score
from bench.training.observer import Stopped

FIRST = 100  # images of the first round, or two a class where that is more
SURE = 3.0  # standard errors of a paired difference from which on a candidate is surely behind
FEW = 50  # images below which none is sure


class Entrant(Protocol):
    """What takes part."""

    @property
    def name(self) -> str:
        """Unlike that of any other."""

    @property
    def kind(self) -> str:
        """Of network: "cnn", "transformer" or another."""

    @property
    def upstream_top1(self) -> float | None:
        """Published accuracy of its pretraining, a fraction."""

    def expected_seconds(self, images: int) -> float:
        """What scoring it on so many images will take."""

    def score(self, sample: np.ndarray) -> Score:
        """Its score on training images at some positions, int64 (n,).

        Raises:
            Stopped: there is no more time.
            DataError: an image is damaged.
        """

    def leave(self) -> None:
        """It left the race: what it keeps in memory is not needed any more."""


@dataclass
class Standing:
    """How an entrant fared.

    Attributes:
        rounds: images and score of each round that it took part in.
        left: why it left, as the end of a sentence; None for those that stay to the end.
    """

    rounds: list[tuple[int, Score]] = field(default_factory=list)
    left: str | None = None

    @property
    def last(self) -> Score:
        """That of its last round."""
        return self.rounds[-1][1]


@dataclass
class Race:
    """A race that was run.

    Attributes:
        standings: by name, of everybody who entered.
        images: how many the last whole round had.
        ended: why there was no further round.
    """

    standings: dict[str, Standing]
    images: int = 0
    ended: str = ""

    def ranked(self) -> list[str]:
        """Those that stayed, the best first; equals in the order in which they entered."""
        stayed = [name for name, one in self.standings.items() if one.left is None and one.rounds]
        return sorted(stayed, key=lambda name: -self.standings[name].last.top1)


def run_race(
    entrants: Sequence[Entrant],
    samples: Sequence[np.ndarray],
    seconds_left: Callable[[], float],
    log: Callable[[str], None] = lambda line: None,
    shared: Callable[[int], float] = lambda images: 0.0,
) -> Race:
    """Score everybody on one sample after the other, as long as the time for a whole round is left.

    After each round those leave that are surely behind the first, and, where the next round would take too
    long for all, the last of the others. Three never leave: the first; the one whose pretraining has the best
    published accuracy, for either alone may be far from the best (Renggli et al., 2020, arXiv 2010.06402);
    and the first of the other kinds, for what is behind on frozen features may be ahead fine-tuned. Before
    the first round the best by pretraining and the best of the other kinds come first, where there is time.

    Args:
        samples: positions of training images, int64, each with those of the one before.
        seconds_left: for the race.
        log: called with a line after each round.
        shared: seconds that a sample of so many images takes once for all, such as decoding it.

    Raises:
        DataError: an image of the first round is damaged; one of a later round ends the race.
    """
    race = Race({one.name: Standing() for one in entrants})
    running = list(entrants)
    kinds = {one.name: one.kind for one in entrants}
    published = [one for one in entrants if one.upstream_top1 is not None]
    best_known = max(published, key=lambda one: one.upstream_top1 or 0.0).name if published else None
    for sample in samples:
        size = len(sample)
        seconds = seconds_left() - shared(size)
        if race.images:
            affordable = _affordable(running, size, seconds, race, never_leave(race, kinds, best_known))
        else:
            affordable = _affordable(running, size, seconds, race, _promising(entrants)) or _affordable(
                running, size, seconds, race, set()
            )
        if not affordable:
            race.ended = f"there was no time for {size} images"
            break
        running = _only(affordable, running)
        scores: dict[str, Score] = {}
        try:
            for one in running:
                scores[one.name] = one.score(sample)
        except DataError as error:
            if not race.images:
                raise
            race.ended = str(error)
            break
        except Stopped:
            race.ended = "the time was over"
            # Of the first round those count that were in time: without them nothing would be known.
            if race.images or len(scores) < 2:
                break
        race.images = size
        for name, score in scores.items():
            race.standings[name].rounds.append((size, score))
        first = race.ranked()[0]
        log(f"{size} images: {first} is first with {scores[first].top1:.1%}, {len(scores)} in the race")
        if race.ended:
            break
        running = _only(_not_behind(running, race, never_leave(race, kinds, best_known)), running)
    else:
        race.ended = "all training images were used"
    for one in entrants:
        if not race.standings[one.name].rounds:
            race.standings[one.name].left = race.standings[one.name].left or "was not scored in time"
    return race


def sizes_of_rounds(images: int, classes: int) -> list[int]:
    """Images of each round, ascending: two a class or FIRST, then twice as many, until all are in."""
    size, sizes = max(FIRST, 2 * classes), []
    while size < images:
        sizes.append(size)
        size *= 2
    return [*sizes, images]


def surely_behind(first: np.ndarray, other: np.ndarray, groups: np.ndarray | None = None) -> float | None:
    """By how much the second is behind the first, from bool (n,) on the same images; None where that may be
    chance. Of images that belong together, `groups` int (n,), each group is one observation."""
    difference = first.astype(float) - other
    difference = difference if groups is None else by_group(difference, groups)
    mean, error = difference.mean(), difference.std(ddof=1) / np.sqrt(len(difference))
    return float(mean) if len(difference) >= FEW and mean > SURE * error and mean > 0 else None


def never_leave(race: Race, kinds: dict[str, str], best_known: str | None) -> set[str]:
    """The first, the first of the other kinds, and the best by its pretraining, of those in the race."""
    ranked = race.ranked()
    others = [name for name in ranked if kinds[name] != kinds[ranked[0]]]
    return {*ranked[:1], *others[:1], *(name for name in ranked if name == best_known)}


def _affordable(
    running: list[Entrant], size: int, seconds: float, race: Race, kept: set[str]
) -> list[Entrant]:
    """Those for which there is time, all of `kept` first; nobody where there is none for these."""
    order = {name: place for place, name in enumerate(race.ranked())}
    queue = sorted(running, key=lambda one: (one.name not in kept, order.get(one.name, 0)))
    chosen: list[Entrant] = []
    total = 0.0
    for one in queue:
        total += one.expected_seconds(size)
        if total > seconds:
            break
        chosen.append(one)
    whole = all(one in chosen for one in running if one.name in kept)
    # A race of one says nothing, unless only one entered.
    if not whole or len(chosen) < min(2, len(running)):
        return []
    for one in running:
        if one not in chosen and race.images:
            race.standings[one.name].left = f"there was no time for it on more than {race.images} images"
    return chosen


def _promising(entrants: Sequence[Entrant]) -> set[str]:
    """Before anything is scored: the best by its pretraining, and of the other kinds the best by theirs."""
    ordered = sorted(entrants, key=lambda one: -(one.upstream_top1 or 0.0))
    others = [one for one in ordered if one.kind != ordered[0].kind]
    return {one.name for one in (*ordered[:1], *others[:1])}


def _only(staying: list[Entrant], running: list[Entrant]) -> list[Entrant]:
    """Those that stay; the others of the running are told that they have left."""
    for one in running:
        if one not in staying:
            one.leave()
    return staying


def _not_behind(running: list[Entrant], race: Race, kept: set[str]) -> list[Entrant]:
    first = race.standings[race.ranked()[0]].last
    for one in running:
        standing = race.standings[one.name]
        behind = surely_behind(first.probe, standing.last.probe, first.groups)
        if one.name not in kept and behind is not None:
            standing.left = f"was behind by {100 * behind:.1f} points after {race.images} images"
    return [one for one in running if race.standings[one.name].left is None]

"""The race among candidates: who stays, who leaves, and that it ends in time."""

import numpy as np
import pytest

from bench.errors import DataError
from bench.picking.race import run_race, sizes_of_rounds, surely_behind
from bench.picking.scores import Score
from bench.training.observer import Stopped

SAMPLES = [np.arange(size) for size in (100, 200, 400)]


class Entrant:
    """Right on a share of images, drawn once, at a price in seconds an image on a clock of its own."""

    def __init__(self, name, top1, clock, price=0.01, upstream=None, hidden=0.0, kind="cnn"):
        self.name, self.top1, self.upstream_top1, self.kind = name, top1, upstream, kind
        self.clock, self.price, self.hidden, self.seen = clock, price, hidden, 0
        self.has_left = 0
        self.right = np.random.default_rng([*name.encode()]).random(400) < top1

    def expected_seconds(self, images):
        return self.price * (images - self.seen)

    def score(self, sample):
        self.clock.now += (self.price + self.hidden) * (len(sample) - self.seen)
        if self.clock.now > self.clock.end:
            raise Stopped
        self.seen = len(sample)
        right = self.right[: len(sample)]
        return Score(right, right, sample, 1e-3)

    def leave(self):
        self.has_left += 1


class Clock:
    def __init__(self, end=1000.0):
        self.now, self.end = 0.0, end

    def left(self):
        return self.end - self.now


def names_left(race):
    return {name for name, one in race.standings.items() if one.left is None}


def test_those_that_are_surely_behind_leave_and_the_best_wins():
    clock = Clock()
    best = 0.87  # published of b
    entrants = [Entrant("a", 0.9, clock), Entrant("b", 0.87, clock, upstream=best), Entrant("c", 0.5, clock)]
    race = run_race(entrants, SAMPLES, clock.left)
    assert race.images == 400 and race.ended == "all training images were used"
    assert "c" not in names_left(race) and race.standings["c"].left.startswith("was behind by")
    assert len(race.standings["c"].rounds) == 1  # after the first round, so that no time is spent on it
    assert race.ranked()[0] == max("ab", key=lambda name: entrants["ab".index(name)].right.mean())


def test_the_best_of_pretraining_is_kept_whatever_its_probe_says():
    clock = Clock()
    entrants = [Entrant("a", 0.9, clock), Entrant("b", 0.3, clock, upstream=0.8), Entrant("c", 0.3, clock)]
    race = run_race(entrants, SAMPLES, clock.left)
    assert names_left(race) == {"a", "b"} and len(race.standings["b"].rounds) == 3


def test_the_best_of_the_other_kind_is_kept():
    """What is behind on frozen features may be ahead when it is fine-tuned."""
    clock = Clock()
    entrants = [
        Entrant("a", 0.9, clock),
        Entrant("b", 0.3, clock, kind="transformer"),
        Entrant("c", 0.1, clock, kind="transformer"),
        Entrant("d", 0.5, clock),
    ]
    assert names_left(run_race(entrants, SAMPLES, clock.left)) == {"a", "b"}


def test_the_most_promising_are_scored_first():
    """Where there is no time for all: the best by pretraining, and the best of the other kind by its own."""

    def entrants(clock, price=0.01):
        return [
            Entrant("a", 0.5, clock, upstream=0.6),
            Entrant("b", 0.5, clock, upstream=0.7),
            Entrant("c", 0.5, clock, upstream=0.8, price=price),
            Entrant("d", 0.5, clock, upstream=0.5, kind="transformer"),
            Entrant("e", 0.5, clock, upstream=0.65, kind="transformer"),
        ]

    def scored(race):
        return {name for name, one in race.standings.items() if one.rounds}

    clock = Clock(2.5)
    assert scored(run_race(entrants(clock), SAMPLES, clock.left)) == {"c", "e"}
    # For the best by pretraining there is no time at all: the others race.
    clock = Clock(2.5)
    assert scored(run_race(entrants(clock, price=0.1), SAMPLES, clock.left)) == {"a", "b"}


class Damaged(Entrant):
    """Meets a damaged image from so many images on."""

    def score(self, sample):
        if len(sample) >= 200:
            raise DataError("cat/7.jpg: cannot be decoded")
        return super().score(sample)


def test_a_damaged_image_leaves_the_last_whole_round():
    clock = Clock()
    entrants = [Entrant("a", 0.6, clock), Damaged("b", 0.7, clock)]
    race = run_race(entrants, SAMPLES, clock.left)
    assert race.images == 100 and race.ended == "cat/7.jpg: cannot be decoded"
    assert sorted(race.ranked()) == ["a", "b"]
    assert {len(one.rounds) for one in race.standings.values()} == {1}
    with pytest.raises(DataError, match="cat/7"):
        run_race([Damaged("b", 0.7, clock), Entrant("a", 0.6, clock)], SAMPLES[1:], clock.left)


def test_what_is_shared_counts_once():
    clock = Clock(9)
    entrants = [Entrant(name, 0.7, clock) for name in "ab"]
    assert run_race(entrants, SAMPLES, clock.left).images == 400
    clock = Clock(9)
    entrants = [Entrant(name, 0.7, clock) for name in "ab"]
    assert run_race(entrants, SAMPLES, clock.left, shared=lambda images: 0.02 * images).images == 200


@pytest.mark.parametrize("seconds", [2.5, 4, 5, 8, 20])
def test_it_never_begins_a_round_for_which_there_is_no_time(seconds):
    clock = Clock(seconds)
    entrants = [Entrant(name, 0.7, clock) for name in "abcd"]
    race = run_race(entrants, SAMPLES, clock.left)
    assert clock.now <= seconds
    assert race.images in (100, 200, 400)
    scored = [name for name, one in race.standings.items() if one.rounds]
    assert len(scored) >= 2 and all(one.left for one in race.standings.values() if not one.rounds)


def test_with_too_little_time_for_two_nothing_is_scored():
    clock = Clock(1.5)
    race = run_race([Entrant(name, 0.7, clock) for name in "ab"], SAMPLES, clock.left)
    assert race.images == 0 and clock.now == 0 and not race.ranked()


def test_a_round_that_is_stopped_counts_for_nobody():
    clock = Clock(5)
    entrants = [Entrant("a", 0.9, clock), Entrant("b", 0.85, clock, hidden=0.01)]
    race = run_race(entrants, SAMPLES, clock.left)
    assert race.ended == "the time was over" and race.images == 100
    assert {len(one.rounds) for one in race.standings.values()} == {1}


def test_of_a_first_round_those_count_that_were_in_time():
    clock = Clock(5)
    entrants = [Entrant(name, 0.8, clock, hidden=0.01) for name in "abc"]
    race = run_race(entrants, SAMPLES, clock.left)
    assert race.images == 100 and len(race.ranked()) == 2
    assert race.standings["c"].left == "was not scored in time"


def test_where_time_is_short_the_last_make_room():
    clock = Clock(13)
    entrants = [Entrant("abcd"[i], 0.9 - 0.01 * i, clock) for i in range(4)]
    race = run_race(entrants, SAMPLES, clock.left)
    left = [one for one in race.standings.values() if one.left and "no time" in one.left]
    assert left and race.images == 400 and clock.now <= 13


def test_one_alone_is_scored():
    clock = Clock()
    race = run_race([Entrant("a", 0.9, clock)], SAMPLES, clock.left)
    assert race.images == 400 and race.ranked() == ["a"]


def test_equal_candidates_are_hardly_ever_called_behind():
    """The rule of three standard errors, where there is no difference: below one in a hundred."""
    random = np.random.default_rng(0)
    pairs = random.random((4000, 2, 200)) < 0.7
    assert np.mean([surely_behind(a, b) is not None for a, b in pairs]) < 0.01
    assert surely_behind(random.random(200) < 0.9, random.random(200) < 0.6) == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize(
    ("images", "classes", "expected"),
    [
        (1020, 102, [204, 408, 816, 1020]),
        (1000, 2, [100, 200, 400, 800, 1000]),
        (2, 2, [2]),
        (2000, 1000, [2000]),
        (2001, 1000, [2000, 2001]),
    ],
)
def test_rounds_double_until_all_images_are_in(images, classes, expected):
    assert sizes_of_rounds(images, classes) == expected


@pytest.mark.parametrize("seconds", [4, 8, 1000])
def test_who_leaves_is_told_once_and_nobody_who_stays(seconds):
    """A pool of twenty networks would otherwise be in memory to the end."""
    clock = Clock(seconds)
    entrants = [Entrant(name, top1, clock) for name, top1 in zip("abcd", (0.9, 0.88, 0.5, 0.3), strict=True)]
    race = run_race(entrants, SAMPLES, clock.left)
    assert race.images >= 100
    assert {one.name for one in entrants if one.has_left} == set("abcd") - names_left(race) != set()
    assert all(one.has_left <= 1 for one in entrants)

"""Letters of groups, against trying all groups."""

import random
from itertools import combinations

import pytest

from bench.analysis.groups import letters


def largest_groups(number, separated):
    """By brute force: all groups of which no two items are separated and to which none can be added."""
    apart = {frozenset(pair) for pair in separated}
    free = [
        frozenset(group)
        for size in range(1, number + 1)
        for group in combinations(range(number), size)
        if not any(frozenset(pair) in apart for pair in combinations(group, 2))
    ]
    return {group for group in free if not any(group < other for other in free)}


@pytest.mark.parametrize("seed", range(40))
def test_letters_are_the_largest_groups(seed):
    draw = random.Random(seed)
    number = draw.randint(1, 7)
    share = draw.random()
    separated = [pair for pair in combinations(range(number), 2) if draw.random() < share]
    found = letters(number, separated)
    groups = {frozenset(k for k in range(number) if one in found[k]) for one in set("".join(found))}
    assert groups == largest_groups(number, separated)
    assert found[0].startswith("a")


@pytest.mark.parametrize(
    ("number", "separated", "expected"),
    [
        (0, [], []),
        (2, [], ["a", "a"]),
        (2, [(1, 0)], ["a", "b"]),
        (3, [(0, 2)], ["a", "ab", "b"]),
        (3, [(0, 1), (0, 2), (1, 2)], ["a", "b", "c"]),
    ],
)
def test_small_cases(number, separated, expected):
    assert letters(number, separated) == expected


def test_more_than_26_groups_have_different_letters():
    found = letters(30, combinations(range(30), 2))
    assert len(set(found)) == 30 and found[26] == "a2"

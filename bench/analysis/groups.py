"""Groups of models that no contrast tells apart, as letters (compact letter display, Piepho 2004)."""

from collections.abc import Iterable
from string import ascii_lowercase


def letters(number: int, separated: Iterable[tuple[int, int]]) -> list[str]:
    """The letters of items 0 to `number` - 1: two items share one exactly where they are not `separated`.

    Each letter stands for a largest group of items of which no two are separated. Letters follow the order
    of the items, so that the first item has an "a"; after "z" comes "a2".

    Args:
        separated: pairs of items.
    """
    groups = [frozenset(range(number))] if number else []
    for pair in separated:
        split = [part for group in groups for part in _without(group, pair)]
        groups = [one for one in dict.fromkeys(split) if not any(one < other for other in split)]
    groups.sort(key=sorted)
    return ["".join(_letter(k) for k, group in enumerate(groups) if item in group) for item in range(number)]


def _without(group: frozenset[int], pair: tuple[int, int]) -> list[frozenset[int]]:
    """A group, or both of its parts without one of a pair that it holds."""
    return [group - {item} for item in pair] if group.issuperset(pair) else [group]


def _letter(number: int) -> str:
    again, at = divmod(number, len(ascii_lowercase))
    return ascii_lowercase[at] + (str(again + 1) if again else "")

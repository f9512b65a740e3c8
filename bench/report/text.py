"""Numbers and names as the reader sees them."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

NOT_MEASURED = "not measured"
NARROW_SPACE = "\u202f"
MINUS = "\u2212"


def percent(fraction: float | None) -> str:
    """A fraction as percent with one decimal."""
    return NOT_MEASURED if fraction is None or pd.isna(fraction) else f"{100 * fraction:.1f}"


def points(fraction: float | None, *, sign: bool = True, digits: int = 1) -> str:
    """A difference of fractions in points, one decimal unless told, with its sign or without."""
    if fraction is None or pd.isna(fraction):
        return NOT_MEASURED
    text = f"{100 * (fraction if sign else abs(fraction)):{'+' if sign else ''}.{digits}f}"
    return (text if float(text) else text.lstrip("+-")).replace("-", MINUS)


def interval_ends(low: float | None, high: float | None) -> tuple[str, str]:
    """Both ends of an interval of differences in points: with one decimal, or up to three so that none looks
    like 0 that is not, as a verdict depends on it."""
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return NOT_MEASURED, NOT_MEASURED
    digits = next((n for n in (1, 2) if all(round(100 * end, n) or not end for end in (low, high))), 3)
    return points(low, digits=digits), points(high, digits=digits)


def interval(low: float | None, high: float | None) -> str:
    """An interval of differences in points."""
    return " to ".join(interval_ends(low, high)) if not (pd.isna(low) or pd.isna(high)) else ""


def decimal(value: float, digits: int = 2) -> str:
    """A number with a fixed number of decimals."""
    return NOT_MEASURED if pd.isna(value) else f"{value:.{digits}f}"


def count(value: float) -> str:
    """A whole number in groups of three digits."""
    return NOT_MEASURED if pd.isna(value) else f"{int(value):,}".replace(",", NARROW_SPACE)


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it is not 1."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def out_of(number: int, planned: int) -> str:
    """A number, with that of what was planned where it is another."""
    return count(number) if number == planned else f"{number} of {planned}"


def size_label(shots: int | None, images_per_class: float = math.nan) -> str:
    """How many images of each class a model was trained on; `shots` may be missing as in a frame."""
    if shots is not None and not pd.isna(shots):
        return count(shots)
    if pd.isna(images_per_class):
        return "all"
    return f"all ({'about ' * (images_per_class % 1 > 0)}{images_per_class:.0f})"


def size_phrase(shots: int | None, images_per_class: float = math.nan) -> str:
    """The same, within a sentence."""
    if shots is None:
        size = "" if pd.isna(images_per_class) else size_label(None, images_per_class).removeprefix("all (")
        return "the whole training split" + (size and f" ({size.removesuffix(')')} images per class)")
    return f"{counted(shots, 'image')} per class"


def split_label(dataset: str, split_id: str | None) -> str:
    """A dataset with its division into train, val and test."""
    return f"{dataset} ({split_id or 'default split'})"


def listed(items: list[str]) -> str:
    """Items as in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def span(values: Iterable[Any], show: Callable[[Any], str] = str) -> str:
    """From the smallest to the largest of those that are not missing; one where both look the same."""
    known = [value for value in values if not pd.isna(value)]
    return " to ".join(dict.fromkeys(map(show, (min(known), max(known))))) if known else NOT_MEASURED

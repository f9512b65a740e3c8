"""What a user can put right: each error is one line that says what, where, and what would be right."""

from collections.abc import Iterable
from difflib import get_close_matches


class BenchError(Exception):
    """A one-line message for the user; the command line prints it and exits with status 2."""


class InputError(BenchError):
    """A name, an argument or a file's content that cannot be used."""


class DataError(BenchError):
    """A dataset that is missing, incomplete or damaged."""


class WeightsError(BenchError):
    """Pretrained weights that are missing or do not fit the model."""


class StoreError(BenchError):
    """A run store that cannot be read or written."""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """The nearest of `choices` as the end of a sentence, or an empty string where none is near."""
    near = get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return f'; did you mean "{near[0]}"?' if near else ""

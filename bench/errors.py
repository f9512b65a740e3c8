"""What a user can put right: each error is one line that says what, where, and what would be right."""

from collections.abc import Iterable
from difflib import get_close_matches

# What the networks of timm raise in their forward pass where the size of the images does not suit them.
REFUSALS = (RuntimeError, AssertionError, IndexError, ValueError)


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


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """The nearest of `choices` as the end of a sentence, or an empty string where none is near."""
    near = get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return f'; did you mean "{near[0]}"?' if near else ""

"""What a user can put right: each error is one line that says what, where, and what would be right."""

import logging
from collections.abc import Iterable
from difflib import get_close_matches

from bench.escape import visible

# What the networks of timm raise in their forward pass where the size of the images does not suit them.
REFUSALS = (RuntimeError, AssertionError, IndexError, ValueError)

LONGEST_NAME = 100


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


class DeviceError(BenchError):
    """A GPU that computes no more; nothing can be done in this process."""


class TrialError(Exception):
    """Machine trouble: the trial has no outcome, and the next run tries it again.

    Args:
        message: one line.
        details: the traceback, where there is one.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message, details)
        self.details = details

    def __str__(self) -> str:
        return self.args[0]


def warn(message: str) -> None:
    """One line on standard error about something that was put right and that the user should know of."""
    logging.getLogger("vcbench").warning("vcbench: warning: %s", visible(" ".join(message.split())))


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def shortened(text: str, characters: int = 120) -> str:
    """Text on one line; where it is longer than so many characters, its beginning and its end."""
    text = " ".join(text.split())
    half = (characters - 3) // 2
    return text if len(text) <= characters else f"{text[:half]}...{text[-half:]}"


def brief(message: str) -> str:
    """A message on one line, hidden characters shown; what is very long is cut in the middle."""
    return visible(shortened(" ".join(map(shortened, message.split())), 500))


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """The nearest of `choices` as the end of a sentence, or an empty string where none is near."""
    if len(name) > LONGEST_NAME:  # comparing takes the square of the length
        return ""
    by_letters = {choice.lower(): choice for choice in choices}
    near = get_close_matches(name.lower(), list(by_letters), n=1, cutoff=0.5)
    return f'; did you mean "{by_letters[near[0]]}"?' if near else ""

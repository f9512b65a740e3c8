"""Small files beside the records: what is known of a job that is not finished, and of the store itself."""

from typing import Any

from bench.store.records.base import Amount, Count, Versioned


class StoreMark(Versioned):
    """That a folder is a run store."""


class Failure(Versioned):
    """What went wrong when a trial was last tried, and how often it has been tried."""

    attempts: Count
    message: str


class Looks(Versioned):
    """How often the test set has been looked at for a trial that is not finished."""

    test: Count


class Elapsed(Versioned):
    """Seconds that earlier processes spent on a trial before they were stopped."""

    seconds: Amount


class Processes(Versioned):
    """What the processes so far gave for a profile that is not finished."""

    results: list[dict[str, Any]]


class ClassNames(Versioned):
    """The names of the classes of a split, in the order of their labels."""

    classes: list[str]

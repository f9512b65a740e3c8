"""The time of a pick."""

import time
from collections.abc import Callable

ENDING = 4.0  # seconds


class Clock:
    """Counts from its making to the end of a budget, of which ENDING is kept for what is written at the end.

    Args:
        given: seconds of the whole budget.
        now: the time in seconds; tests give their own.
        interrupted: whether the user asked for the end.
        began: when the budget began, by `now`; None for now.
    """

    def __init__(
        self,
        given: float,
        now: Callable[[], float] = time.monotonic,
        interrupted: Callable[[], bool] = lambda: False,
        began: float | None = None,
    ) -> None:
        self.given, self.budget = given, given - ENDING
        self._now, self.interrupted = now, interrupted
        self._began = now() if began is None else began

    @property
    def spent(self) -> float:
        """Seconds since it was made."""
        return self._now() - self._began

    @property
    def left(self) -> float:
        """Seconds to the end of the budget; below 0 after it."""
        return self.budget - self.spent

    def until(self, share: float) -> Callable[[], bool]:
        """Whether a share of the budget is spent, or the user asked for the end."""
        return lambda: self.interrupted() or self.spent >= share * self.budget

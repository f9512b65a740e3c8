"""What a running trial tells the outside, and how the outside stops it."""

from typing import Protocol


class Stopped(Exception):
    """The trial was asked to stop; what it had done is kept and the next run continues."""


class Observer(Protocol):
    """Follows one trial; the command line draws bars from it."""

    def progress(self, phase: str, done: int, total: int, **numbers: float) -> None:
        """`done` of `total` steps or images of a phase, with what is known: loss, val_top1, images_per_s."""

    def logged(self, row: dict[str, float]) -> None:
        """A row of the learning curve (step, loss, lr, val_top1, ...); rows from before an interruption come
        again."""

    def should_stop(self) -> bool:
        """Whether the trial is to stop at the next step."""


class Silent:
    """An observer that neither shows nor stops anything."""

    def progress(self, phase: str, done: int, total: int, **numbers: float) -> None:
        """Shows nothing."""

    def logged(self, row: dict[str, float]) -> None:
        """Shows nothing."""

    def should_stop(self) -> bool:
        """Never."""
        return False


class Part:
    """Passes the progress of a part on as that of the whole.

    Args:
        observer: of the whole.
        start: where the part begins.
        total: how much the whole is.
    """

    def __init__(self, observer: Observer, start: int, total: int) -> None:
        self._observer, self._start, self._total = observer, start, total

    def progress(self, phase: str, done: int, total: int, **numbers: float) -> None:
        """Passed on, counted from the beginning of the whole."""
        self._observer.progress(phase, self._start + done, self._total, **numbers)

    def logged(self, row: dict[str, float]) -> None:
        """Passed on."""
        self._observer.logged(row)

    def should_stop(self) -> bool:
        """As the whole's observer."""
        return self._observer.should_stop()

"""Engines: whatever executes trials. A trial is a function of plain data, so it can be done anywhere."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from bench.plan import Resolved
from bench.store import RunStore

if TYPE_CHECKING:
    from bench.training.fitting import Place
    from bench.training.observer import Observer


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: another process has it in hand (`held`), or has done it (`elsewhere`)."""

    resolved: Resolved
    status: Literal["finished", "diverged", "errored", "elsewhere", "held", "stopped"]
    record: dict[str, Any] | None = None
    message: str = ""


class Engine(Protocol):
    """Executes trials somewhere, in the order given as far as it can."""

    def run(
        self, trials: Iterable[Resolved], place: "Place", follow: "Callable[[Resolved], Observer]"
    ) -> Iterator[Outcome]:
        """Yields an outcome for each trial as it ends; nothing after one that was `stopped`."""


class InProcess:
    """One trial after the other, in this process."""

    def run(
        self, trials: Iterable[Resolved], place: "Place", follow: "Callable[[Resolved], Observer]"
    ) -> Iterator[Outcome]:
        """As `Engine.run`."""
        from bench.training.fitting import TrialError
        from bench.training.observer import Stopped
        from bench.training.trial import run_trial

        store = RunStore(place.results)
        for resolved in trials:
            with store.claim(resolved.id) as mine:
                if not mine:
                    yield Outcome(resolved, "held")
                    continue
                if store.is_done(resolved.id):
                    yield Outcome(resolved, "elsewhere", store.record(resolved.id))
                    continue
                observer = follow(resolved)
                if observer.should_stop():
                    yield Outcome(resolved, "stopped")
                    return
                try:
                    record = run_trial(resolved, place, observer)
                except TrialError as error:
                    store.note_error(resolved.id, str(error))
                    yield Outcome(resolved, "errored", message=str(error))
                    continue
                except Stopped:
                    yield Outcome(resolved, "stopped")
                    return
                yield Outcome(resolved, record["outcome"], record)

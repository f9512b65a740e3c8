"""What a run store keeps of trials and profiles that are not finished."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bench.errors import StoreError, warn
from bench.files import locked, write_json, write_text
from bench.store.layout import Layout
from bench.store.reading import AnyStored, read
from bench.store.records import FORMAT, Elapsed, Failure, Looks, Processes


class Unfinished(Layout):
    """The small files beside a record that is still to come. A damaged one is named in a warning."""

    def claim(self, name: str) -> AbstractContextManager[bool]:
        """Hold a run for this process; gives False where another process holds it (`bench.files.locked`)."""
        return locked(self.lock_of(name))

    def failure(self, run: str) -> Failure | None:
        """What went wrong when a trial was last tried."""
        return _if_whole(self.files(run).error, Failure)

    def note_error(self, run: str, message: str, details: str = "") -> None:
        """Keep what went wrong with a trial that will be tried again; `details` are the traceback."""
        files, earlier = self.files(run), self.failure(run)
        attempts = 1 + (earlier.attempts if earlier else 0)
        write_json(files.error, {"format": FORMAT, "attempts": attempts, "message": message})
        if details:
            write_text(files.traceback, details)

    def elapsed(self, run: str) -> float:
        """Seconds that earlier processes spent on a trial before they were stopped."""
        spent = _if_whole(self.files(run).elapsed, Elapsed)
        return spent.seconds if spent else 0.0

    def add_elapsed(self, run: str, seconds: float) -> None:
        """Note how long a process was at a trial that it could not finish."""
        content = {"format": FORMAT, "seconds": round(self.elapsed(run) + seconds, 3)}
        write_json(self.files(run).elapsed, content)

    def evaluations(self, run: str) -> int:
        """How often an unfinished trial has looked at the test set.

        Raises:
            StoreError: the note of it is damaged: a look is never forgotten.
        """
        path = self.files(run).evaluations
        return read(path, Looks).test if path.exists() else 0

    def count_evaluation(self, run: str) -> None:
        """Note that the test set is about to be looked at."""
        write_json(self.files(run).evaluations, {"format": FORMAT, "test": self.evaluations(run) + 1})

    def processes(self, profile: str) -> list[dict[str, Any]]:
        """What the processes so far gave for a profile that is not finished."""
        kept = _if_whole(self.processes_of(profile), Processes)
        return kept.results if kept else []

    def keep_processes(self, profile: str, results: list[dict[str, Any]]) -> None:
        """Keep what a profile's processes gave, for it to go on from if it is not finished now."""
        write_json(self.processes_of(profile), {"format": FORMAT, "results": results})


def _if_whole(path: Path, schema: type[AnyStored]) -> AnyStored | None:
    """A small file; None where there is none or it is damaged."""
    try:
        return read(path, schema) if path.exists() else None
    except StoreError as error:
        warn(f"{error}; left out")
        return None

"""What a run store keeps of jobs that are not finished."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bench.errors import StoreError, warn
from bench.files import locked, write_json, write_text
from bench.store.job_files import JobFiles
from bench.store.layout import Layout
from bench.store.reading import AnyStored, read
from bench.store.records.base import FORMAT
from bench.store.records.notes import Elapsed, Failure, Looks, Processes
from bench.store.records.trials import EvaluationRecord


class Unfinished(Layout):
    """The small files beside a record that is still to come. A damaged one is named in a warning."""

    def claim(self, name: str) -> AbstractContextManager[bool]:
        """Hold a job for this process; gives False where another process holds it (`bench.files.locked`)."""
        return locked(self.lock_of(name))

    def failure(self, files: JobFiles) -> Failure | None:
        """What went wrong when a job was last tried."""
        return _if_whole(files.error, Failure)

    def note_error(self, files: JobFiles, message: str, details: str = "") -> None:
        """Keep what went wrong with a job that will be tried again; `details` are the traceback."""
        earlier = self.failure(files)
        attempts = 1 + (earlier.attempts if earlier else 0)
        write_json(files.error, {"format": FORMAT, "attempts": attempts, "message": message})
        if details:
            write_text(files.traceback, details)

    def elapsed(self, files: JobFiles) -> float:
        """Seconds that earlier processes spent on a job before they were stopped."""
        spent = _if_whole(files.elapsed, Elapsed)
        return spent.seconds if spent else 0.0

    def add_elapsed(self, files: JobFiles, seconds: float) -> None:
        """Note how long a process was at a job that it could not finish."""
        content = {"format": FORMAT, "seconds": round(self.elapsed(files) + seconds, 3)}
        write_json(files.elapsed, content)

    def looks(self, files: JobFiles) -> int:
        """How often an unfinished evaluation has looked at the test set; the looks of an earlier one, whose
        record is still there, are counted.

        Raises:
            StoreError: the note of it is damaged: a look is never forgotten.
        """
        if files.looks.exists():
            return read(files.looks, Looks).test
        earlier = _if_whole(files.record, EvaluationRecord)
        return (earlier.test_evaluations or 0) if earlier else 0

    def count_look(self, files: JobFiles) -> None:
        """Note that the test set is about to be looked at."""
        write_json(files.looks, {"format": FORMAT, "test": self.looks(files) + 1})

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

"""The jobs of one round, each handed out once those that it needs are done."""

from collections.abc import Collection, Iterable

from bench.running.attempt import Outcome
from bench.spec.job import EvaluateJob, TrainJob


class Queue:
    """Jobs in their order, as far as they are ready.

    A job whose need could not be met, or is in another process's hands, is never handed out.

    Args:
        done: ids of jobs that are done already.
    """

    def __init__(self, jobs: Iterable[TrainJob | EvaluateJob], done: Collection[str] = ()) -> None:
        self._waiting, self._done = list(jobs), set(done)

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self) -> TrainJob | EvaluateJob | None:
        """The next job that is ready; None where none is, or none yet."""
        for number, job in enumerate(self._waiting):
            if self._done.issuperset(job.needs):
                return self._waiting.pop(number)
        return None

    def ended(self, outcome: Outcome) -> None:
        """Tell how a job ended that was handed out."""
        if outcome.status in ("finished", "elsewhere"):
            self._done.add(outcome.job.id)

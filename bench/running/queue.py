"""The jobs of one round, each handed out once those that it needs are done."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from bench.running.attempt import Outcome
from bench.spec.job import EvaluateJob, TrainJob


class Queue:
    """Jobs in their order, as far as they are ready.

    A job whose need could not be met, or is in another process's hands, is never handed out.

    Args:
        done: ids of jobs that are done already.
        should_stop: whether the run is to end; for an engine whose jobs may wait long before they begin, as
            only those that have begun are asked by `attempt`.
    """

    def __init__(
        self,
        jobs: Iterable[TrainJob | EvaluateJob],
        done: Collection[str] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.should_stop = should_stop
        self._jobs, done = list(jobs), set(done)
        self._lacking = [set(job.needs) - done for job in self._jobs]
        self._places: list[tuple[float, ...]] = [(number,) for number in range(len(self._jobs))]
        ready = (number for number, lacking in enumerate(self._lacking) if not lacking)
        self._ready = [self._places[number] for number in ready]
        self._waiting = len(self._jobs)
        self._needing: defaultdict[str, list[int]] = defaultdict(list)
        for number, lacking in enumerate(self._lacking):
            for need in lacking:
                self._needing[need].append(number)

    def __len__(self) -> int:
        return self._waiting

    def take(self) -> TrainJob | EvaluateJob | None:
        """The next job that is ready; None where none is, or none yet."""
        if not self._ready:
            return None
        self._waiting -= 1
        return self._jobs[int(heapq.heappop(self._ready)[-1])]

    def longest_first(self) -> None:
        """From now on, evaluations before trainings, and of the trainings of a replicate the longest first.

        For several processes: none is left alone with a long training when the others have no more to do.
        """
        self._places = [(*_length(job), number) for number, job in enumerate(self._jobs)]
        self._ready = [self._places[int(place[-1])] for place in self._ready]
        heapq.heapify(self._ready)

    def ended(self, outcome: Outcome) -> None:
        """Tell how a job ended that was handed out."""
        if outcome.status in ("finished", "elsewhere"):
            for number in self._needing.pop(outcome.job.id, ()):
                self._lacking[number].discard(outcome.job.id)
                if not self._lacking[number]:
                    heapq.heappush(self._ready, self._places[number])


def _length(job: TrainJob | EvaluateJob) -> tuple[float, float]:
    """What sorts evaluations first, then trainings by replicate and the pixels that they go over."""
    if isinstance(job, EvaluateJob):
        return -1, 0
    budget = job.trial.recipe.budget
    images = budget.steps(job.train_images)[0] * budget.batch_size if budget else job.train_images
    return job.trial.replicate, -images * job.trial.input_size**2

"""One job after the other, in this process."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.running.attempt import Follow, Outcome, attempt
from bench.running.queue import Queue

if TYPE_CHECKING:
    from bench.running.workspace import Workspace


def make(jobs: int, threads: int) -> "InProcess":
    """The engine; there is no second job at once, and threads are PyTorch's own number."""
    return InProcess()


class InProcess:
    """See the module."""

    description = "one trial at a time"

    def run(self, queue: Queue, workspace: "Workspace", follow: Follow) -> Iterator[Outcome]:
        """As `bench.running.engines.Engine.run`."""
        while (job := queue.take()) is not None:
            outcome = attempt(job, workspace, follow)
            queue.ended(outcome)
            yield outcome
            if outcome.status == "stopped":
                return

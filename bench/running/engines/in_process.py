"""One job after the other, in this process."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.errors import InputError
from bench.running.attempt import Follow, Outcome, attempt
from bench.running.queue import Queue
from bench.running.threads import threads_of

if TYPE_CHECKING:
    from bench.running.engines import Wanted
    from bench.running.workspace import Workspace


def make(wanted: "Wanted") -> "InProcess":
    """The engine; PyTorch has its own number of threads.

    Raises:
        InputError: several jobs at once.
    """
    if wanted.jobs not in (None, 1):
        raise InputError(
            f"--jobs {wanted.jobs}: the engine in_process does one at a time; use --engine processes"
        )
    return InProcess()


class InProcess:
    """See the module."""

    description = "one trial at a time"

    def run(self, queue: Queue, workspace: "Workspace", follow: Follow) -> Iterator[Outcome]:
        """As `bench.running.engines.Engine.run`."""
        while (job := queue.take()) is not None:
            with threads_of(job, workspace.device):
                outcome = attempt(job, workspace, follow)
            queue.ended(outcome)
            yield outcome
            if outcome.status == "stopped":
                return

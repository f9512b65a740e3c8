"""Engines: whatever does jobs, each a file here. A job is plain data, so it can be done anywhere.

`bench.running.attempt` is what every engine does with one job; an engine decides where, and how many at once.
A file holds `make(wanted: Wanted) -> Engine`, which raises InputError where it cannot be as wanted.
"""

import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol

from bench.errors import InputError, did_you_mean
from bench.machine import machine_facts
from bench.running.attempt import Follow, Outcome
from bench.running.packing import jobs_that_fit
from bench.running.queue import Queue
from bench.running.threads import is_small
from bench.spec.job import Trial

if TYPE_CHECKING:
    from bench.running.workspace import Workspace

# For how many small trials several processes are started without being asked for, and how many at most: each
# takes some hundred MB of memory, and as long to start as a few such trials take.
TRIALS_A_PROCESS = 4
MOST_JOBS = 8


Jobs = int | Literal["auto"]


@dataclass(frozen=True)
class Wanted:
    """What an engine is made for.

    Attributes:
        jobs: how many at once; None leaves it to the engine.
        cores: of this machine.
        device: "cpu", "cuda" or "mps".
        address: of a cluster; None stands for this machine.
    """

    jobs: int | None
    cores: int
    device: str
    address: str | None = None


class Engine(Protocol):
    """Does jobs somewhere, in the order given as far as it can; `description` says where, for the user."""

    description: str

    def run(self, queue: Queue, workspace: "Workspace", follow: Follow) -> Iterator[Outcome]:
        """Take jobs from the queue until it is empty, tell it how each ended, and yield that.

        Once one was `stopped`, no other is begun.
        """


def choose_engine(
    trials: Sequence[Trial],
    device: str,
    jobs: Jobs | None,
    name: str | None = None,
    images: Callable[[Trial], int] = lambda trial: 0,
    address: str | None = None,
) -> Engine:
    """The engine of a name for these trials, with `jobs` at once, as many as fit ("auto"), or as suit them.

    Networks for small images gain nothing from a second thread, so on a CPU they get a process for each core
    where there are enough trials to repay starting it. Everything else is run one trial at a time.

    Args:
        images: how many a trial's dataset has; see `jobs_that_fit`.
        name: of a file here; None takes processes for several jobs at once, else this process.
        address: of the cluster, for the engine "ray".

    Raises:
        InputError: no such engine, or it cannot do so many jobs at once.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    if name is not None and name not in names:
        raise InputError(f'no engine "{name}"{did_you_mean(name, names)} (engines: {", ".join(names)})')
    if address is not None and name != "ray":
        raise InputError(f"--address {address}: goes with --engine ray")
    cores = int(machine_facts()["cores"])
    if jobs == "auto" and name == "ray":
        jobs = None  # it packs its nodes itself
    if jobs == "auto":
        jobs = jobs_that_fit(trials, device, cores, images)
    elif jobs is not None and jobs < 1:
        raise InputError(f"--jobs {jobs}: should be 1 or more, or auto")
    if name is None:
        if jobs is None:
            suited = min(cores, MOST_JOBS, len(trials) // TRIALS_A_PROCESS)
            jobs = max(1, suited) if all(map(is_small, trials)) and device == "cpu" else 1
        name = "processes" if jobs > 1 else "in_process"
    engine: Engine = import_module(f"{__name__}.{name}").make(Wanted(jobs, cores, device, address))
    return engine

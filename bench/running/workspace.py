"""Where jobs are run."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.planning.plan import Resolver
from bench.store.run_store import RunStore


@dataclass(frozen=True)
class Workspace:
    """Where jobs find their inputs and leave their results, and the device they run on.

    Datasets and weights are opened once in a process; another process that is given the workspace opens its
    own.

    Attributes:
        gpus_per_trial: how many processes train a network together, each on a GPU of its own (on a CPU, with
            a share of its threads).
    """

    data_dir: Path
    weights_dir: Path
    results: Path
    device: str
    gpus_per_trial: int = 1

    @cached_property
    def store(self) -> RunStore:
        """The run store of the results."""
        return RunStore(self.results)

    @cached_property
    def resolver(self) -> Resolver:
        """Opens what trials need; fetches weights that are not here."""
        return Resolver(self.data_dir, self.weights_dir, self.store.if_there(), download=True)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("store", "resolver")}

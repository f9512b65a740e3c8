"""Parameters and operations of a model; counted in this process, and the same on every machine."""

from functools import cache
from typing import TYPE_CHECKING

from bench.machine import versions
from bench.profiling.config import CostConfig
from bench.profiling.job import PROFILE_FORMAT, ProfileJob
from bench.profiling.kind import Fields, Kind

if TYPE_CHECKING:
    from bench.profiling.session import Session


class Cost(Kind[CostConfig]):
    name, config, requestable = "cost", CostConfig, False
    columns = ("model", "input_size", "classes", "params", "flops", "gmacs")

    def check(self, job: ProfileJob[CostConfig], session: "Session") -> None:
        self.profile(job, session)

    def profile(self, job: ProfileJob[CostConfig], session: "Session") -> Fields:
        return count_cost(job.config, job.id)

    def expected_seconds(self, job: ProfileJob[CostConfig], step_s: float) -> float:
        return COUNT_S

    def record(self, job: ProfileJob[CostConfig], started: str, finished: str, numbers: Fields) -> Fields:
        return {
            **numbers,
            "format": PROFILE_FORMAT,
            "kind": "profile",
            "what": self.name,
            "id": job.id,
            "versions": versions(),
        }


# Seconds that one count takes.
COUNT_S = 1.5


@cache
def count_cost(config: CostConfig, run: str) -> Fields:
    """The fields of `bench.profiling.cost.cost`, counted once in a process; `run` is the id of the profile.

    Raises:
        InputError: the network cannot be made.
    """
    from bench.networks import find_card
    from bench.profiling.cost import cost

    return cost(find_card(config.model), classes=config.classes, input_size=config.input_size)


KIND = Cost()

"""Peak memory, in a fresh process in which nothing is timed."""

from typing import TYPE_CHECKING

from bench.profiling.config import NetworkConfig
from bench.profiling.job import ProfileJob
from bench.profiling.kind import FRESH_S, NETWORK, Fields, NetworkKind

if TYPE_CHECKING:
    from bench.profiling.session import Session

STEPS = 4


class Memory(NetworkKind):
    name, at_sizes, of_deployed = "memory", True, True
    columns = (*NETWORK, "peak_rss_mib", "peak_allocated_mib", "resting_mib")

    def profile(self, job: ProfileJob[NetworkConfig], session: "Session") -> Fields:
        return {"processes": 1} | session.measure(self.name, job.config)

    def expected_seconds(self, job: ProfileJob[NetworkConfig], step_s: float) -> float:
        return FRESH_S + STEPS * step_s


KIND = Memory()

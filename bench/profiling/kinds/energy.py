"""Energy per image of a GPU that counts it, in a fresh process."""

from typing import TYPE_CHECKING

from bench.profiling.config import NetworkConfig
from bench.profiling.job import ProfileJob
from bench.profiling.kind import NETWORK, START_S, Fields, NetworkKind

if TYPE_CHECKING:
    from bench.profiling.session import Session

# Three windows of five seconds, warm-up, and random moments between.
MEASURE_S = 25.0


class Energy(NetworkKind):
    name = "energy"
    columns = (*NETWORK, "energy_j_per_image", "energy_net_j_per_image", "energy_scope")

    def idle(self, config: NetworkConfig) -> Fields:
        """Taken in a fresh process: the power of a board without work."""
        from bench.profiling.energy import measure_idle

        return measure_idle(config.device)

    def profile(self, job: ProfileJob[NetworkConfig], session: "Session") -> Fields:
        if session.idle_watts is None:
            idle = session.measure(self.name, job.config, method="idle")
            if idle["outcome"] != "measured":
                return idle
            session.idle_watts = idle["idle_watts"]
        return session.measure(self.name, job.config, idle_watts=session.idle_watts)

    def expected_seconds(self, job: ProfileJob[NetworkConfig], step_s: float) -> float:
        return START_S + MEASURE_S


KIND = Energy()

"""How many images a second, and how long a step takes; beside it the limits of the machine."""

from typing import TYPE_CHECKING

from bench.profiling.config import LimitConfig, NetworkConfig
from bench.profiling.job import ProfileJob, profile_job
from bench.profiling.kind import NETWORK, RATES, Fields, NetworkKind

if TYPE_CHECKING:
    from bench.profiling.scheduler import Row
    from bench.profiling.session import Session

# An exported network is written once; its rows, of two batches mostly, share that.
EXPORT_S = 7.0


class Speed(NetworkKind):
    name, repeated, at_sizes, of_deployed = "speed", True, True, True
    columns = (*NETWORK, *RATES, "fraction_of_matmul_peak")

    def expected_seconds(self, job: ProfileJob[NetworkConfig], step_s: float) -> float:
        return super().expected_seconds(job, step_s) + (EXPORT_S if job.config.deployed else 0)

    def limits(self, job: ProfileJob[NetworkConfig]) -> list[ProfileJob[LimitConfig]]:
        if job.config.deployed:  # PyTorch's matrix products are no limit of theirs
            return []
        device, threads = job.config.device, job.config.threads
        return [
            profile_job("matmul", LimitConfig(device, threads, job.config.precision), job.budget),
            profile_job("bandwidth", LimitConfig(device, threads), job.budget),
        ]

    def summary(self, row: "Row", images_per_s: float, session: "Session") -> Fields:
        """FLOP/s, beside what the machine reaches in products of matrices, and its memory's bytes/s."""
        config = row.job.config
        cost = session.cost(config.model, config.classes, config.input_size)
        flops_per_s = cost["flops" if config.mode == "infer" else "flops_train_step"] * images_per_s
        peak, bandwidth = [session.limits.get(limit) for limit in self.limits(row.job)] or (None, None)
        return {
            "flops_per_s": flops_per_s,
            "matmul_peak": peak,
            "fraction_of_matmul_peak": flops_per_s / peak["flops_per_s"] if peak else None,
            "memory_bandwidth": bandwidth,
        }


KIND = Speed()

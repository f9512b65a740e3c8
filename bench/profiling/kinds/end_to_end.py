"""From JPEG bytes to labels, with the smallest and the largest batch of inference."""

from collections.abc import Iterator
from statistics import fmean, median
from typing import TYPE_CHECKING

from bench.profiling.config import NetworkConfig
from bench.profiling.job import ProfileJob, Request
from bench.profiling.kind import NETWORK, RATES, Fields, NetworkKind
from bench.profiling.kinds.loading import jpeg_seconds

if TYPE_CHECKING:
    from bench.profiling.scheduler import Row
    from bench.profiling.session import Session

PHASES = ("decode", "transform", "model")


class EndToEnd(NetworkKind):
    name, repeated = "end_to_end", True
    columns = (*NETWORK, *RATES[:2], *(f"{name}_share" for name in PHASES))

    def jobs(self, request: Request) -> Iterator[ProfileJob[NetworkConfig]]:
        configs = [config for config in request.configs if config.mode == "infer"]
        batch_sizes = [config.batch_size for config in configs]
        for config in configs if self.name in request.kinds else ():
            if config.batch_size in (min(batch_sizes), max(batch_sizes)):
                yield request.job(self.name, config)

    def summary(self, row: "Row", images_per_s: float, session: "Session") -> Fields:
        """Medians in ms of the phases of a batch, their shares of all time, and the rate of the model alone.

        That rate is of the model's phase of the same steps, and a mean over processes like that of the whole,
        so that it is never slower.
        """
        seconds = {name: [s for one in row.results for s in one["phases"][name]] for name in PHASES}
        total = sum(map(sum, seconds.values()))
        rates = [row.job.config.batch_size / median(one["phases"]["model"]) for one in row.results]
        return {
            "model_images_per_s": fmean(rates),
            **{f"{name}_ms": 1000 * median(values) for name, values in seconds.items()},
            **{f"{name}_share": sum(values) / total for name, values in seconds.items()},
            "phase_medians_ms": [
                {name: 1000 * median(one["phases"][name]) for name in PHASES} for one in row.results
            ],
        }

    def expected_seconds(self, job: ProfileJob[NetworkConfig], step_s: float) -> float:
        return super().expected_seconds(job, step_s + jpeg_seconds(job.config))


KIND = EndToEnd()

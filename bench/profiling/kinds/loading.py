"""The data path alone, without a model; it is measured where end to end is, with its largest batch."""

from collections.abc import Iterator

from bench.profiling.config import PATHS, LoadingConfig, NetworkConfig
from bench.profiling.job import ProfileJob, Request
from bench.profiling.kind import RATES, Kind

# A JPEG of 500 x 375 px to an input, on one core.
JPEG_S = 0.008


class Loading(Kind[LoadingConfig]):
    name, config, requestable, repeated = "loading", LoadingConfig, False, True
    columns = ("path", "batch_size", "input_size", *RATES)

    def jobs(self, request: Request) -> Iterator[ProfileJob[LoadingConfig]]:
        configs = [config for config in request.configs if config.mode == "infer"]
        for config in configs if "end_to_end" in request.kinds else ():
            if config.batch_size == max(other.batch_size for other in configs):
                where = config.batch_size, config.input_size, config.device, config.threads, config.allocator
                yield from (request.job(self.name, LoadingConfig(path, *where)) for path in PATHS)

    def expected_seconds(self, job: ProfileJob[LoadingConfig], step_s: float) -> float:
        return super().expected_seconds(job, jpeg_seconds(job.config))


def jpeg_seconds(config: NetworkConfig | LoadingConfig) -> float:
    """Seconds from the bytes of a batch to a network's input."""
    return config.batch_size * JPEG_S / config.threads


KIND = Loading()

"""How long measurements will take: their processes, and the steps that each of them takes."""

from collections.abc import Iterable
from statistics import median

from bench.machine import device_name, machine_name
from bench.profiling.config import NetworkConfig
from bench.profiling.job import ProfileJob
from bench.profiling.kinds import find_kind
from bench.runtimes import TORCH
from bench.store.records.profiles import CostRecord, MeasuredRecord, ProfileRecord

# Where nothing was measured here yet: FLOP/s of a core and of a GPU, and FLOPs of a forward pass at 224 px.
CORE_FLOPS, GPU_FLOPS, FORWARD_FLOPS = 8e10, 3e13, 1e10
BACKWARD = 3


def expected_seconds(jobs: Iterable[ProfileJob], records: Iterable[ProfileRecord]) -> float:
    """Seconds that all of `jobs` take where no row is unstable; such may take up to four times as long.

    Args:
        records: the profiles of a store: costs give the FLOPs, speeds measured here those a second.
    """
    records = list(records)
    flops = {(r.model, r.input_size): r.flops for r in records if isinstance(r, CostRecord)}
    return sum(
        find_kind(job.what).expected_seconds(
            job, _step(job.config, flops, records) if isinstance(job.config, NetworkConfig) else 0.0
        )
        for job in jobs
    )


def _step(config: NetworkConfig, flops: dict[tuple[str, int], int], records: list[ProfileRecord]) -> float:
    """Seconds of one step of a network."""
    at_224 = flops.get((config.model, 224), FORWARD_FLOPS)
    forward = flops.get((config.model, config.input_size), at_224 * (config.input_size / 224) ** 2)
    rates = [
        r.flops_per_s
        for r in records
        if isinstance(r, MeasuredRecord)
        and r.what == "speed"
        and r.runtime == TORCH
        and r.flops_per_s
        and (r.machine, r.device) == (machine_name(), device_name(config.device))
    ]
    usual = CORE_FLOPS * config.threads if config.device == "cpu" else GPU_FLOPS
    passes = BACKWARD if config.mode == "train" else 1
    return passes * forward * config.batch_size / (median(rates) if rates else usual)

"""Profiles: costs that are counted, and what was measured in one setting."""

from typing import Any, Literal, Self

from pydantic import model_validator

from bench.store.records.base import Amount, Circumstances, Count, Id, Share, Stored


class ProfileRecord(Circumstances):
    """A measurement of a network, or of the path of images to one."""

    kind: Literal["profile"] = "profile"
    id: Id
    what: str
    model: str | None = None
    title: str | None = None
    family: str | None = None
    pretraining: str | None = None
    classes: Count | None = None
    input_size: Count | None = None


class CostRecord(ProfileRecord):
    """Counts of a network with one head at one input size; `gmacs` in 10^9, `activations_m` in millions."""

    what: Literal["cost"]
    model: str
    classes: Count
    input_size: Count
    params: Count
    flops: Count
    gmacs: Amount
    trainable_params: Count | None = None
    gmacs_all: Amount | None = None
    flops_train_step: Count | None = None
    activations_m: Amount | None = None
    counter: str | None = None
    by_part: dict[str, Count] = {}
    elementwise: dict[str, Count] = {}


class ScalingRow(Stored):
    """The cost of a network at one of several input sizes."""

    input_size: Count
    params: Count | None = None
    flops: Count | None = None
    gmacs: Amount | None = None
    tokens: Count | None = None
    attention_matrices_flops: Count | None = None
    attention_share: Share | None = None
    activations_m: Amount | None = None


class MeasuredRecord(ProfileRecord):
    """What was measured in one setting; the columns of `bench.tables.measured` say what the fields are."""

    versions: dict[str, str | None]
    outcome: str | None = None
    reason: str | None = None
    mode: str | None = None
    precision: str | None = None
    memory_format: str | None = None
    allocator: str | None = None
    path: str | None = None
    batch_size: Count | None = None
    largest_batch: Count | None = None
    compiled: bool | None = None
    # The name of the library that ran the network.
    runtime: str = "torch"
    as_trained: bool | None = None
    cudnn_benchmark: bool | None = None
    best: bool | None = None
    # of speed, end to end and loading
    images_per_s: Amount | None = None
    images_per_s_low: Amount | None = None
    images_per_s_high: Amount | None = None
    earlier_images_per_s: Amount | None = None
    latency_ms_median: Amount | None = None
    latency_ms_q1: Amount | None = None
    latency_ms_q3: Amount | None = None
    latency_ms_p95: Amount | None = None
    latency_ms_p99: Amount | None = None
    samples: Count | None = None
    processes: Count | None = None
    unstable: bool | None = None
    busy: bool | None = None
    steady: bool | None = None
    other_cores: float | None = None
    clock: str | None = None
    casting: str | None = None
    optimizer: str | None = None
    error: Amount | None = None
    agreement: Share | None = None
    calibration: str | None = None
    gpu_processes: Count | None = None
    flops_per_s: Amount | None = None
    fraction_of_matmul_peak: Amount | None = None
    matmul_peak: dict[str, Any] | None = None
    memory_bandwidth: dict[str, Any] | None = None
    jpeg_px: str | None = None
    jpeg_kib: Amount | None = None
    model_images_per_s: Amount | None = None
    decode_ms: Amount | None = None
    transform_ms: Amount | None = None
    model_ms: Amount | None = None
    decode_share: Share | None = None
    transform_share: Share | None = None
    model_share: Share | None = None
    # of memory and energy
    peak_allocated_mib: float | None = None
    peak_reserved_mib: float | None = None
    peak_rss_mib: float | None = None
    baseline_mib: float | None = None
    resting_mib: float | None = None
    energy_j_per_image: float | None = None
    energy_net_j_per_image: float | None = None
    energy_windows: Count | None = None
    energy_scope: str | None = None
    # of scaling
    rows: list[ScalingRow] = []
    attention_outgrows_rest_px: Count | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.outcome is None and self.what in ("speed", "memory", "energy", "end_to_end", "loading"):
            raise ValueError("outcome is missing")
        return self

"""Tables of what was measured: speed, memory, how both and cost scale, end to end, and loading."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from bench.files import canonical
from bench.frames import frame, typed
from bench.runtimes import TORCH
from bench.store.records.profiles import MeasuredRecord, ProfileRecord

SETTING = {
    "model": "str",
    "mode": "str",
    "device": "str",
    "machine": "str",
    "precision": "str",
    "memory_format": "str",
    "compiled": "boolean",
    "batch_size": "Int64",
    "input_size": "Int64",
}
OUTCOME = {"outcome": "str", "reason": "str", "largest_batch": "Int64"}
CONTEXT = {
    "as_trained": "boolean",
    "allocator": "str",
    "cudnn_benchmark": "boolean",
    "classes": "Int64",
    "threads": "Int64",
    "title": "str",
    "family": "str",
    "torch": "str",
    "runtime": "str",
    "runtime_version": "str",
    "commit": "str",
    "started": "str",
    "finished": "str",
    "profile": "str",
}
RUNTIME = ("runtime", "runtime_version")

SPEED = {
    **SETTING,
    "images_per_s": "float64",
    "latency_ms_median": "float64",
    "latency_ms_q1": "float64",
    "latency_ms_q3": "float64",
    "samples": "Int64",
    "processes": "Int64",
    "unstable": "boolean",
    "busy": "boolean",
    "fraction_of_matmul_peak": "float64",
    "best": "boolean",
    **OUTCOME,
    "images_per_s_low": "float64",
    "images_per_s_high": "float64",
    "latency_ms_p95": "float64",
    "latency_ms_p99": "float64",
    "flops_per_s": "float64",
    "matmul_peak_flops_per_s": "float64",
    "memory_bandwidth_bytes_per_s": "float64",
    "energy_j_per_image": "float64",
    "energy_net_j_per_image": "float64",
    "energy_windows": "Int64",
    "energy_scope": "str",
    "earlier_images_per_s": "float64",
    "error": "float64",
    "agreement": "float64",
    "calibration": "str",
    "steady": "boolean",
    "other_cores": "float64",
    "clock": "str",
    "casting": "str",
    "optimizer": "str",
    "gpu_processes": "Int64",
    **CONTEXT,
}
"""Columns of the speed table: one row a setting. Latency is that of a step, whatever its batch; `best` is
the fastest setting of the model, mode and input size where it was looked for, measured again; `error` is the
distance of the outputs from those in fp32, relative; `other_cores` is what other processes kept busy. Bytes
per second are those of the machine's memory, energy that of what `energy_scope` names, `net` of what it takes
when idle. `earlier_images_per_s` is what the store held of the very same setting before: more than 5 % apart,
the row is `unstable`, as where the 95 % interval over its processes is wider than 5 % either way.
`runtime` is what ran the network, `torch` or a library that runs exported networks, of `runtime_version`;
of these `agreement` is the share of images with the same largest output as in PyTorch, and `calibration` what
int8 was calibrated on. `as_trained`: in the layout, with the `allocator` and cuDNN's choice of algorithms, in
which trials train the model on the device; missing in records of versions that did not yet measure so."""

PROCESSES = {
    "samples": "Int64",
    "processes": "Int64",
    "unstable": "boolean",
    "busy": "boolean",
}
CAVEATS = {
    "earlier_images_per_s": "float64",
    "steady": "boolean",
    "other_cores": "float64",
    "clock": "str",
}

END_TO_END = {
    **{name: dtype for name, dtype in SETTING.items() if name != "mode"},
    "images_per_s": "float64",
    "latency_ms_median": "float64",
    "latency_ms_q1": "float64",
    "latency_ms_q3": "float64",
    "decode_ms": "float64",
    "transform_ms": "float64",
    "model_ms": "float64",
    "decode_share": "float64",
    "transform_share": "float64",
    "model_share": "float64",
    "model_images_per_s": "float64",
    "jpeg_px": "str",
    "jpeg_kib": "float64",
    **PROCESSES,
    **OUTCOME,
    "images_per_s_low": "float64",
    "images_per_s_high": "float64",
    **CAVEATS,
    **{name: dtype for name, dtype in CONTEXT.items() if name not in RUNTIME},
}
"""Columns of the end_to_end table: one row a setting of inference, from JPEG bytes in memory to labels.
Latency is that of a batch; the phases have medians in ms, and shares of all the time, which add up to 1.
`model_images_per_s` is the rate of the model's phase alone, in the same steps."""

LOADING = {
    "path": "str",
    "device": "str",
    "machine": "str",
    "batch_size": "Int64",
    "input_size": "Int64",
    "images_per_s": "float64",
    "latency_ms_median": "float64",
    "latency_ms_q1": "float64",
    "latency_ms_q3": "float64",
    "jpeg_px": "str",
    "jpeg_kib": "float64",
    **PROCESSES,
    **{name: dtype for name, dtype in OUTCOME.items() if name != "largest_batch"},
    "images_per_s_low": "float64",
    "images_per_s_high": "float64",
    **CAVEATS,
    **{
        name: dtype
        for name, dtype in CONTEXT.items()
        if name not in ("classes", "title", "family", "as_trained", "cudnn_benchmark", *RUNTIME)
    },
}
"""Columns of the loading table: one row a way of images to a network on the device, without one: `jpeg`,
decoded and scaled from bytes; `cache`, from decoded images, augmented as in training."""

MEMORY = {
    **SETTING,
    "peak_allocated_mib": "float64",
    "peak_reserved_mib": "float64",
    "peak_rss_mib": "float64",
    "baseline_mib": "float64",
    "resting_mib": "float64",
    "processes": "Int64",
    "error": "float64",
    "agreement": "float64",
    **OUTCOME,
    **CONTEXT,
}
"""Columns of the memory table: one row a setting; allocated and reserved on a GPU, the resident set over the
baseline on the CPU."""

DISTURBED = ("unstable", "busy", "steady")
"""What says whether a speed is to be trusted."""

SCALING = {
    "model": "str",
    "classes": "Int64",
    "input_size": "Int64",
    "tokens": "Int64",
    "params": "Int64",
    "flops": "Int64",
    "gmacs": "float64",
    "attention_matrices_flops": "Int64",
    "attention_share": "float64",
    "attention_outgrows_rest_px": "Int64",
    "activations_m": "float64",
    "mode": "str",
    "device": "str",
    "machine": "str",
    "precision": "str",
    "memory_format": "str",
    "compiled": "boolean",
    "as_trained": "boolean",
    "allocator": "str",
    "cudnn_benchmark": "boolean",
    "batch_size": "Int64",
    "threads": "Int64",
    "images_per_s": "float64",
    "latency_ms_median": "float64",
    "peak_allocated_mib": "float64",
    "peak_rss_mib": "float64",
    **{name: "boolean" for name in DISTURBED},
    "title": "str",
    "family": "str",
    "counter": "str",
    "torch": "str",
    "profile": "str",
}
"""Columns of the scaling table: one row a model, input size and setting that was measured at it (none: only
cost). `attention_outgrows_rest_px` is the model's, the same in all of its rows. `unstable`, `busy` and
`steady` are those of the speed."""

ENERGY = ("energy_j_per_image", "energy_net_j_per_image", "energy_windows", "energy_scope")
NETWORK = ["model", "classes", "input_size"]
SETUP = [
    "mode",
    "device",
    "machine",
    "precision",
    "memory_format",
    "compiled",
    "as_trained",
    "allocator",
    "cudnn_benchmark",
    "batch_size",
    "threads",
    "torch",
]


def measured_tables(profiles: Iterable[ProfileRecord]) -> dict[str, pd.DataFrame]:
    """The tables of what was measured; without measurements they are empty, with their columns."""
    profiles = list(profiles)
    speed, memory = speed_table(profiles), memory_table(profiles)
    return {
        "speed": speed,
        "memory": memory,
        "scaling": scaling_table(profiles, speed, memory),
        "end_to_end": _table(profiles, "end_to_end", END_TO_END),
        "loading": _table(profiles, "loading", LOADING),
    }


def speed_table(profiles: Iterable[ProfileRecord]) -> pd.DataFrame:
    """One row a setting, machine and versions; those that failed or ran out of memory have no numbers."""
    profiles = list(profiles)
    energy_of = {_energy_key(r): r for r in _measured(profiles, "energy") if r.outcome == "measured"}
    rows = []
    for record in _measured(profiles, "speed"):
        energy = energy_of.get(_energy_key(record))
        limits = {
            "matmul_peak_flops_per_s": (record.matmul_peak or {}).get("flops_per_s"),
            "memory_bandwidth_bytes_per_s": (record.memory_bandwidth or {}).get("bytes_per_s"),
        }
        rows.append(_row(record) | limits | {name: getattr(energy, name, None) for name in ENERGY})
    return _sorted(frame(rows, SPEED))


def _energy_key(record: MeasuredRecord) -> tuple[Any, ...]:
    """What a record of speed and one of energy have in common where they are of the same."""
    return (*(getattr(record, name) for name in (*NETWORK, *SETUP[:-1])), canonical(record.versions))


def memory_table(profiles: Iterable[ProfileRecord]) -> pd.DataFrame:
    """One row a setting, machine and versions."""
    return _table(profiles, "memory", MEMORY)


def _table(profiles: Iterable[ProfileRecord], what: str, columns: dict[str, str]) -> pd.DataFrame:
    return _sorted(frame([_row(record) for record in _measured(profiles, what)], columns))


def _measured(profiles: Iterable[ProfileRecord], what: str) -> list[MeasuredRecord]:
    """The records of one kind of profile."""
    return [record for record in profiles if isinstance(record, MeasuredRecord) and record.what == what]


def scaling_table(
    profiles: Iterable[ProfileRecord], speed: pd.DataFrame, memory: pd.DataFrame
) -> pd.DataFrame:
    """Cost against input size, with what `speed` and `memory` have at the same sizes.

    Where a model was counted more than once at a size the latest count stands.
    """
    latest: dict[tuple[Any, ...], dict[str, Any]] = {}
    crossing: dict[tuple[Any, ...], int | None] = {}
    counted_with: dict[str, str | None] = {}
    for record in sorted(_measured(profiles, "scaling"), key=lambda r: (r.finished or "", r.id)):
        model = record.model, record.classes
        crossing[model] = record.attention_outgrows_rest_px or crossing.get(model)
        counted_with[record.id] = record.versions.get("torch")
        latest |= {(*model, row.input_size): _row(record) | row.content() for row in record.rows}
    rows = [{**row, "attention_outgrows_rest_px": crossing[key[:2]]} for key, row in latest.items()]
    costs = frame(rows, {name: dtype for name, dtype in SCALING.items() if name not in SETUP})
    speed, memory = (table[table["runtime"] == TORCH] for table in (speed, memory))
    timed = speed.loc[
        speed["outcome"] == "measured",
        [*NETWORK, *SETUP, "images_per_s", "latency_ms_median", *DISTURBED],
    ]
    held = memory.loc[
        memory["outcome"] == "measured", [*NETWORK, *SETUP, "peak_allocated_mib", "peak_rss_mib"]
    ]
    measured = timed.merge(held, on=[*NETWORK, *SETUP], how="outer")
    columns = [name for name in costs if name not in measured or name in NETWORK]
    merged = costs[columns].merge(measured, on=NETWORK, how="left")
    merged["torch"] = merged["torch"].fillna(merged["profile"].map(counted_with))
    return typed(merged, SCALING).sort_values([*NETWORK, *SETUP], kind="stable", ignore_index=True)


def _row(record: MeasuredRecord) -> dict[str, Any]:
    row = record.content() | {"profile": record.id, "torch": record.versions.get("torch")}
    row |= {"runtime": record.runtime, "runtime_version": record.versions.get(record.runtime)}
    if record.what == "end_to_end" and record.model_ms and record.batch_size:
        # By the model's own phase: never slower than the whole it is part of.
        row.setdefault("model_images_per_s", 1000 * record.batch_size / record.model_ms)
    return row


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    order = ["path", *SETTING, *RUNTIME, "classes", "threads", "torch", "profile"]
    return table.sort_values([name for name in order if name in table], kind="stable", ignore_index=True)

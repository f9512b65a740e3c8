"""Tables of what was measured by the clock and in bytes: speed, memory, and how both and cost scale."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from bench.analysis.frames import frame

Record = dict[str, Any]

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
    "classes": "Int64",
    "threads": "Int64",
    "title": "str",
    "family": "str",
    "torch": "str",
    "commit": "str",
    "started": "str",
    "finished": "str",
    "profile": "str",
}

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
    "error": "float64",
    "steady": "boolean",
    "other_cores": "float64",
    "clock": "str",
    "casting": "str",
    "optimizer": "str",
    **CONTEXT,
}
"""Columns of the speed table: one row a setting. Latency is that of a step, whatever its batch; `best` is
the fastest setting of the model, mode and input size where it was looked for, measured again; `error` is the
distance of the outputs from those in fp32, relative; `other_cores` is what other processes kept busy."""

MEMORY = {
    **SETTING,
    "peak_allocated_mib": "float64",
    "peak_reserved_mib": "float64",
    "peak_rss_mib": "float64",
    "baseline_mib": "float64",
    "resting_mib": "float64",
    "processes": "Int64",
    **OUTCOME,
    **CONTEXT,
}
"""Columns of the memory table: one row a setting; allocated and reserved on a GPU, the resident set over the
baseline on the CPU."""

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
    "batch_size": "Int64",
    "threads": "Int64",
    "images_per_s": "float64",
    "latency_ms_median": "float64",
    "peak_allocated_mib": "float64",
    "peak_rss_mib": "float64",
    "title": "str",
    "family": "str",
    "counter": "str",
    "torch": "str",
    "profile": "str",
}
"""Columns of the scaling table: one row a model, input size and setting that was measured at it (none: only
cost). `attention_outgrows_rest_px` is the model's, the same in all of its rows."""

PLACE = ["model", "classes", "input_size"]
HOW = [
    "mode",
    "device",
    "machine",
    "precision",
    "memory_format",
    "compiled",
    "batch_size",
    "threads",
    "torch",
]


def measured_tables(profiles: Iterable[Record]) -> dict[str, pd.DataFrame]:
    """The tables speed, memory and scaling; without measurements they are empty, with their columns."""
    profiles = list(profiles)
    speed, memory = speed_table(profiles), memory_table(profiles)
    return {"speed": speed, "memory": memory, "scaling": scaling_table(profiles, speed, memory)}


def speed_table(profiles: Iterable[Record]) -> pd.DataFrame:
    """One row a setting, machine and versions; those that failed or ran out of memory have no numbers."""
    rows = [
        {**_row(r), "matmul_peak_flops_per_s": (r.get("matmul_peak") or {}).get("flops_per_s")}
        for r in profiles
        if r["what"] == "speed"
    ]
    return _sorted(frame(rows, SPEED))


def memory_table(profiles: Iterable[Record]) -> pd.DataFrame:
    """One row a setting, machine and versions."""
    return _sorted(frame([_row(r) for r in profiles if r["what"] == "memory"], MEMORY))


def scaling_table(profiles: Iterable[Record], speed: pd.DataFrame, memory: pd.DataFrame) -> pd.DataFrame:
    """Cost against input size, with what `speed` and `memory` have at the same sizes.

    Where a model was counted more than once the latest count stands.
    """
    latest: dict[tuple[str, int], Record] = {}
    for record in sorted(profiles, key=lambda r: (r.get("finished") or "", r["id"])):
        if record["what"] == "scaling":
            latest[record["model"], record["classes"]] = record
    rows = [{**_row(record), **row} for record in latest.values() for row in record["rows"]]
    costs = frame(rows, {name: dtype for name, dtype in SCALING.items() if name not in HOW})
    timed = speed.loc[speed["outcome"] == "measured", [*PLACE, *HOW, "images_per_s", "latency_ms_median"]]
    held = memory.loc[memory["outcome"] == "measured", [*PLACE, *HOW, "peak_allocated_mib", "peak_rss_mib"]]
    measured = timed.merge(held, on=[*PLACE, *HOW], how="outer")
    columns = [name for name in costs if name not in measured or name in PLACE]
    merged = costs[columns].merge(measured, on=PLACE, how="left")
    counted_with = {record["id"]: record["versions"].get("torch") for record in latest.values()}
    merged["torch"] = merged["torch"].fillna(merged["profile"].map(counted_with))
    return merged[list(SCALING)].astype(SCALING).sort_values([*PLACE, *HOW], kind="stable", ignore_index=True)


def _row(record: Record) -> Record:
    return {**record, "profile": record["id"], "torch": record["versions"].get("torch")}


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(
        [*SETTING, "classes", "threads", "torch", "profile"], kind="stable", ignore_index=True
    )

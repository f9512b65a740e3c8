"""What was measured of a suite's models by the clock and in bytes, machine by machine.

Numbers of two machines never share a figure or a comparison: a `Place` is one device of one machine.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bench.analysis.frames import frame
from bench.analysis.measured import measured_tables
from bench.files import slug
from bench.report.text import NOT_MEASURED, count, decimal

Record = dict[str, Any]

CONDITIONS = (
    "input_size",
    "classes",
    "precision",
    "memory_format",
    "compiled",
    "threads",
    "torch",
    "batch_size",
)
"""What has to be the same for the numbers of two models to be comparable."""

PLAIN = {"precision": "fp32", "memory_format": "contiguous", "compiled": False}
"""The setting that stands for all where several were measured of equally many models."""

TIMED = ("speed", "memory", "end_to_end", "loading")


@dataclass(frozen=True)
class Place:
    """One device of one machine, with the rows that were measured there.

    Attributes:
        key: a short name, safe in a file name; the same for the same set of places.
        tables: speed, memory, end_to_end and loading; empty where nothing was measured.
    """

    key: str
    machine: str
    device: str
    tables: dict[str, pd.DataFrame] = field(repr=False)

    @property
    def kind(self) -> str:
        """CPU or GPU."""
        return "CPU" if self.device == "cpu" else "GPU"

    @property
    def name(self) -> str:
        """The device with its machine, as a reader sees it."""
        return f"{'CPU' if self.kind == 'CPU' else self.device} ({self.machine})"

    @property
    def speed(self) -> pd.DataFrame:
        """The rows of the speed table."""
        return self.tables["speed"]

    @property
    def memory(self) -> pd.DataFrame:
        """The rows of the memory table."""
        return self.tables["memory"]


@dataclass(frozen=True)
class Alike:
    """Rows of several models measured under the same conditions, and these in words."""

    rows: pd.DataFrame
    words: str


def tables_of(profiles: Iterable[Record]) -> dict[str, pd.DataFrame]:
    """The tables of `bench.analysis.measured`, all of `TIMED` and scaling, empty ones too."""
    found = measured_tables(profiles)
    nothing = frame([], {"machine": "str", "device": "str", "model": "str"})
    return {name: found.get(name, nothing) for name in (*TIMED, "scaling")}


def places(tables: dict[str, pd.DataFrame]) -> list[Place]:
    """Every device of every machine that something was measured on, CPUs first, in order of their names."""
    pairs = {
        (row.device != "cpu", row.device, row.machine)
        for name in TIMED
        for row in tables[name][["device", "machine"]].drop_duplicates().itertuples()
    }
    found: list[Place] = []
    for _, device, machine in sorted(pairs):
        key, same = slug(device), sum(place.device == device for place in found)
        here = {name: _at(tables[name], device, machine) for name in TIMED}
        found.append(Place(f"{key}-{same + 1}" if same else key, machine, device, here))
    return found


def alike(rows: pd.DataFrame, *, over: str | None = None, mode: str = "infer", **fixed: Any) -> Alike | None:
    """The rows under the conditions that most models share; None where nothing was measured.

    Ties go to most values of `over`, then to fp32, contiguous and eager, then to the larger batch. Of one
    setting measured more than once the latest stands. Rows that failed under these conditions are among them.

    Args:
        rows: of a speed or memory table, at one place.
        over: the one condition that may differ, "batch_size" or "input_size"; None for none.
        fixed: values of columns that are asked for.
    """
    rows = rows[rows["mode"] == mode]
    for name, value in fixed.items():
        rows = rows[rows[name] == value]
    done = rows[rows["outcome"] == "measured"]
    if done.empty:
        return None
    keys = [name for name in CONDITIONS if name != over]
    candidates = []
    for values, group in done.groupby(keys, dropna=False, sort=True):
        by_model = group.groupby("model")[over or "batch_size"].nunique()
        chosen = dict(zip(keys, values, strict=True))
        plain = tuple(bool(chosen[name] == value) for name, value in PLAIN.items())
        rank = (int((by_model > 1).sum()), len(by_model), int(by_model.sum()), *plain)
        candidates.append((rank, chosen.get("batch_size") or 0, chosen.get("torch") or "", chosen))
    chosen = max(candidates, key=lambda candidate: candidate[:3])[3]
    return Alike(_latest(_where(rows, chosen)), in_words({**chosen, "mode": mode}))


def in_words(setting: dict[str, Any]) -> str:
    """Everything that a number depends on, for a caption."""
    parts = ["training step" if setting["mode"] == "train" else "inference", how(setting)]
    if not pd.isna(setting.get("batch_size")):
        parts.append(f"batch {count(setting['batch_size'])}")
    if not pd.isna(setting.get("input_size")):
        parts.append(f"{int(setting['input_size'])} px")
    if not pd.isna(setting.get("classes")):
        parts.append(f"{count(setting['classes'])} classes")
    if not pd.isna(setting.get("threads")):
        threads = int(setting["threads"])
        parts.append(f"{threads} thread{'' if threads == 1 else 's'}")
    if isinstance(setting.get("torch"), str):
        parts.append(f"torch {setting['torch']}")
    return ", ".join(parts)


def how(setting: dict[str, Any]) -> str:
    """Precision, memory layout, and eager or compiled."""
    layout = {"channels_last": "channels last"}.get(setting["memory_format"], setting["memory_format"])
    compiled = not pd.isna(setting["compiled"]) and bool(setting["compiled"])
    return f"{setting['precision']}, {layout}, {'compiled' if compiled else 'eager'}"


def state(row: dict[str, Any]) -> tuple[str, ...]:
    """What must be known to read a row: why it has no number, or what disturbed it."""
    outcome = row.get("outcome")
    if isinstance(outcome, str) and outcome != "measured":
        reason = row.get("reason")
        return (reason if isinstance(reason, str) else outcome.replace("_", " "),)
    notes = []
    if _is(row, "busy", True):
        cores = row.get("other_cores")
        known = isinstance(cores, float) and not pd.isna(cores)
        notes.append("machine busy" + (f": {cores:.1f} cores of other work" if known else ""))
    if _is(row, "unstable", True):
        earlier, now = row.get("earlier_images_per_s"), row.get("images_per_s")
        known = earlier is not None and not pd.isna(earlier)
        notes.append("unstable" + (f": {rate(now)} images/s now, {rate(earlier)} earlier" if known else ""))
    if _is(row, "steady", False):
        notes.append("warm-up did not settle")
    return tuple(notes)


def marked(rows: pd.DataFrame) -> str:
    """What follows the caption of a figure of rows of which some were disturbed; nothing if none was."""
    notes = sorted({note.split(":")[0] for row in rows.to_dict("records") for note in state(row)})
    return f" Some rows are marked: {'; '.join(notes)}." if notes else ""


def brief(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.3g}" if abs(value) < 999.5 else count(round(value))


def rate(value: float) -> str:
    """Images/s with three digits at least."""
    if pd.isna(value):
        return NOT_MEASURED
    return (
        count(round(value)) if value >= 1000 else decimal(value, 2 if value < 10 else 1 if value < 100 else 0)
    )


def memory_column(place: Place) -> tuple[str, str]:
    """The column that tells peak memory at a place, and what it is."""
    if place.kind == "GPU":
        return "peak_allocated_mib", "peak allocated memory"
    return "peak_rss_mib", "peak resident memory over the baseline"


def ordered(models: Iterable[str], looks: Sequence[str]) -> list[str]:
    """Models in the order in which they are drawn."""
    present = set(models)
    return [model for model in looks if model in present]


def _is(row: dict[str, Any], name: str, value: bool) -> bool:
    """Whether a column that may be missing has this value."""
    found = row.get(name)
    return found is not None and not pd.isna(found) and bool(found) == value


def _at(table: pd.DataFrame, device: str, machine: str) -> pd.DataFrame:
    return table[(table["device"] == device) & (table["machine"] == machine)].reset_index(drop=True)


def _where(rows: pd.DataFrame, values: dict[str, Any]) -> pd.DataFrame:
    for name, value in values.items():
        rows = rows[rows[name].isna() if pd.isna(value) else rows[name] == value]
    return rows


def _latest(rows: pd.DataFrame) -> pd.DataFrame:
    place = ["model", "batch_size", "input_size"]
    kept = rows.sort_values(["finished", "profile"], kind="stable").drop_duplicates(place, keep="last")
    return kept.sort_values(place, kind="stable", ignore_index=True)

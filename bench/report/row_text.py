"""Rows of speed and memory as text: their numbers, their settings, and what must be known to read them."""

from typing import Any

import pandas as pd

from bench.report.text import NOT_MEASURED, count, counted, decimal
from bench.runtimes import TORCH, runtime_title

WITHHELD = "withheld"
UNSTABLE, BUSY = "unstable", "machine busy"
"""Why a number is withheld where models are compared."""
MODES = {"infer": "inference", "train": "training step"}


def describe_setting(row: dict[str, Any], execution: str | None = None) -> str:
    """Everything that a number depends on, for a caption.

    Args:
        execution: what stands for `describe_execution` of the row.
    """
    known = {name: value for name, value in row.items() if not pd.isna(value)}
    parts = [MODES[row["mode"]]]
    parts.append(execution or describe_execution(row))
    if "batch_size" in known:
        parts.append(f"batch {count(known['batch_size'])}")
    if "input_size" in known:
        parts.append(f"{int(known['input_size'])} px")
    if "classes" in known:
        parts.append(f"{count(known['classes'])} classes")
    if "threads" in known:
        parts.append(counted(int(known["threads"]), "thread"))
    if "torch" in known:
        parts.append(f"torch {known['torch']}")
    return ", ".join(parts)


def describe_execution(row: dict[str, Any]) -> str:
    """Precision, memory layout, eager or compiled, and what else differs from how trials run; of an exported
    network what runs it, and its precision."""
    if row.get("runtime", TORCH) != TORCH:
        return f"{runtime_title(row['runtime'])} {row['runtime_version']}, {row['precision']}"
    layout = {"channels_last": "channels last"}.get(row["memory_format"], row["memory_format"])
    parts = [row["precision"], layout, "compiled" if _is(row, "compiled", True) else "eager"]
    if row.get("device") == "cpu" and row.get("allocator") != "keep_freed":
        parts.append("freed memory returned")
    if row.get("device", "cpu") != "cpu" and not _is(row, "cudnn_benchmark", True):
        parts.append("cuDNN's first choice of algorithm")
    return ", ".join(parts)


def row_notes(row: dict[str, Any]) -> tuple[str, ...]:
    """What must be known to read a row: why it has no number, or what disturbed it."""
    outcome = row.get("outcome")
    if isinstance(outcome, str) and outcome != "measured":
        reason = row.get("reason")
        return (reason if isinstance(reason, str) else outcome.replace("_", " "),)
    notes = []
    if _is(row, "busy", True):
        cores = row.get("other_cores")
        known = isinstance(cores, float) and not pd.isna(cores)
        notes.append(BUSY + (f": {cores:.1f} cores of other work" if known else ""))
    if _is(row, "unstable", True):
        earlier, now = row.get("earlier_images_per_s"), row.get("images_per_s")
        known = earlier is not None and not pd.isna(earlier)
        if withheld(row) == UNSTABLE:
            notes.append(f"{WITHHELD}: {UNSTABLE}" + (", far from an earlier measurement" if known else ""))
        else:
            rates = f": {rate(now)} images/s now, {rate(earlier)} earlier"
            notes.append(UNSTABLE + (rates if known else ""))
    if _is(row, "steady", False):
        notes.append("warm-up did not settle")
    return tuple(notes)


def withheld(row: dict[str, Any]) -> str:
    """Why models are not compared by the number of a row: it is unstable, or the machine was busy; else
    nothing. An unstable number is shown nowhere, one of a busy machine with its mark among all rows."""
    if not (_is(row, "as_trained", True) or row.get("runtime", TORCH) != TORCH):
        return ""
    return UNSTABLE if _is(row, "unstable", True) else BUSY if _is(row, "busy", True) else ""


def withheld_sentence(rows: pd.DataFrame, titles: dict[str, str]) -> str:
    """What follows the caption of a figure whose models include some with a number that is shown nowhere."""
    names = sorted({titles[row["model"]] for row in rows.to_dict("records") if withheld(row) == UNSTABLE})
    return f" Withheld, as unstable: {', '.join(names)}." if names else ""


def disturbed_sentence(rows: pd.DataFrame) -> str:
    """What follows the caption of a figure of rows of which some were disturbed; nothing if none was."""
    shown = [row for row in rows.to_dict("records") if withheld(row) != UNSTABLE]
    notes = sorted({note.split(":")[0] for row in shown for note in row_notes(row)})
    return f" Some rows are marked: {'; '.join(notes)}." if notes else ""


def three_digits(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.3g}" if abs(value) < 999.5 else count(round(value))


def millions(params: float | None, otherwise: str = NOT_MEASURED) -> str:
    """A number of parameters in millions."""
    if params is None or pd.isna(params):
        return otherwise
    return decimal(params / 1e6, 1 if params >= 1e6 else 3)


def gmacs(flops: float | None, otherwise: str = NOT_MEASURED) -> str:
    """FLOPs in 10⁹ multiply-adds."""
    return otherwise if flops is None or pd.isna(flops) else decimal(flops / 2e9, 2 if flops >= 2e8 else 4)


def rate(value: float | None) -> str:
    """Images/s, or ms, with three digits at least."""
    if value is None or pd.isna(value):
        return NOT_MEASURED
    return (
        count(round(value)) if value >= 1000 else decimal(value, 2 if value < 10 else 1 if value < 100 else 0)
    )


def _is(row: dict[str, Any], name: str, value: bool) -> bool:
    """Whether a column that may be missing has this value."""
    known = row.get(name)
    return known is not None and not pd.isna(known) and bool(known) == value

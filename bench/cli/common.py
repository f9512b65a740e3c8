"""Options that several commands share, and plain columns of text."""

import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.errors import InputError, StoreError, did_you_mean, shortened
from bench.escape import visible

if TYPE_CHECKING:
    from bench.running.engines import Jobs
    from bench.store.run_store import RunStore

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Results = Annotated[Path, typer.Option("--results", help="The run store.", show_default=True)]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Where datasets lie [default: $VCBENCH_DATA, else data/].", show_default=False
    ),
]
WeightsDir = Annotated[
    Path | None,
    typer.Option(
        "--weights-dir",
        help="Where weight files lie [default: weights/ in the data folder].",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto (CUDA, else the CPU), cpu, cuda or mps.")]
SuiteName = Annotated[
    str, typer.Argument(metavar="SUITE", help="A suite's name, or the path of a TOML file.")
]
Setting = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the suite, as in recipe.budget.epochs=2; makes a variant."
    ),
]
Replicates = Annotated[
    int | None,
    typer.Option("--replicates", min=1, max=1000, help="Replicates of every cell, instead of the suite's."),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="NAME", help="Only this comparison, model, or profiles; may be repeated."),
]
DEFAULT_RESULTS = Path("results")

LONGEST = 10 * 365 * 24 * 3600
"""Of a duration, in seconds: the timers of a system go no further than 292 years."""
_DURATION = re.compile(r"(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?")


def data_folder(given: Path | None) -> Path:
    """`--data-dir`, else VCBENCH_DATA, else data/."""
    return given or Path(os.environ.get("VCBENCH_DATA") or "data")


def weights_folder(given: Path | None, data: Path) -> Path:
    """`--weights-dir`, else weights/ in the data folder."""
    return given or data / "weights"


def existing_store(results: Path) -> Path:
    """`--results`, where there is a run store.

    Raises:
        StoreError: there is none.
    """
    from bench.store.layout import Layout

    if not Layout(results).marker.exists():
        where = f"{results}: no such folder" if not results.exists() else f"{results}: no run store here"
        raise StoreError(f"{where}; make one with: vcbench run quick --results {shlex.quote(str(results))}")
    return results


def suite_stem(suite: str) -> str:
    """A suite's name, of the name itself or of the path of its file."""
    return Path(suite).stem if suite.endswith(".toml") else suite


def stored_suite(store: "RunStore", suite: str, settings: Sequence[str] | None = None) -> str:
    """The name under which a store holds a suite, or its variant with settings.

    Raises:
        InputError: nothing, or a setting does not fit.
    """
    from bench.spec.suite import load_suite

    name = load_suite(suite, tuple(settings)).name if settings else suite_stem(suite)
    known = store.suites()
    if name not in known:
        near = did_you_mean(name, known)
        raise InputError(f'{store.root}: nothing of a suite "{name}" was run here{near}')
    return name


def duration(text: str, option: str = "--budget") -> float:
    """Seconds of a duration such as 90s, 30m or 1h30m.

    Raises:
        InputError: the text is no such duration, is zero or is longer than `LONGEST`.
    """
    match = _DURATION.fullmatch(text.strip())
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if not total:
        raise InputError(f"{option} {shortened(text)}: should be a duration such as 90s, 30m or 1h30m")
    if total > LONGEST:
        raise InputError(f"{option} {shortened(text)}: should be at most {LONGEST // 3600}h")
    return float(total)


def number_of_jobs(text: str) -> "Jobs":
    """`--jobs`: a number from 1 to 9999, or "auto".

    Raises:
        InputError: it is neither.
    """
    if text == "auto":
        return "auto"
    if not re.fullmatch("[0-9]{1,4}", text) or int(text) < 1:
        raise InputError(f"--jobs {shortened(text)}: should be a number from 1 to 9999, or auto")
    return int(text)


def format_duration(seconds: float) -> str:
    """A duration in words: 45 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def print_json(value: Any) -> None:
    """Plain data as indented JSON on standard output."""
    print(json.dumps(value, indent=2))


def warn(line: str) -> None:
    """A line that should not be missed, on standard error."""
    print(f"vcbench: warning: {visible(line)}", file=sys.stderr)


def print_columns(rows: Sequence[Sequence[Any]], header: Sequence[str]) -> None:
    """Rows under a header, one a line, in columns that line up."""
    table = [[visible(str(cell)).replace("\n", " ") for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

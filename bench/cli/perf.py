"""vcbench perf: timings saved by pytest-benchmark."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.common import Json, print_columns, print_json

SHOWN = {
    "name": "NAME",
    "median_s": "MEDIAN MS",
    "iqr_s": "IQR MS",
    "rounds": "ROUNDS",
    "ops_per_s": "OPS/S",
}
COMPARED = {"name": "NAME", "median_s": "MEDIAN MS", "other_median_s": "OTHER MS", "ratio": "RATIO"}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(perf)


def perf(
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="Saved by pytest-benchmark.")],
    other: Annotated[
        Path | None, typer.Argument(metavar="[OTHER.json]", help="Another one, to compare with the first.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show timings that pytest-benchmark saved (nox -s perf), or how many times longer another file's are.

    Example: vcbench perf .benchmarks/Linux-CPython-3.12-64bit/0001_before.json
    """
    from bench.timings import compared, read_timings

    saved = [read_timings(path) for path in (file, other) if path is not None]
    rows = compared(*saved) if other is not None else saved[0]["benchmarks"]
    if as_json:
        described = [{key: value for key, value in one.items() if key != "benchmarks"} for one in saved]
        print_json({"files": described, "benchmarks": rows})
        return
    columns = SHOWN if other is None else COMPARED
    print_columns([[_text(key, row[key]) for key in columns] for row in rows], list(columns.values()))
    print()
    for one in saved:
        where = (one["machine"], f"Python {one['python']}", f"commit {one['commit']}", one["date"])
        print(f"{one['file']}: {'; '.join(where)}")
    if other is not None:
        print("RATIO is the other file's median over the first's: over 1 where the other is slower.")


def _text(key: str, value: Any) -> str:
    """Seconds as ms; other numbers with three digits."""
    if key.endswith("_s") and key != "ops_per_s":
        return f"{1000 * value:.4g}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)

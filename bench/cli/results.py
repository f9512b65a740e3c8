"""vcbench tables, report: from a run store to files for readers."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.common import DEFAULT_RESULTS, Results, Setting, SuiteName, existing_store, suite_stem


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (tables, report):
        app.command()(command)


def tables(results: Results = DEFAULT_RESULTS) -> None:
    """Write the tables of a run store, as CSV and Parquet.

    Example: vcbench tables --results results/published
    """
    from bench.analysis.tables import write_tables
    from bench.store import RunStore

    for path in write_tables(RunStore(existing_store(results))):
        print(path)


def report(
    suite: SuiteName,
    results: Results = DEFAULT_RESULTS,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="[default: reports/SUITE]", show_default=False)
    ] = None,
    settings: Setting = None,
) -> None:
    """Render a suite's report from its run store; neither data nor PyTorch is needed.

    Example: vcbench report quick --out reports/quick
    """
    from bench.errors import InputError, did_you_mean
    from bench.report.render import render
    from bench.store import RunStore
    from bench.suite import load_suite

    store = RunStore(existing_store(results))
    name = load_suite(suite, tuple(settings)).name if settings else suite_stem(suite)
    known = store.suites()
    if name not in known:
        raise InputError(f'{results}: nothing of a suite "{name}" was run here{did_you_mean(name, known)}')
    folder = out or Path("reports") / name
    render(store, name, folder)
    print(folder / "index.html")

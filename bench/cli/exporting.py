"""vcbench export: results for other tools."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.common import DEFAULT_RESULTS, Results, existing_store
from bench.errors import InputError, did_you_mean

FORMATS = ("parquet", "csv", "timm")


def export(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write to.")],
    form: Annotated[str, typer.Option("--format", help="parquet, csv or timm.")] = "parquet",
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Write results for other tools.

    parquet and csv are the tables. timm has the columns of the CSV files in timm's results folder, as far as
    there are values: one file a cell of a suite, and one of costs.

    Example: vcbench export --format timm --out exported
    """
    from bench.exchange.export import export_tables, export_timm
    from bench.store.run_store import RunStore

    if form not in FORMATS:
        raise InputError(f"--format {form}: should be {', '.join(FORMATS)}{did_you_mean(form, FORMATS)}")
    store = RunStore(existing_store(results))
    written = export_timm(store, out) if form == "timm" else export_tables(store, form, out)
    if not written:
        raise InputError(f"{results}: nothing here to export as {form}")
    for path in written:
        print(path)

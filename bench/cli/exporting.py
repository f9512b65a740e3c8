"""vcbench export: results and splits for other tools."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.common import DEFAULT_RESULTS, DataDir, Results, data_folder, existing_store
from bench.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from bench.store.run_store import RunStore

FORMATS = ("parquet", "csv", "timm", "croissant")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(export)


def export(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write to.")],
    form: Annotated[str, typer.Option("--format", help="parquet, csv, timm or croissant.")] = "parquet",
    results: Results = DEFAULT_RESULTS,
    data_dir: DataDir = None,
) -> None:
    """Write results for other tools.

    parquet and csv are the tables. timm has the columns of the CSV files in timm's results folder, as far as
    there are values: one file a cell of a suite, and one of costs. croissant describes the splits that were
    used, as MLCommons metadata with a list of the images, and needs the data for it.

    Example: vcbench export --format timm --out exported
    """
    from bench.store.run_store import RunStore

    if form not in FORMATS:
        raise InputError(f"--format {form}: should be {', '.join(FORMATS)}{did_you_mean(form, FORMATS)}")
    store = RunStore(existing_store(results))
    if form == "croissant":
        written = _croissant(store, data_folder(data_dir), out)
    else:
        from bench.exchange.export import export_tables, export_timm

        written = export_timm(store, out) if form == "timm" else export_tables(store, form, out)
    if not written:
        raise InputError(f"{results}: nothing here to export as {form}")
    for path in written:
        print(path)


def _croissant(store: "RunStore", data: Path, out: Path) -> list[Path]:
    from bench.croissant import export_croissant, splits_of
    from bench.data import open_dataset

    opened = [open_dataset(*names, data, store=store.root) for names in splits_of(store)]
    return [
        path
        for dataset in opened
        for path in export_croissant(dataset, data, out / f"{dataset.name}-{dataset.split_id}")
    ]

"""vcbench tables, report, index: from a run store to files for readers."""

import gc
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.common import (
    DEFAULT_RESULTS,
    DataDir,
    Results,
    Setting,
    SuiteName,
    data_folder,
    existing_store,
    stored_suite,
)


class Purpose(Enum):
    """What a report is made for, beyond reading it."""

    PAPER = "paper"


def tables(results: Results = DEFAULT_RESULTS) -> None:
    """Write the tables of a run store, as CSV and Parquet.

    Example: vcbench tables --results results/published
    """
    from bench.store.run_store import RunStore
    from bench.tables.tables import write_tables

    for path in write_tables(RunStore(existing_store(results))):
        print(path)


def report(
    suite: SuiteName,
    results: Results = DEFAULT_RESULTS,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="[default: reports/SUITE]", show_default=False)
    ] = None,
    settings: Setting = None,
    with_images: Annotated[
        bool,
        typer.Option("--with-images", help="Show test images that one model of a pair gets right alone."),
    ] = False,
    purpose: Annotated[
        Purpose | None,
        typer.Option("--for", help="paper: figures as PDF and PNG, tables and macros for LaTeX too."),
    ] = None,
    data_dir: DataDir = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset",
            metavar="folder:PATH",
            help="For --with-images: where images of your own lie [default: as in the suite's file].",
        ),
    ] = None,
) -> None:
    """Render a suite's report from its run store; neither data nor PyTorch is needed.

    --with-images reads the datasets, and writes only where git ignores it: nobody's pictures get committed.

    Example: vcbench report quick --out reports/quick
    """
    from bench.report.render import render
    from bench.store.run_store import RunStore

    gc.set_threshold(100_000)  # to look for garbage among thousands of records takes a tenth of the time
    store = RunStore(existing_store(results))
    name = stored_suite(store, suite, settings)
    folder = out or Path("reports") / name
    pictures = None
    if with_images:
        from bench.cli.pictures import own_folders, reader, refuse_if_committed

        refuse_if_committed(folder)
        pictures = reader(data_folder(data_dir), results, [*(dataset or ()), *own_folders(suite)])
    render(store, name, folder, pictures, for_paper=purpose is Purpose.PAPER)
    print(folder / "index.html")


def index(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where rendered reports lie side by side.")
    ] = Path("reports"),
) -> None:
    """Write one page that lists the reports in a folder, each with what it says to take and its figure.

    Example: vcbench index reports/published
    """
    from bench.report.index import write_index

    print(write_index(folder))

"""The application: every verb, and the options before it."""

from typing import Annotated

import typer

from bench.cli import (
    catalogue,
    citing,
    comparing,
    data,
    exporting,
    planning,
    profile,
    results,
    runs,
    scoring,
    suites,
)

app = typer.Typer(
    name="vcbench",
    help="Vision Transformer or CNN? Train, measure and compare them on matched splits.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
verbs = (catalogue, planning, suites, profile, results, runs, comparing, citing, exporting, scoring)
for module in verbs:
    module.register(app)
app.add_typer(data.app, name="data")


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback where something goes wrong.")
    ] = False,
) -> None:
    """Vision Transformer or CNN? Train, measure and compare them on matched splits."""

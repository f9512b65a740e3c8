"""The application: every verb, and the options before it."""

from typing import Annotated

import typer

from bench import __version__
from bench.cli import (
    catalogue,
    citing,
    claims,
    comparing,
    data,
    deploying,
    exporting,
    inspecting,
    merging,
    picking,
    planning,
    power,
    profile,
    recipes,
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
    epilog="Any command with --debug shows a traceback where something goes wrong.",
)
# In the order in which `vcbench --help` lists them.
COMMANDS = (
    *(catalogue.models, catalogue.datasets, catalogue.suites, catalogue.recipes),
    catalogue.conditions,
    *(planning.plan, suites.run, suites.status, suites.gc, suites.new),
    picking.pick,
    *(merging.fetch, merging.merge),
    *(recipes.recipe, recipes.verify),
    *(profile.profile, results.tables, results.report, results.index, runs.show, runs.reproduce),
    *(inspecting.inspect, inspecting.explain),
    *(comparing.compare, power.power, claims.claims, citing.cite, scoring.score),
    *(deploying.predict, exporting.export),
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(data.app, name="data")


def print_version(wanted: bool) -> None:
    """For `--version`: print it and end."""
    if wanted:
        print(f"vcbench {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=print_version, is_eager=True),
    ] = False,
) -> None:
    """Vision Transformer or CNN? Train, measure and compare them on matched splits."""

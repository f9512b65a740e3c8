"""The command line. Nothing here imports PyTorch before a command needs it."""

import errno
import os
import sys
import warnings
from typing import Annotated

import typer

from bench import __version__
from bench.cli import (
    catalogue,
    citing,
    comparing,
    data,
    exporting,
    perf,
    planning,
    profile,
    results,
    runs,
    scoring,
    suites,
)
from bench.errors import BenchError

app = typer.Typer(
    name="vcbench",
    help="Vision Transformer or CNN? Train, measure and compare them on matched splits.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
verbs = (catalogue, planning, suites, profile, results, runs, comparing, citing, exporting, scoring, perf)
for module in verbs:
    module.register(app)
app.add_typer(data.app, name="data")

# Trouble with a file that the user can put right, wherever it was met.
FILE_TROUBLE = {errno.ENOSPC: "the disk is full", errno.EACCES: "permission denied", errno.EROFS: "read-only"}


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback where something goes wrong.")
    ] = False,
) -> None:
    """Vision Transformer or CNN? Train, measure and compare them on matched splits."""


def main() -> None:
    """Run the command line; errors a user can put right are one line and exit status 2."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        print(f"vcbench {__version__}")
        return
    # Threads that spin while they wait make small networks many times slower where anything else runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Said by a library about its own code; nobody who reads it here can do anything about it.
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
    debug = "--debug" in arguments
    sys.argv[1:] = [argument for argument in arguments if argument != "--debug"]
    try:
        app()
    except BenchError as error:
        if debug:
            raise
        sys.exit(_fail(str(error)))
    except OSError as error:
        if debug or error.errno not in FILE_TROUBLE:
            raise
        sys.exit(_fail(f"{error.filename or 'a file'}: {FILE_TROUBLE[error.errno]}"))


def _fail(message: str) -> int:
    print(f"vcbench: error: {' '.join(message.split())}", file=sys.stderr)
    return 2

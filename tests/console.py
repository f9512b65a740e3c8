"""The command line in this process: what a command prints, and its exit status."""

import contextlib
import io
import sys
from dataclasses import dataclass
from unittest import mock

from bench.cli import main


@dataclass
class Ran:
    """What a command printed, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


def vcbench(*arguments) -> Ran:
    """Run the command line with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["vcbench", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
    return Ran(status, out.getvalue(), err.getvalue())


def told(ran: Ran, *words: str) -> None:
    """Exit status 2 and one line of error, with these words in it."""
    lines = [line for line in ran.stderr.strip().splitlines() if "error:" in line]
    assert ran.returncode == 2 and len(lines) == 1 and "Traceback" not in ran.stderr, ran
    for word in words:
        assert word in lines[0], lines[0]

"""The command line. Nothing here imports PyTorch before a command needs it."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.errors import BenchError, brief, first_line, shortened

PACKAGE = Path(__file__).parent.parent


def main(was_interrupted: Callable[[], bool] = lambda: False) -> None:
    """Run the command line.

    Whatever goes wrong is one line on standard error and exit status 2: status 1 is kept for what a command
    finds out (a regression, a run that does not reproduce), 130 is for Ctrl-C. `--debug` anywhere shows the
    traceback instead.

    Args:
        was_interrupted: whether Ctrl-C was pressed: libraries make other exceptions of it.
    """
    # Threads that spin while they wait make small networks many times slower where anything else runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Said by a library about its own code; nobody who reads it here can do anything about it.
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
    for stream in (sys.stdout, sys.stderr):
        # A terminal without some letter shows another one: a finished run does not fail for that.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    debug = "--debug" in sys.argv[1:]
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument != "--debug"]
    warnings_shown = _Warnings()
    logging.getLogger("vcbench").addHandler(warnings_shown)
    try:
        from bench.cli.verbs import app

        status = app(standalone_mode=False)
        if was_interrupted():  # Typer makes an exit status of Ctrl-C, and says nothing
            status = _interrupted()
    except KeyboardInterrupt:
        status = _interrupted()
    except Exception as error:
        if was_interrupted() or type(error).__name__ == "Abort":  # what click makes of Ctrl-C
            status = _interrupted()
        elif debug:
            raise
        else:
            status = _fail(error)
    finally:
        logging.getLogger("vcbench").removeHandler(warnings_shown)
    if status:
        sys.exit(status)


class _Warnings(logging.Handler):
    """Prints each warning once: what is damaged may be come across several times."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print it on standard error."""
        message = record.getMessage()
        if message not in self._shown:
            self._shown.add(message)
            print(message, file=sys.stderr)


def _interrupted() -> int:
    print("vcbench: interrupted", file=sys.stderr)
    return 130


def _fail(error: Exception) -> int:
    """Print what went wrong in one line; returns the exit status."""
    import typer

    if isinstance(error, BrokenPipeError):  # nobody reads on, as in `vcbench models | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    usage: Any = typer.BadParameter.__base__
    if isinstance(error, usage) and type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return error.exit_code
    print(f"vcbench: error: {brief(_message(error, usage))}", file=sys.stderr)
    return 2


def _message(error: Exception, usage: Any) -> str:
    if isinstance(error, BenchError):
        return str(error)
    if isinstance(error, usage):
        path = getattr(error.ctx, "command_path", "vcbench")
        return f"{shortened(error.format_message())} (see: {path} --help)"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {(error.strerror or 'cannot be used').lower()}"
    if isinstance(error, UnicodeEncodeError) and isinstance(error.object, str):
        return f"{error.object}: holds bytes that are not UTF-8; give it another name"
    if isinstance(error, MemoryError):
        return "the memory is not enough"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)] or frames
    where = f"{Path(ours[-1].filename).name}, line {ours[-1].lineno}"
    return (
        f"a fault of vcbench, or a damaged file: {type(error).__name__}: {shortened(first_line(error))} "
        f"({where}); the same command with --debug shows more"
    )

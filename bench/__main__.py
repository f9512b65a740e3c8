"""What `vcbench` and `python -m bench` begin with: Ctrl-C is one line at any moment, the imports included."""

import atexit
import os
import sys
from contextlib import suppress


def main() -> None:
    """Run the command line; exit status 130 on Ctrl-C."""
    try:
        import signal

        # A job in the background, for which Ctrl-C is not meant, ignores it from its start.
        heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if heeded:
            signal.signal(signal.SIGINT, _end)
        noted: list[int] = []
        # Runs after all others. Where Ctrl-C came while a string was executed, as for a dataclass,
        # `python -m` would end by the signal itself, whatever status it is given.
        atexit.register(lambda: _end_quietly() if noted else None)
        import bench.cli.verbs  # noqa: F401
        from bench import cli

        def interrupt(number: int, _: object) -> None:
            noted.append(number)
            raise KeyboardInterrupt

        if heeded:
            signal.signal(signal.SIGINT, interrupt)
        try:
            cli.main(lambda: bool(noted))
        finally:
            # The interpreter would show a traceback of its own ending.
            if heeded:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
    except KeyboardInterrupt:
        _end()


def _end_quietly() -> None:
    """End with the status of Ctrl-C, when all has been finished and said."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(130)


def _end(*_: object) -> None:
    """End at once: an exception in the middle of an import may be lost there, or come out as another one.

    Nothing has been begun that would have to be finished.
    """
    os.write(2, b"vcbench: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    main()

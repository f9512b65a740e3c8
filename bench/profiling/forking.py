"""A process that has imported PyTorch and timm, and forks a child for every measurement, which is spared it.

It has itself touched neither a GPU nor a network, and computed nothing: what a child finds is what a process
has that has just imported the same. `serve` runs in that process, `ForkServer` is its owner's side.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Job = dict[str, Any]
# Windows cannot fork; on macOS some system libraries do not survive it.
CAN_FORK = sys.platform.startswith("linux")


class ForkServer:
    """Owner of such a process; one job at a time.

    Args:
        command: of the process, which calls `serve`.
        environment: its variables.
        threads: what its libraries were told when it started.
    """

    def __init__(self, command: list[str], environment: dict[str, str], threads: int) -> None:
        self.threads = threads
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (it is open as long as the process)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            # Ctrl-C reaches this process alone, which decides.
            start_new_session=True,
        )

    def run(self, job: Job, look: Callable[[], None], look_s: float) -> tuple[int, str, str]:
        """The exit status of the child that took `job` (minus the signal that ended it), its answer, and
        what it wrote to standard error.

        `look` is called every `look_s` seconds. Where it raises, where the server itself has ended, and at
        Ctrl-C, the server is closed.
        """
        try:
            return self._answer(job, look, look_s)
        except BaseException:  # passed on: only the child is not to go on measuring
            self.close()
            raise

    def _answer(self, job: Job, look: Callable[[], None], look_s: float) -> tuple[int, str, str]:
        pipes = self._process.stdin, self._process.stdout
        assert pipes[0] is not None and pipes[1] is not None
        start = self._errors.seek(0, os.SEEK_END)
        try:
            pipes[0].write(json.dumps(job).encode() + b"\n")
            pipes[0].flush()
        except BrokenPipeError:
            return self._ended(start)
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(pipes[1], selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if selector.select(look_s):
                    part = os.read(pipes[1].fileno(), 2**16)
                    if not part:
                        return self._ended(start)
                    line += part
                else:
                    look()
        status, answer = json.loads(line)
        return status, answer, self._written(start)

    def close(self) -> None:
        """End the process and the child that it may have."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in filter(None, (self._process.stdin, self._process.stdout)):
            pipe.close()
        self._errors.close()

    @property
    def closed(self) -> bool:
        return self._process.poll() is not None

    def _ended(self, start: int) -> tuple[int, str, str]:
        status = self._process.wait()
        written = self._written(start)
        self.close()
        return status, "", written

    def _written(self, start: int) -> str:
        self._errors.seek(start)
        return self._errors.read().decode(errors="replace")


def serve(take: Callable[[Job], Job], ready: Callable[[], object]) -> None:
    """Answer each line of standard input, a JSON job, with one of standard output: the status of the child
    that took it, and its answer, which is JSON too.

    Args:
        take: takes a job, in a child.
        ready: imports what children need.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    ready()
    for line in sys.stdin:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            _take(take, json.loads(line), write)
        os.close(write)
        with os.fdopen(read) as pipe:
            answer = pipe.read()
        _, status = os.waitpid(child, 0)
        answers.write(json.dumps([os.waitstatus_to_exitcode(status), answer]) + "\n")
        answers.flush()


def _take(take: Callable[[Job], Job], job: Job, write: int) -> None:
    """Take a job in this child, which ends."""
    status = 1
    try:
        answer = json.dumps(take(job), allow_nan=False)
        with os.fdopen(write, "w") as pipe:
            pipe.write(answer)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)

"""Commands in a process of their own, to which something happens at a chosen moment.

A moment is an operation on a file of the store, the cache or the report, or a step of a job. It has a name:
what is being done. Processes are forked from one that has imported everything, so that they start at once.
"""

import contextlib
import datetime
import itertools
import json
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

# What a path tells of the moment, the first that is in it.
NAMES = {
    "checkpoint": "checkpoint", "record.json": "record", "/tables/": "tables", "/report/": "report",
    "/cache/": "cache", "/searches/": "search", "/evaluations/": "evaluation",
    "/suites/": "list of the suite",
}  # fmt: skip
MOMENTS = (
    "training", "student", "search", "evaluation", "checkpoint", "record", "list of the suite", "cache",
    "tables", "report",
)  # fmt: skip
KINDS = ("runs", "searches", "evaluations")


@dataclass
class Fault:
    """What happens, and when: at the `count`-th moment of a name; None has nothing happen.

    Attributes:
        act: "kill", "power" (killed, and what was not synced is lost), a signal by name, "memory", "flip" (a
            bit of an image in the cache, of the store's newest weights or predictions), "photos" (a bit of
            every image of one's own), "nan" (all losses of a network), "no locks" or "clock", which hold from
            the beginning.
    """

    act: str
    moment: str | None = None
    count: int = 1


@dataclass
class Ended:
    """How commands ended: their status (negative: by a signal), what they printed, the moments passed, and
    the records of jobs that had ended before they were killed."""

    status: int
    text: str
    moments: Counter = field(default_factory=Counter)
    finished: dict[str, bytes] = field(default_factory=dict)


def start(folder: Path, commands: list[list[str]], fault: Fault | None = None, **environment: str):
    """A process that runs commands of vcbench in a folder, until one fails."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["faults.preload"])
    process = context.Process(target=_child, args=(folder, commands, fault, environment))
    process.start()
    return process


def wait(process, folder: Path, seconds: float = 600) -> Ended:
    """How it ended.

    Raises:
        TimeoutError: it does not end; it is killed.
    """
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"no end after {seconds} s: {_text(folder, process.pid)[-500:]}")
    passed = folder / f"moments-{process.pid}.txt"
    moments = Counter(passed.read_text().splitlines()) if passed.exists() else Counter()
    noted = folder / f"finished-{process.pid}.json"
    finished = json.loads(noted.read_text()) if noted.exists() else {}
    finished = {name: content.encode() for name, content in finished.items()}
    return Ended(process.exitcode, _text(folder, process.pid), moments, finished)


def records(folder: Path) -> dict[str, bytes]:
    """The records of finished jobs, by their paths in the store."""
    store = folder / "store"
    paths = [path for kind in KINDS for path in store.glob(f"{kind}/*/record.json")]
    return {str(path.relative_to(store)): path.read_bytes() for path in paths}


def run(folder: Path, commands: list[list[str]], fault: Fault | None = None, **environment: str) -> Ended:
    """Start it and wait."""
    return wait(start(folder, commands, fault, **environment), folder)


def other_photos(folder: Path) -> None:
    """Turn a bit in every image of `folder`, in place: other good images; done twice, the same as before."""
    for path in folder.glob("photos/*/*.bmp"):
        times = path.stat()
        with path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)[0]
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last ^ 128]))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _text(folder: Path, number: int) -> str:
    path = folder / f"out-{number}.txt"
    return path.read_text(errors="replace") if path.exists() else ""


def _child(folder: Path, commands: list[list[str]], fault: Fault | None, environment: dict[str, str]) -> None:
    os.chdir(folder)
    os.environ.update(environment)
    os.environ["VCBENCH_CACHE"] = str(folder / "cache")
    out = os.open(f"out-{os.getpid()}.txt", os.O_CREAT | os.O_WRONLY)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    from bench.training import loop

    loop.CHECKPOINT_SECONDS = 0.0
    moments = _Moments(folder, fault)
    with contextlib.ExitStack() as stack:
        moments.watch(stack)
        status = 0
        for command in commands:
            status = status or _vcbench(command)
    (folder / f"moments-{os.getpid()}.txt").write_text("\n".join(moments.passed.elements()))
    sys.stdout.flush()
    os._exit(status)


def _vcbench(command: list[str]) -> int:
    from bench.__main__ import main

    with mock.patch.object(sys, "argv", ["vcbench", *command]):
        try:
            status = main()
        except SystemExit as end:
            status = end.code
    return status or 0


def _flip(folder: Path, number: int) -> None:
    """Turn a bit in one of the files that a run reads again: images, weights, predictions."""
    patterns = ("cache/images/*.npy", "store/*/*/weights.safetensors", "store/*/*/predictions.parquet")
    paths = sorted(path for pattern in patterns for path in folder.glob(pattern))
    if paths:
        path = paths[number % len(paths)]
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            (byte,) = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte ^ 1]))


def _clock_goes_back(stack: contextlib.ExitStack) -> None:
    """An hour at every look of this package, whichever of Python's clocks of the day it asks."""
    began, looks = time.time(), itertools.count(1)

    def now() -> float:
        return began - 3600 * next(looks)

    class Back(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.fromtimestamp(now(), tz)

    stack.enter_context(mock.patch.object(time, "time", now))
    stack.enter_context(mock.patch.object(time, "time_ns", lambda: int(now() * 1e9)))
    for name, module in list(sys.modules.items()):
        if name.startswith("bench.") and getattr(module, "datetime", None) is datetime.datetime:
            stack.enter_context(mock.patch.object(module, "datetime", Back))


class _Moments:
    """Counts moments, and does what is to happen at one of them."""

    def __init__(self, folder: Path, fault: Fault | None) -> None:
        self.folder, self.fault, self.passed = str(folder), fault or Fault("nothing"), Counter()
        self.finished: dict[str, bytes] = {}
        self.layer = None
        self.busy = False

    def watch(self, stack: contextlib.ExitStack) -> None:
        """From now on; what holds from the beginning begins."""
        from bench.running.engines import in_process

        attempt, self.finished = in_process.attempt, records(Path(self.folder))

        def attempted(job, workspace, follow):
            outcome = attempt(job, workspace, self._followed(job, follow))
            self.finished = records(Path(self.folder))
            return outcome

        stack.enter_context(mock.patch.object(in_process, "attempt", attempted))
        act = self.fault.act
        if act == "power":
            from faults.power import Layer

            self.layer = stack.enter_context(Layer(Path(self.folder), seed=str(self.fault)))
        if act == "no locks":
            import errno
            import fcntl

            refused = OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
            stack.enter_context(mock.patch.object(fcntl, "flock", side_effect=refused))
        if act == "nan":
            from bench.training.loss import CrossEntropy

            def spoilt(own, outputs, targets, images):
                return outputs.float().sum() * float("nan")

            stack.enter_context(mock.patch.object(CrossEntropy, "__call__", spoilt))
        if act == "clock":
            _clock_goes_back(stack)
        sys.addaudithook(self._audit)

    def tick(self, name: str) -> None:
        """A moment is there."""
        self.passed[name] += 1
        fault = self.fault
        if name != fault.moment or self.passed[name] != fault.count:
            return
        if fault.act in ("kill", "power"):
            self.busy = True
            if fault.act == "power":
                self.layer.lose()
            noted = Path(self.folder, f"finished-{os.getpid()}.json")
            noted.write_text(json.dumps({name: content.decode() for name, content in self.finished.items()}))
            os.kill(os.getpid(), signal.SIGKILL)
        if fault.act == "memory":
            raise MemoryError("a simulated one")
        if fault.act == "flip":
            self.busy = True
            _flip(Path(self.folder), fault.count)
            self.busy = False
        if fault.act == "photos":
            other_photos(Path(self.folder))
        if fault.act.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, fault.act))

    def _audit(self, event: str, arguments: tuple) -> None:
        if self.busy or event not in ("open", "os.rename", "os.remove"):
            return
        if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            return
        path = str(arguments[0])
        if not os.path.isabs(path):
            path = os.path.join(self.folder, path)
        if path.startswith(self.folder) and (name := next((n for p, n in NAMES.items() if p in path), None)):
            self.tick(name)

    def _followed(self, job, follow):
        name = "search" if job.purpose == "search" else "evaluation" if job.kind == "evaluate" else "training"
        if job.kind == "train" and job.teacher is not None:
            name = "student"

        def followed(job):
            observer = follow(job)
            progress = observer.progress

            def ticking(phase, *rest, **numbers):
                self.tick(name)
                progress(phase, *rest, **numbers)

            observer.progress = ticking
            return observer

        return followed

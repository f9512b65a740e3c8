"""Every kind of fault: what is done, how often, and what came of it."""

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from faults import harness
from faults.child import MOMENTS, Fault, other_photos, records, run, start, wait
from faults.harness import REPORT, RUN, TABLES, copy, folder_with_suite, one_line, problems, resume
from faults.system import children, mounted, remount, with_a_job

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
ALL = [RUN, TABLES, REPORT]
EARLY = 6  # a fault comes about within the first of so many parts of all moments of its kind


@dataclass
class Row:
    """A row of the table: how often a fault came about, and what was not as it should be."""

    fault: str
    times: int
    found: list[str]


@dataclass
class Bench:
    """Where faults are tried, and to which store theirs are compared.

    Attributes:
        moments: how often each moment is passed undisturbed.
    """

    root: Path
    undisturbed: Path
    moments: Counter
    random: Random = field(default_factory=lambda: Random(0))
    number: int = 0

    @classmethod
    def make(cls, root: Path) -> "Bench":
        """With a run to which nothing happens."""
        folder = folder_with_suite(root, "undisturbed")
        ended = run(folder, ALL)
        assert ended.status == 0, ended
        return cls(root, folder, ended.moments)

    def folder(self) -> Path:
        """A new folder with the suite."""
        self.number += 1
        return folder_with_suite(self.root, f"try-{self.number}")

    def fault(self, act: str, *moments: str) -> Fault:
        """At a moment by chance: first which, then which time, an early one so that it comes about."""
        moment = self.random.choice(moments or MOMENTS)
        return Fault(act, moment, self.random.randint(1, max(1, self.moments[moment] // EARLY)))

    def in_order(self, moments: Sequence[str]) -> list[str]:
        """As they come about for the first time in a run that is not disturbed."""
        order = list(self.moments)
        return sorted(moments, key=lambda moment: order.index(moment) if moment in order else len(order))

    def check(self, folder: Path, before: dict[str, bytes], remove: bool = True) -> list[str]:
        """Run it to its end, and see what is wrong; where nothing is, the folder may be removed."""
        ended = resume(folder)
        if ended.status:
            return [f"{folder}: run again, it ends with {ended.status}: {ended.text[-300:]}"]
        found = problems(folder, self.undisturbed, before)
        found += [] if one_line(ended.text) else ["a traceback when it was run again"]
        if not found and remove:
            shutil.rmtree(folder)
        return found


def kills(bench: Bench, times: int, act: str = "kill", moments: Sequence[str] = MOMENTS) -> Iterator[Row]:
    """At every kind of moment, one after the other in one store, which is then run to its end."""
    counts, found = Counter(), []
    moments = bench.in_order(moments)
    while sum(counts.values()) < times:
        folder, before = bench.folder(), {}
        for moment in moments:
            fault = bench.fault(act, moment)
            ended = run(folder, ALL, fault)
            counts[moment] += ended.status == -signal.SIGKILL
            before = records(folder)
            lost = [name for name, content in ended.finished.items() if before.get(name) != content]
            found += [f"{name}: lost after {fault}" for name in lost]
            if sum(counts.values()) >= times:
                break
        found += bench.check(folder, before)
    what = {"kill": "kill -9", "power": "power loss"}[act]
    for moment in moments:
        yield Row(f"{what}, {moment}", counts[moment], found)


def power(bench: Bench, times: int) -> Iterator[Row]:
    """As `kills`, and what was not synced is lost."""
    yield from kills(bench, times, "power")


def several(bench: Bench, times: int) -> Iterator[Row]:
    """2, 4 and 8 processes on one store and one cache, half of which are killed."""
    for count in (2, 4, 8)[: max(1, times)]:
        folder, killed = bench.folder(), 0
        faults = [bench.fault("kill") if number % 2 else None for number in range(count)]
        processes = [start(folder, ALL, fault) for fault in faults]
        for process, fault in zip(processes, faults, strict=True):
            ended = wait(process, folder)
            killed += ended.status == -signal.SIGKILL
            if fault is None and ended.status:
                yield Row(f"{count} processes on one store", count, [ended.text[-300:]])
        yield Row(
            f"{count} processes on one store, {killed} killed", count, bench.check(folder, records(folder))
        )


def signals(bench: Bench, times: int) -> Iterator[Row]:
    """Each ends the run with its status, one line, and a store that is gone on with."""
    for name in SIGNALS[: max(1, times)]:
        folder = bench.folder()
        ended = run(folder, ALL, bench.fault(name, "training", "student", "search", "evaluation"))
        number, found = getattr(signal, name), []
        if ended.status != 128 + number or not one_line(ended.text):
            found.append(f"{name}: status {ended.status}: {ended.text[-200:]}")
        yield Row(name, 1, found + bench.check(folder, records(folder)))


def damage(bench: Bench, times: int) -> Iterator[Row]:
    """A file is cut or has a bit turned: before a run that goes on, or in a store that is done. The job whose
    file it is may be done again."""
    for when, kinds in {
        "unfinished run": ("*/*/checkpoint.pt", "*/*/weights.safetensors", "*/*/training.json"),
        "cache": ("images/*", "fingerprints/*"),
        "finished run": ("*/*/record.json", "*/*/predictions.parquet"),
    }.items():
        found, done = [], 0
        for _ in range(times):
            if when == "unfinished run":
                folder = bench.folder()
                run(folder, ALL, Fault("kill", "student", 3 + bench.random.randrange(5)))
            else:
                folder = copy(bench.undisturbed, bench.root, f"copy-{bench.number}")
                bench.number += 1
                if when == "cache":
                    shutil.rmtree(folder / "store")
            top = folder / ("cache" if when == "cache" else "store")
            paths = sorted(path for kind in kinds for path in top.glob(kind) if path.stat().st_size)
            path = bench.random.choice(paths)
            content = bytearray(path.read_bytes())
            if bench.random.random() < 0.5:
                content = content[: bench.random.randrange(len(content))]
            else:
                content[bench.random.randrange(len(content))] ^= 1 << bench.random.randrange(8)
            path.write_bytes(content)
            others = {
                name: kept
                for name, kept in records(folder).items()
                if (folder / "store" / name).parent != path.parent
            }
            done += 1
            found += [f"{path.name}: {problem}" for problem in bench.check(folder, others)]
        yield Row(f"a file cut or a bit turned: {when}", done, found)


def flips(bench: Bench, times: int) -> Iterator[Row]:
    """A bit is turned in a file while the run reads it."""
    found = []
    for _ in range(times):
        folder = bench.folder()
        fault = bench.fault("flip", "training", "student", "search", "evaluation")
        ended = run(folder, ALL, fault)
        if ended.status not in (0, 1, 2) or not one_line(ended.text):
            found.append(f"{fault}: status {ended.status}: {ended.text[-300:]}")
        found += [f"{fault}: {problem}" for problem in bench.check(folder, {})]
    yield Row("a bit turned while it is read", times, found)


def cold_cache(bench: Bench, times: int) -> Iterator[Row]:
    """Two processes with a store each build one cache."""
    found = []
    for _ in range(times):
        folder = bench.folder()
        other = [one.replace("store", "other") for one in RUN]
        processes = [start(folder, [RUN]), start(folder, [other])]
        for process in processes:
            ended = wait(process, folder)
            if ended.status or not one_line(ended.text):
                found.append(f"status {ended.status}: {ended.text[-300:]}")
        mine, theirs = (
            {
                path.parent.name: path.read_bytes()
                for path in folder.glob(f"{name}/evaluations/*/predictions.parquet")
            }
            for name in ("store", "other")
        )
        found += [] if mine == theirs and mine else ["the two stores have other predictions"]
        shutil.rmtree(folder / "other")
        found += bench.check(folder, records(folder))
    yield Row("two processes, one cold cache", times, found)


def nan(bench: Bench, times: int) -> Iterator[Row]:
    """Every network that is trained diverges: it is final, it is told, and the report says so."""
    folder = bench.folder()
    ended = run(folder, ALL, Fault("nan"))
    outcomes = [json.loads(content)["outcome"] for content in records(folder).values()]
    found = [] if ended.status == 0 and one_line(ended.text) else [f"{ended.status}: {ended.text[-300:]}"]
    if "diverged: loss is nan at step" not in ended.text or set(outcomes) != {"diverged"}:
        found.append(f"outcomes {Counter(outcomes)}: {ended.text[-300:]}")
    again = records(folder)
    found += [] if resume(folder).status == 0 and records(folder) == again else ["another outcome afterwards"]
    if "diverged" not in (folder / "report/appendix.html").read_text():
        found.append("the report does not say so")
    yield Row("NaN in training", 1, found)


def memory(bench: Bench, times: int) -> Iterator[Row]:
    """The job is noted as errored and tried again by the same command."""
    folder = bench.folder()
    ended = run(folder, [RUN], Fault("memory", "training", 2))
    found = [] if ended.status == 1 and "out of memory" in ended.text else [ended.text[-300:]]
    yield Row("out of memory", 1, found + bench.check(folder, records(folder)))


def no_locks(bench: Bench, times: int) -> Iterator[Row]:
    """One line that says so."""
    folder = bench.folder()
    ended = run(folder, [RUN], Fault("no locks"))
    said = ended.status == 2 and one_line(ended.text) and "lock" in ended.text.lower()
    found = [] if said else [f"status {ended.status}: {ended.text[-300:]}"]
    yield Row("a file system without locks", 1, found + bench.check(folder, {}))


def clock(bench: Bench, times: int) -> Iterator[Row]:
    """Files from the future, and time that goes back at every look."""
    folder = bench.folder()
    run(folder, ALL, bench.fault("kill", "student"))
    for path in folder.rglob("*"):
        os.utime(path, (2e9, 2e9))
    earlier = records(folder)
    ended = run(folder, [RUN], Fault("clock"))
    found = [] if ended.status == 0 and one_line(ended.text) else [ended.text[-300:]]
    later = [json.loads(content) for name, content in records(folder).items() if name not in earlier]
    if not later or any(record["finished"] >= record["started"] for record in later):
        found.append("the clock did not go back")
    yield Row("clock set back", 1, found + bench.check(folder, records(folder)))


def store_removed(bench: Bench, times: int) -> Iterator[Row]:
    """It is noticed, and the same command makes everything anew."""
    folder = bench.folder()
    process = start(folder, [RUN])
    while process.is_alive() and not list(folder.glob("store/runs/*/record.json")):
        time.sleep(0.02)
    (folder / "store").rename(folder / "elsewhere")
    ended = wait(process, folder)
    shutil.rmtree(folder / "elsewhere")
    said = ended.status == 2 and one_line(ended.text) and "removed" in ended.text
    found = [] if said else [f"status {ended.status}: {ended.text[-300:]}"]
    yield Row("store removed while running", 1, found + bench.check(folder, {}))


def workers(bench: Bench, times: int) -> Iterator[Row]:
    """One of two workers is killed; then one stops answering, and Ctrl-C twice ends the command."""
    command = [*RUN[:-1], "2"]
    for what, number in (("a dead worker", signal.SIGKILL), ("a hung worker", signal.SIGSTOP)):
        folder, found = bench.folder(), []
        process = start(folder, [command])
        worker = None
        while process.is_alive() and worker is None:
            worker = next((one for one in children(process.pid) if one in with_a_job(folder)), None)
            time.sleep(0.02)
        if worker is None:
            yield Row(what, 0, [f"no process had a job in hand: {wait(process, folder).text[-300:]}"])
            continue
        os.kill(worker, number)
        if number == signal.SIGSTOP:
            for _ in range(2):
                time.sleep(1)
                os.kill(process.pid, signal.SIGINT)
        ended = wait(process, folder, 300)
        if ended.status not in ((1,) if number == signal.SIGKILL else (130,)) or not one_line(ended.text):
            found.append(f"status {ended.status}: {ended.text[-300:]}")
        if os.path.exists(f"/proc/{worker}"):
            found.append("the worker is still there")
        yield Row(what, 1, found + bench.check(folder, records(folder)))


def full_disk(bench: Bench, times: int) -> Iterator[Row]:
    """A small tmpfs for the store, and one for the cache; with room again, it goes on."""
    for what in ("store", "cache"):
        for size in ("64k", "256k")[: max(1, times)]:
            folder = bench.folder()
            with mounted(folder / what, f"size={size}") as there:
                if not there:
                    yield Row(f"disk full: {what} (skipped: needs root)", 0, [])
                    continue
                ended = run(folder, [RUN])
                said = ended.status in (1, 2) and one_line(ended.text) and "disk is full" in ended.text
                found = [] if said else [f"status {ended.status}: {ended.text[-300:]}"]
                parts = [str(path) for path in folder.rglob(".*.part*")]
                remount(folder / what, "size=1g")
                before = records(folder)
                yield Row(
                    f"disk full: {what} of {size}",
                    1,
                    found + parts + bench.check(folder, before, remove=False),
                )


def read_only(bench: Bench, times: int) -> Iterator[Row]:
    """Reading goes on; a run ends with one line."""
    folder = bench.folder()
    with mounted(folder / "store", "size=1g") as there:
        if not there:
            yield Row("read-only store (skipped: needs root)", 0, [])
            return
        run(folder, ALL, bench.fault("kill", "student"))
        remount(folder / "store", "ro")
        before, ended = records(folder), run(folder, [RUN])
        said = ended.status == 2 and one_line(ended.text) and "cannot be written" in ended.text
        found = [] if said else [f"status {ended.status}: {ended.text[-300:]}"]
        seen = run(folder, [["status", "--results", "store"]])
        found += [] if seen.status == 0 else [seen.text[-300:]]
        remount(folder / "store", "rw")
        yield Row("read-only store", 1, found + bench.check(folder, before, remove=False))


def photos(bench: Bench, times: int) -> Iterator[Row]:
    """Images of one's own become others before, while or after they are read: no number stands under others
    than its own, then or later, when both have been run to the end."""
    undisturbed = folder_with_suite(bench.root, "photos", harness.OF_PHOTOS)
    other_photos(undisturbed)
    assert _both(undisturbed) == []
    for when in ("while they are streamed", "while they are cached", "before", "after")[: max(1, times)]:
        bench.number += 1
        folder, found = folder_with_suite(bench.root, f"try-{bench.number}", harness.OF_PHOTOS), []
        if when.startswith("while"):
            limit = {"VCBENCH_CACHE_GB": "0"} if "streamed" in when else {}
            ended = run(folder, [RUN], Fault("photos", "training", 2), **limit)
            if ended.status != 1 or "was changed since" not in ended.text or not one_line(ended.text):
                found.append(f"status {ended.status}: {ended.text[-300:]}")
        else:
            run(folder, [RUN], Fault("kill", "training", 2) if when == "before" else None)
            other_photos(folder)
        before = records(folder)
        found += _both(folder) + problems(folder, undisturbed, before)
        yield Row(f"images changed {when}", 1, found)


def _both(folder: Path) -> list[str]:
    """Run the suite on the other images, which are there, and on the first ones again."""
    ended = run(folder, [RUN, TABLES])
    other_photos(folder)
    again = run(folder, [RUN, TABLES])
    return [one.text[-300:] for one in (ended, again) if one.status or not one_line(one.text)]


KINDS: dict[str, Callable[[Bench, int], Iterator[Row]]] = {
    one.__name__: one
    for one in (
        kills, several, power, signals, damage, memory, no_locks, clock, store_removed, workers, full_disk,
        read_only, flips, cold_cache, nan, photos,
    )
}  # fmt: skip

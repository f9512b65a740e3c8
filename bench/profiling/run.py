"""Measuring profiles on this machine: from jobs to records in the store, each as it is done."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.profiling import processes
from bench.profiling.job import ProfileJob
from bench.profiling.kind import failure
from bench.profiling.kinds import find_kind
from bench.profiling.processes import Stopped
from bench.profiling.samples import UNSTABLE, summarise
from bench.profiling.scheduler import Row, best_rows, measure_rows, now
from bench.profiling.session import Session
from bench.store.records.profiles import MeasuredRecord, ProfileRecord
from bench.store.run_store import RunStore

# The fields of a worker's result that are stored as they are, from its last process.
KEPT = (
    "clock",
    "tolerance",
    "casting",
    "agreement",
    "calibration",
    "optimizer",
    "gpu",
    "gpu_processes",
    "jpeg_px",
    "jpeg_kib",
)
Fields = dict[str, Any]


def check_jobs(jobs: Sequence[ProfileJob], session: Session) -> None:
    """Find out what cannot be measured before anything slow begins.

    Raises:
        InputError: a network cannot be made.
    """
    for job in jobs:
        find_kind(job.what).check(job, session)


def measure(
    jobs: Sequence[ProfileJob],
    store: RunStore,
    *,
    log: Callable[[str], None] = lambda line: None,
    resume: bool = False,
    find_best: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[ProfileRecord]:
    """Measure all of `jobs`, store each record as it is done, and yield it.

    Args:
        resume: go on from processes that an earlier run of the same has left, and leave such in turn.
        find_best: look for the fastest config of every model, mode and input size. The fastest of many was
            also the luckiest, so it is measured again, and that result is stored. All rows of speed are then
            yielded twice.
        should_stop: asked before every process and twice a second while one measures, which is then ended;
            what is finished is kept.

    Raises:
        InputError: a network cannot be made.
    """
    session = Session(store, log, should_stop)
    try:
        yield from _measure(jobs, session, store, resume=resume, find_best=find_best)
    finally:
        session.close()
        processes.renew()


def _measure(
    jobs: Sequence[ProfileJob], session: Session, store: RunStore, *, resume: bool, find_best: bool
) -> Iterator[ProfileRecord]:
    log, should_stop = session.log, session.should_stop
    check_jobs(jobs, session)
    repeated = [job for job in jobs if find_kind(job.what).repeated]
    # What the store holds of the same jobs, before their own results lie there.
    earlier = {job: store.profile(job.id) for job in repeated}
    for job in jobs:
        if job not in earlier:
            if should_stop():
                return
            log(f"{job.what}: {job.label}")
            kind, started = find_kind(job.what), now()
            try:
                numbers = kind.profile(job, session)
            except Stopped:
                return
            record = kind.record(job, started, now(), numbers)
            yield store.finish_profile(job.id, record)

    def keep(row: Row) -> None:
        if resume and not row.ended:
            store.keep_processes(row.job.id, row.results)

    def finish(row: Row, best: bool | None) -> ProfileRecord:
        record = _row_record(row, session, earlier[row.job]) | {"best": best}
        return store.finish_profile(row.job.id, record, None if row.failure else row.samples)

    rows = [Row(job, store.processes(job.id) if resume else []) for job in repeated]
    for row in measure_rows(rows, session, keep=keep):
        yield finish(row, None)
    if not find_best or should_stop():
        return
    speed = [row for row in rows if row.job.what == "speed"]
    best = [Row(row.job) for row in best_rows(speed)]
    for row in measure_rows(best, session):
        yield finish(row, True)
    again = {row.job for row in best}
    for row in speed:
        if row.job not in again:
            yield finish(row, False)


def _row_record(row: Row, session: Session, earlier: ProfileRecord | None) -> Fields:
    """The record of a row whose processes are done."""
    kind = find_kind(row.job.what)
    numbers = _state(row)
    if row.failure:
        numbers |= failure(row.failure)
    else:
        rates = summarise(row.samples, row.job.config.batch_size)
        numbers |= rates | {"outcome": "measured", "reason": None} | _agreement(rates, earlier)
        numbers |= kind.summary(row, rates["images_per_s"], session)
    return kind.record(row.job, row.started, now(), numbers)


def _agreement(rates: Fields, earlier: ProfileRecord | None) -> Fields:
    """The rate of the same job's earlier record; where the two are further apart than `UNSTABLE`, the row is
    unstable."""
    before = earlier.images_per_s if isinstance(earlier, MeasuredRecord) else None
    if before is None:
        return {"earlier_images_per_s": None}
    after = rates["images_per_s"]
    apart = max(before, after) / min(before, after) - 1 > UNSTABLE
    return {"earlier_images_per_s": before, "unstable": rates["unstable"] or apart}


def _state(row: Row) -> Fields:
    """The machine and the network during a row: the worst of its processes, and how each of them was."""
    done = [one for one in row.results if one["outcome"] == "measured"]
    if not done:
        return {}
    return {name: done[-1][name] for name in KEPT if name in done[-1]} | {
        "error": max((one["error"] for one in done if "error" in one), default=None),
        "busy": any(one["busy"] for one in done),
        "other_cores": max(one["other_cores"] for one in done),
        "load": [[one["load_before"], one["load_after"]] for one in done],
        "steady": all(one["steady"] for one in done),
        "warm_up_steps": [one["warm_up_steps"] for one in done],
    }

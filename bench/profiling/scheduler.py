"""Rows of what is timed: several fresh processes each, in interleaved random order."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bench.profiling import processes
from bench.profiling.config import LimitConfig
from bench.profiling.job import ProfileJob
from bench.profiling.kinds import find_kind
from bench.profiling.processes import Stopped
from bench.profiling.samples import is_unstable, summarise
from bench.profiling.session import Session


def now() -> str:
    """The time, as records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Row:
    """One row of a table, and the results of its processes so far."""

    job: ProfileJob
    results: list[dict[str, Any]] = field(default_factory=list)
    started: str = field(default_factory=now)

    @property
    def failure(self) -> dict[str, Any] | None:
        """The result of a process that gave no numbers."""
        return next((one for one in self.results if one["outcome"] != "measured"), None)

    @property
    def ended(self) -> bool:
        """Whether nothing more will be measured of it."""
        done, budget = len(self.results), self.job.budget
        if self.failure is not None or done >= max(budget.processes, budget.max_processes or 0):
            return True
        return done >= budget.processes and not is_unstable(self.samples)

    @property
    def samples(self) -> list[list[float]]:
        """ms of every step of each process."""
        return [[1000 * value for value in one["seconds"]] for one in self.results if "seconds" in one]


def measure_rows(
    rows: Sequence[Row],
    session: Session,
    *,
    seed: int | None = None,
    keep: Callable[[Row], None] = lambda row: None,
) -> Iterator[Row]:
    """Measure every row, and the limits of the machine that its kind asks for; yields each row as it ends.

    Every round is one process of every row that wants more, in an order of its own, after one of every
    limit. A row that is unstable gets more rounds, up to its budget's `max_processes`. A row that failed is
    not tried again. Where `session` says to stop, this ends.

    Args:
        rows: those with results go on from there; those that have enough of them are yielded first.
        seed: of the orders.
        keep: called with a row after each of its processes.
    """
    yield from [row for row in rows if row.ended]
    shuffled = random.Random(seed)
    rounds = max((row.job.budget.processes for row in rows), default=0)
    further = max((row.job.budget.max_processes or 0 for row in rows), default=0)
    for turn in range(max(rounds, further)):
        open_rows = [row for row in rows if not row.ended]
        shuffled.shuffle(open_rows)
        processes.renew()
        # Further rounds of unstable rows leave the limits as they are.
        limits = _limits(open_rows) if turn < rounds else []
        name = "round" if turn < rounds else "further round"
        items: list[ProfileJob[LimitConfig] | Row] = [*limits, *open_rows]
        for number, item in enumerate(items, 1):
            if session.should_stop():
                return
            job = item.job if isinstance(item, Row) else item
            session.log(f"{name} {turn + 1}, {number} of {len(items)}: {job.what}, {job.label}")
            try:
                if isinstance(item, ProfileJob):
                    session.measure_limit(item)
                    continue
                repeats, seconds = job.budget.repeats, job.budget.seconds
                item.results.append(session.ask(job.what, job.config, repeats=repeats, seconds=seconds))
            except Stopped:
                return
            keep(item)
            if item.ended:
                yield item


def _limits(rows: Sequence[Row]) -> list[ProfileJob[LimitConfig]]:
    wanting = [row.job for row in rows if row.job.budget.limits]
    limits = [limit for job in wanting for limit in find_kind(job.what).limits(job)]
    return sorted(dict.fromkeys(limits), key=lambda job: job.what, reverse=True)  # matmul, bandwidth


def best_rows(rows: Sequence[Row]) -> list[Row]:
    """The row of the most images/s, for every model, mode and input size, in PyTorch."""
    best: dict[tuple, tuple[float, Row]] = {}
    for row in rows:
        if row.failure is None and not row.job.config.deployed:
            config = row.job.config
            rate = summarise(row.samples, config.batch_size)["images_per_s"]
            key = config.model, config.mode, config.input_size
            if key not in best or rate > best[key][0]:
                best[key] = rate, row
    return [row for _, row in best.values()]

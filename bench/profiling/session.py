"""What the measurements of one call share: the store, when to stop, and the limits of the machine so far."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.profiling import processes
from bench.profiling.config import CostConfig, LimitConfig, NetworkConfig, WorkerConfig
from bench.profiling.job import ProfileJob, profile_job
from bench.profiling.kind import Limit, failure
from bench.profiling.kinds import find_kind
from bench.profiling.kinds.cost import count_cost
from bench.store.run_store import RunStore
from bench.training.batch_size import largest_that_fits

Fields = dict[str, Any]


@dataclass
class Session:
    """Starts workers, and keeps what one measurement needs of others.

    Attributes:
        log: called with a line before each measurement.
        should_stop: asked before each process and twice a second while one measures.
        limits: the best result so far of every limit of the machine.
        idle_watts: what the GPU's board takes without work, once it was measured.
    """

    store: RunStore | None = None
    log: Callable[[str], None] = lambda line: None
    should_stop: Callable[[], bool] = lambda: False
    limits: dict[ProfileJob[LimitConfig], Fields] = field(default_factory=dict)
    idle_watts: float | None = None
    _exports: dict[tuple[Any, ...], Fields] = field(default_factory=dict)
    _folder: TemporaryDirectory[str] | None = None

    def ask(self, kind: str, config: WorkerConfig, method: str = "measure", **options: Any) -> Fields:
        """The result of one fresh process; one that ran out of memory has "largest_batch", of a network.

        Raises:
            Stopped: asked to; the result is lost.
        """
        if isinstance(config, NetworkConfig) and config.deployed and method != "export":
            made = self.export(kind, config)
            if made["outcome"] != "measured":
                return made
            options["folder"] = made["folder"]
        result = processes.ask(processes.worker_job(kind, config, method, **options), self.should_stop)
        if result["outcome"] == "out_of_memory" and method not in ("fits", "export"):
            result |= find_kind(kind).out_of_memory(config, self)
        return result

    def export(self, kind: str, config: NetworkConfig) -> Fields:
        """The folder of an exported network, which is made once a session, or why there is none."""
        key = (config.model, config.classes, config.input_size, config.runtime, config.precision)
        if key not in self._exports:
            self._folder = self._folder or TemporaryDirectory()
            folder = Path(self._folder.name) / str(len(self._exports))
            folder.mkdir(exist_ok=True)
            self.log(f"export: {config.model} for {config.runtime} in {config.precision}")
            made = self.ask(kind, config, "export", folder=str(folder))
            self._exports[key] = made | {"folder": str(folder)}
        return self._exports[key]

    def close(self) -> None:
        """Remove what was exported."""
        self._exports.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def measure(self, kind: str, config: WorkerConfig, method: str = "measure", **options: Any) -> Fields:
        """The numbers of a record from one fresh process, or why it has none.

        Raises:
            Stopped: as `ask`.
        """
        result = self.ask(kind, config, method, **options)
        return result | {"reason": None} if result["outcome"] == "measured" else failure(result)

    def largest_batch(self, kind: str, config: NetworkConfig) -> int:
        """The largest of batch_size / 2, / 4, ... that fits, each tried in a process of its own; 0 for none.

        Raises:
            Stopped: as `ask`.
        """

        def fits(batch_size: int) -> bool:
            smaller = replace(config, batch_size=batch_size)
            return self.ask(kind, smaller, "fits")["outcome"] == "measured"

        return largest_that_fits(config.batch_size, fits)

    def measure_limit(self, job: ProfileJob[LimitConfig]) -> None:
        """Measure a limit of the machine once more, and keep the best result."""
        result = self.ask(job.what, job.config, repeats=job.budget.repeats, seconds=job.budget.seconds)
        kind = find_kind(job.what)
        assert isinstance(kind, Limit)
        rate = kind.rate
        if result["outcome"] == "measured" and result[rate] > self.limits.get(job, {rate: 0})[rate]:
            self.limits[job] = result

    def cost(self, model: str, classes: int, input_size: int) -> Fields:
        """The cost of a model: the store's record where there is one, else counted, once in a process.

        Raises:
            InputError: the network cannot be made.
        """
        job = profile_job("cost", CostConfig(model, classes, input_size))
        stored = self.store.profile(job.id) if self.store is not None else None
        return stored.content() if stored else count_cost(job.config, job.id)

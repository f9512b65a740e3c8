"""What a kind of profile is: how it is planned, measured in a worker, recorded, and how long that takes."""

from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic

from bench.machine import commit, device_name, instructions, machine_facts, machine_name
from bench.profiling.config import LimitConfig, NetworkConfig, WorkerConfig
from bench.profiling.forking import CAN_FORK
from bench.profiling.job import PROFILE_FORMAT, AnyConfig, ProfileJob, Request, versions_of
from bench.runtimes import find_runtime

if TYPE_CHECKING:
    from bench.profiling.scheduler import Row
    from bench.profiling.session import Session

Fields = dict[str, Any]

# What tells the rows of a table of networks apart.
NETWORK = (
    "model",
    "mode",
    "batch_size",
    "input_size",
    "runtime",
    "precision",
    "memory_format",
    "compiled",
    "as_trained",
)
RATES = ("images_per_s", "latency_ms_median", "latency_ms_q1", "latency_ms_q3")

# A process makes the network and checks its outputs; one that is not forked loads PyTorch and timm first.
# On a GPU it makes a context, and cuDNN looks for its fastest algorithms: 5 s on an H100.
FRESH_S = 9.0
START_S = 1.5 if CAN_FORK else FRESH_S
START_GPU_S = 5.0
# Steps before the samples: the check, and two windows of warm-up.
STEPS_BEFORE = 7


class Kind(Generic[AnyConfig]):
    """A kind of profile.

    Attributes:
        name: of its file, and "what" of its records.
        config: the class of its configs.
        requestable: whether a suite or the command line asks for it by name.
        columns: the fields of its records that the command line prints.
        repeated: measured in several fresh processes, in turn with those of other rows; its results have
            "seconds" of every step.
    """

    name: str
    config: type[AnyConfig]
    columns: tuple[str, ...] = ()
    requestable = True
    repeated = False

    def jobs(self, request: Request) -> Iterable[ProfileJob[AnyConfig]]:
        """What is to be measured for a request, which may name other kinds alone."""
        return ()

    def check(self, job: ProfileJob[AnyConfig], session: "Session") -> None:
        """Find out what cannot be measured before anything slow begins.

        Raises:
            InputError: a network cannot be made.
        """

    def measure(self, config: Any, **options: Any) -> Fields:
        """The numbers of one measurement, taken in a fresh process that does nothing else.

        By default those of `measure_NAME` in the module of its name beside this one.
        """
        module = import_module(f"bench.profiling.{self.name}")
        return getattr(module, f"measure_{self.name}")(config, **options)

    def profile(self, job: ProfileJob[AnyConfig], session: "Session") -> Fields:
        """The numbers of a record, of a kind that is not repeated: by default those of one fresh process."""
        assert isinstance(job.config, WorkerConfig)
        return session.measure(self.name, job.config)

    def out_of_memory(self, config: Any, session: "Session") -> Fields:
        """What is added to the result of a config that ran out of memory."""
        return {}

    def summary(self, row: "Row", images_per_s: float, session: "Session") -> Fields:
        """What the record of a repeated kind has beside its rates."""
        return {}

    def limits(self, job: ProfileJob[AnyConfig]) -> list[ProfileJob[LimitConfig]]:
        """Limits of the machine that are measured in turn with the rows of a repeated kind."""
        return []

    def expected_seconds(self, job: ProfileJob[AnyConfig], step_s: float) -> float:
        """How long it takes where rows are stable; a step of the network takes `step_s`, 0 without one."""
        budget = job.budget
        sampled = max(budget.repeats * step_s, budget.seconds, step_s)
        start_s = START_GPU_S if job.config.device == "cuda" else START_S
        return budget.processes * (start_s + STEPS_BEFORE * step_s + sampled)

    def rows(self, record: Fields) -> list[Fields]:
        """What the command line prints of a record, a line each."""
        return [record]

    def record(self, job: ProfileJob[AnyConfig], started: str, finished: str, numbers: Fields) -> Fields:
        """The record of a job; `device` is named for a reader."""
        fields = job.config.to_dict()
        named = {"device": device_name(fields["device"])} if "device" in fields else {}
        return {
            **fields,
            **named,
            "format": PROFILE_FORMAT,
            "kind": "profile",
            "what": self.name,
            "id": job.id,
            **(_card_fields(job.model) if job.model else {}),
            "machine": machine_name(),
            "machine_facts": machine_facts(),
            "instructions": instructions(),
            "versions": versions_of(job.config),
            "commit": commit(),
            "started": started,
            "finished": finished,
            **numbers,
        }


class Limit(Kind[LimitConfig]):
    """A limit of the machine, measured in turn with rows; the result with the largest `rate` counts."""

    config, requestable = LimitConfig, False

    def __init__(self, name: str, rate: str) -> None:
        self.name, self.rate = name, rate


class NetworkKind(Kind[NetworkConfig]):
    """A kind that measures a model in every config of a request, at several input sizes if `at_sizes`, and
    exported if `of_deployed`."""

    config = NetworkConfig
    at_sizes = of_deployed = False

    def jobs(self, request: Request) -> Iterable[ProfileJob[NetworkConfig]]:
        if self.name in request.kinds:
            yield from (request.job(self.name, config) for config in request.configs)
            if self.at_sizes and "scaling" in request.kinds:
                yield from (request.job(self.name, config) for config in request.configs_at_sizes())
            if self.of_deployed:
                yield from (request.job(self.name, config) for config in request.deployed)

    def check(self, job: ProfileJob[NetworkConfig], session: "Session") -> None:
        if job.config.deployed:
            where = f"runtime {job.config.runtime}, {job.config.precision}"
            find_runtime(job.config.runtime).require(job.config.precision == "int8", where=where)
        session.cost(job.config.model, job.config.classes, job.config.input_size)

    def out_of_memory(self, config: NetworkConfig, session: "Session") -> Fields:
        session.log(f"largest batch that fits: {config.label}")
        return {"largest_batch": session.largest_batch(self.name, config)}

    def fits(self, config: NetworkConfig, folder: str | None = None) -> Fields:
        """Taken in a fresh process: whether a network can be run so at all; out of memory is raised."""
        from bench.profiling.ready import ready

        step, _ = ready(replace(config, compiled=False), folder)
        step()
        return {"fits": True}

    def export(self, config: NetworkConfig, *, folder: str) -> Fields:
        """Taken in a fresh process: the network of a config that is `deployed` is written to a folder."""
        from bench.profiling.exported import export

        return export(config, folder)

    def record(self, job: ProfileJob[NetworkConfig], started: str, finished: str, numbers: Fields) -> Fields:
        trained = {"as_trained": job.config.as_trained}
        return super().record(job, started, finished, trained | numbers)


def failure(result: Fields) -> Fields:
    """What a record says that has no numbers."""
    if result["outcome"] == "failed":
        return {"outcome": "failed", "reason": result["reason"]}
    if "largest_batch" not in result:
        return {"outcome": "out_of_memory", "reason": "out of memory"}
    largest = result["largest_batch"]
    fits = f"the largest batch that fits is {largest}" if largest else "no batch fits"
    return {"outcome": "out_of_memory", "reason": f"out of memory; {fits}", "largest_batch": largest}


def _card_fields(model: str) -> Fields:
    from bench.networks import find_card

    card = find_card(model)
    facts = {"title": card.title, "family": card.family, "pretraining": card.pretraining}
    return {"model": card.name, **facts, "weights": "random"}

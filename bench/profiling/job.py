"""A profile as a unit of work: what kind it is, of which configuration, and the id that follows from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from bench.files import digest
from bench.machine import device_name, machine_name, versions
from bench.profiling.config import Config, CostConfig, NetworkConfig, round_to_patch
from bench.runtimes import find_runtime
from bench.spec.job import Job
from bench.spec.recipe import SIZES
from bench.store.records.profiles import MeasuredRecord, ProfileRecord

PROFILE_FORMAT = 1
# Of how costs are counted: 2 names 1 x 1 convolutions and linear layers alike.
COUNTING = 2
# A row that models are compared by, where it is unstable, gets up to so many times the processes asked for.
PATIENCE = 4


@dataclass(frozen=True)
class Budget:
    """How long to measure: processes a row; in each, at least so many steps and so many seconds of them.

    A row that is unstable gets further processes, up to `max_processes`; None for none. One that models are
    compared by gets up to `patience` times those asked for; None for PATIENCE. `limits`: whether the limits
    of the machine are measured in turn with the rows.
    """

    processes: int = 3
    repeats: int = 10
    seconds: float = 1.0
    max_processes: int | None = None
    limits: bool = True
    patience: int | None = None


AnyConfig = TypeVar("AnyConfig", bound=Config)


@dataclass(frozen=True, kw_only=True)
class ProfileJob(Job, Generic[AnyConfig]):
    """One profile, before it is measured; `what` is the name of a file in `bench/profiling/kinds/`.

    Its identity is everything that the numbers depend on: what, model, config, machine, device and versions.
    """

    kind = "profile"
    what: str
    config: AnyConfig
    budget: Budget = field(default=Budget(), compare=False)

    @property
    def model(self) -> str | None:
        """The model's name; None for what is measured without one."""
        return self.config.model

    @property
    def label(self) -> str:
        """What is measured, in one line."""
        return self.config.label

    def matches(self, record: ProfileRecord) -> bool:
        """Whether a stored record is of this job, measured on whichever machine and device, with as many
        threads as were usual there, by whichever versions."""
        fields, device = self.config.to_dict(), record.device or "cpu"
        there = {
            "device": device if device in ("cpu", "mps") else "cuda",
            "threads": record.threads,
        }
        if self.config.as_trained and isinstance(record, MeasuredRecord) and record.as_trained:
            there |= {"allocator": record.allocator, "cudnn_benchmark": record.cudnn_benchmark}
        fields |= {name: value for name, value in there.items() if name in fields}
        there = _identity(self.what, self.config, fields, record.machine, device, record.versions)
        return digest(there) == record.id


def profile_job(what: str, config: AnyConfig, budget: Budget = Budget()) -> ProfileJob[AnyConfig]:
    """A profile on this machine."""
    device = device_name(config.device)
    identity = _identity(what, config, config.to_dict(), machine_name(), device, versions_of(config))
    return ProfileJob(identity=identity, what=what, config=config, budget=budget)


def versions_of(config: Config) -> dict[str, str]:
    """Versions of the libraries that can change a number of a config: those of its runtime are among them."""
    if isinstance(config, NetworkConfig) and config.deployed:
        return versions() | find_runtime(config.runtime).versions()
    return versions()


def _identity(
    what: str,
    config: Config,
    fields: dict[str, Any],
    machine: str | None,
    device: str,
    versions: Mapping[str, str | None],
) -> dict[str, Any]:
    if isinstance(config, CostConfig):  # counts are the same on every machine
        counters = {name: versions[name] for name in ("torch", "timm", "fvcore") if name in versions}
        depends_on = {"counting": COUNTING, **fields, "versions": counters}
    else:
        depends_on = {"setting": fields, "machine": machine, "device": device, "versions": versions}
    return {
        "profile_format": PROFILE_FORMAT,
        "what": what,
        "model": _model_identity(config.model) if config.model else None,
        **depends_on,
    }


def _model_identity(model: str) -> list[Any]:
    from bench.networks import find_card

    card = find_card(model)
    return [card.name, card.architecture, card.options, card.stem]


@dataclass(frozen=True)
class Request:
    """What a block of a suite, or the command line, asks to be measured: kinds by name, of a grid of configs.

    `sizes` are input sizes in px at which costs are counted, if "scaling" is among the kinds. `deployed` are
    configs of exported networks, of which speed and memory are measured.
    """

    kinds: frozenset[str]
    configs: Sequence[NetworkConfig]
    budget: Budget = Budget()
    sizes: Sequence[int] = SIZES
    deployed: Sequence[NetworkConfig] = ()

    def job(self, kind: str, config: AnyConfig) -> ProfileJob[AnyConfig]:
        """A job of it; rows that models are compared by may take more processes."""
        budget = self.budget
        if getattr(config, "compared", False):
            budget = replace(budget, max_processes=(budget.patience or PATIENCE) * budget.processes)
        return profile_job(kind, config, budget)

    def first_configs(self) -> dict[str, NetworkConfig]:
        """The first config of every model, by the model's name."""
        first: dict[str, NetworkConfig] = {}
        for config in self.configs:
            first.setdefault(config.model, config)
        return first

    def configs_at_sizes(self) -> Iterator[NetworkConfig]:
        """The first config of every model at each of `sizes`, or the nearest that its patches allow."""
        from bench.networks import find_card

        for model, config in self.first_configs().items():
            patch = find_card(model).patch
            for size in dict.fromkeys(round_to_patch(size, patch) for size in self.sizes):
                yield replace(config, input_size=size)

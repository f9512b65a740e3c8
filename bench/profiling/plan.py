"""Profiles: what a suite, or the command line, measures of models without training them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.files import digest
from bench.machine import device_name, machine_name, versions
from bench.planning.plan import Resolved, Unresolved
from bench.profiling.config import (
    NO_COUNTER,
    PATHS,
    SIZES,
    Effort,
    Growth,
    Loading,
    Setting,
    check_precisions,
    fitting,
    grid,
)
from bench.spec.suite import Suite

PROFILE_FORMAT = 1
# Of how costs are counted: 2 names 1 x 1 convolutions and linear layers alike.
COUNTING = 2
# A row that models are compared by, where it is unstable, gets up to so many times the processes asked for.
PATIENCE = 4


@dataclass(frozen=True)
class Profile:
    """The cost of one model with one head at one input size, in px."""

    model: str
    classes: int
    input_size: int
    what = "cost"

    @property
    def words(self) -> str:
        """What is counted, in one line."""
        return f"{self.model}, {self.classes} classes, {self.input_size} px"

    @property
    def id(self) -> str:
        """From everything that can change the counts: the model as its card has it, and the counters."""
        libraries = {name: found for name, found in versions().items() if name in ("torch", "timm", "fvcore")}
        return digest(
            {
                "profile_format": PROFILE_FORMAT,
                "what": "cost",
                "counting": COUNTING,
                "model": _identity(self.model),
                "classes": self.classes,
                "input_size": self.input_size,
                "versions": libraries,
            }
        )


@dataclass(frozen=True)
class Measurement:
    """What is measured on this machine: `what` is speed, memory, energy, end_to_end, loading or scaling."""

    what: str
    setting: Setting | Loading | Growth
    effort: Effort = field(default=Effort(), compare=False)

    @property
    def model(self) -> str | None:
        """The model's name; None for the data path, which has none."""
        return getattr(self.setting, "model", None)

    @property
    def as_trained(self) -> bool:
        """Whether it is of a model in the setting in which trials on the device train it."""
        return isinstance(self.setting, Setting) and self.setting.as_trained

    @property
    def words(self) -> str:
        """What is measured, in one line."""
        return self.setting.words

    @property
    def id(self) -> str:
        """From everything that the numbers depend on: model, setting, machine, device and versions."""
        device = device_name(getattr(self.setting, "device", "cpu"))
        return self._id(self.setting.facts(), machine_name(), device, versions())

    def is_of(self, record: dict[str, Any]) -> bool:
        """Whether a stored record is of this measurement, taken on whichever machine and device, with as many
        threads as were usual there, by whichever versions."""
        facts, device = self.setting.facts(), record.get("device", "cpu")
        there = {"device": "cpu" if device == "cpu" else "cuda", "threads": record.get("threads")}
        if self.as_trained and record.get("as_trained"):
            there |= {name: record.get(name) for name in ("allocator", "cudnn_benchmark")}
        facts |= {name: value for name, value in there.items() if name in facts}
        return self._id(facts, record.get("machine"), device, record["versions"]) == record["id"]

    def _id(self, facts: dict[str, Any], machine: str | None, device: str, libraries: dict[str, str]) -> str:
        return digest(
            {
                "profile_format": PROFILE_FORMAT,
                "what": self.what,
                "model": _identity(self.model) if self.model else None,
                "setting": facts,
                "machine": machine,
                "device": device,
                "versions": libraries,
            }
        )


def _identity(model: str) -> list[Any]:
    from bench.networks import find_card

    card = find_card(model)
    return [card.name, card.architecture, card.options, card.stem]


def measurements(
    what: Iterable[str], settings: Sequence[Setting], effort: Effort, sizes: Sequence[int] = SIZES
) -> list[Measurement]:
    """Everything that the words of `what` ask of a grid of settings.

    speed, memory and energy are measured in every setting; end_to_end in those of inference with the smallest
    and the largest batch, and the data path alone with the largest. scaling counts costs at `sizes`, and
    where speed or memory are asked for too, measures them there in the first setting of every model.
    """
    what = set(what)
    found = [
        Measurement(word, setting, _patient(effort, setting))
        for word in ("memory", "speed", "energy")
        for setting in settings
        if word in what
    ]
    if "end_to_end" in what:
        found += _end_to_end([s for s in settings if s.mode == "infer"], effort)
    if "scaling" in what:
        found += _scaling(what, settings, effort, sizes)
    return list(dict.fromkeys(found))


def _patient(effort: Effort, setting: Setting) -> Effort:
    """More processes, where they are needed, for rows as trained: these are what models are compared by."""
    return replace(effort, most=PATIENCE * effort.processes) if setting.as_trained else effort


def _end_to_end(settings: Sequence[Setting], effort: Effort) -> Iterator[Measurement]:
    batches = [s.batch_size for s in settings]
    for s in settings:
        if s.batch_size in (min(batches), max(batches)):
            yield Measurement("end_to_end", s, _patient(effort, s))
        if s.batch_size == max(batches):
            for path in PATHS:
                place = s.batch_size, s.input_size, s.device, s.threads
                yield Measurement("loading", Loading(path, *place, s.allocator), effort)


def _scaling(
    what: set[str], settings: Sequence[Setting], effort: Effort, sizes: Sequence[int]
) -> Iterator[Measurement]:
    from bench.networks import find_card

    first: dict[str, Setting] = {}
    for setting in settings:
        first.setdefault(setting.model, setting)
    for model, setting in first.items():
        yield Measurement("scaling", Growth(model, setting.classes, tuple(sizes)), effort)
        patch = find_card(model).patch
        for size in dict.fromkeys(fitting(size, patch) for size in sizes):
            for word in ("memory", "speed"):
                if word in what:
                    at = replace(setting, input_size=size)
                    yield Measurement(word, at, _patient(effort, at))


def planned_profiles(
    suite: Suite, trials: Iterable[Resolved | Unresolved], device: str
) -> list[Profile | Measurement]:
    """What a suite asks for, and the cost of every model as its trials use it; none twice.

    Energy is left out where `device` has no counter of it.

    Raises:
        InputError: a precision that the device does not have, or an unknown model.
    """
    return list(dict.fromkeys([*_asked(suite), *_trained(trials), *_measured(suite, device)]))


def _asked(suite: Suite) -> Iterator[Profile]:
    from bench.networks import find_card

    for cost in suite.profiles.cost:
        for model in cost.models:
            for classes in cost.classes:
                yield Profile(model, classes, cost.input_size or find_card(model).input_size)


def _trained(trials: Iterable[Resolved | Unresolved]) -> Iterator[Profile]:
    for item in trials:
        if isinstance(item, Resolved):
            outputs = item.trial.recipe.head_outputs or item.classes
            yield Profile(item.trial.model, outputs, item.trial.input_size)


def _measured(suite: Suite, device: str) -> Iterator[Measurement]:
    from bench.profiling.processes import default_threads

    for asked in suite.profiles.measured:
        check_precisions(asked.precisions, device, where=f"{suite.name}: profiles.measured: precisions")
        settings = grid(
            asked.models,
            asked.modes,
            asked.batch_sizes,
            [asked.input_size],
            asked.precisions,
            asked.memory_formats,
            asked.compiled,
            classes=asked.classes,
            device=device,
            threads=default_threads(),
            allocators=asked.allocators,
        )
        what = set(asked.what) - (set() if can_measure_energy(device) else {"energy"})
        effort = Effort(asked.processes, asked.repeats, asked.seconds)
        yield from measurements(what, settings, effort, asked.sizes)


def can_measure_energy(device: str) -> bool:
    """Whether the device counts the energy it takes."""
    if device != "cuda":
        return False
    from bench.profiling.nvml import energy_counter

    return energy_counter(device) is not None


def lacks_energy(suite: Suite, device: str) -> str | None:
    """One line where the suite asks for energy and the device does not count it."""
    asked = any("energy" in measured.what for measured in suite.profiles.measured)
    return NO_COUNTER if asked and not can_measure_energy(device) else None


def run_profile(profile: Profile) -> dict[str, Any]:
    """Count the costs of one model; returns its record."""
    from bench.networks import find_card
    from bench.profiling.cost import cost

    counted = cost(find_card(profile.model), classes=profile.classes, input_size=profile.input_size)
    return counted | {
        "format": PROFILE_FORMAT,
        "kind": "profile",
        "what": "cost",
        "id": profile.id,
        "versions": versions(),
    }

"""Which profiles a suite, or the command line, asks for: pure planning, nothing is measured here."""

from collections.abc import Iterable, Iterator

from bench.data.conditions import find_condition
from bench.profiling.config import NO_COUNTER, CostConfig, check_precisions, deployed_grid, grid
from bench.profiling.job import Budget, ProfileJob, Request, profile_job
from bench.profiling.kinds import all_kinds
from bench.runtimes import find_runtime
from bench.spec.job import TrainJob, Unresolved
from bench.spec.suite import Suite


def requested_jobs(request: Request) -> list[ProfileJob]:
    """Everything that a request asks of its configs; none twice."""
    return list(dict.fromkeys(job for kind in all_kinds().values() for job in kind.jobs(request)))


def planned_profiles(suite: Suite, trials: Iterable[TrainJob | Unresolved], device: str) -> list[ProfileJob]:
    """What a suite asks for, and the cost of every model as its trials use it; none twice.

    Energy is left out where `device` has no counter of it.

    Raises:
        InputError: a precision that the device does not have, or an unknown model.
    """
    return list(dict.fromkeys([*_costs(suite), *_costs_of_trials(trials), *_measured(suite, device)]))


def _costs(suite: Suite) -> Iterator[ProfileJob]:
    from bench.networks import find_card

    for block in suite.profiles.cost:
        for model in block.models:
            for classes in block.classes:
                size = block.input_size or find_card(model).input_size
                yield profile_job("cost", CostConfig(model, classes, size))


def _costs_of_trials(trials: Iterable[TrainJob | Unresolved]) -> Iterator[ProfileJob]:
    jobs = (one if isinstance(one, TrainJob) else one.sketch if one.waiting else None for one in trials)
    configs = {
        (job.trial.model, job.trial.recipe.head_outputs or job.classes, job.trial.input_size): None
        for job in jobs
        if job is not None
    }
    return (profile_job("cost", CostConfig(*config)) for config in configs)


def _measured(suite: Suite, device: str) -> Iterator[ProfileJob]:
    from bench.profiling.processes import default_threads

    for block in suite.profiles.measured:
        check_precisions(block.precisions, device, where=f"{suite.name}: profiles.measured: precisions")
        configs = grid(
            block.models,
            block.modes,
            block.batch_sizes,
            [block.input_size],
            block.precisions,
            block.memory_formats,
            block.compiled,
            classes=block.classes,
            device=device,
            threads=default_threads(),
            allocators=block.allocators,
        )
        kinds = frozenset(block.what) - (set() if can_measure_energy(device) else {"energy"})
        budget = Budget(
            block.processes, block.repeats, block.seconds, limits=block.limits, patience=block.patience
        )
        deployed = deployed_grid(
            block.models,
            block.batch_sizes,
            [block.input_size],
            block.deployed,
            classes=block.classes,
            threads=default_threads(),
        )
        yield from requested_jobs(Request(kinds, configs, budget, block.sizes, deployed))


def require_runtimes(suite: Suite) -> None:
    """Refuse a suite that asks for runtimes of exported networks, or for conditions of theirs, which are not
    installed.

    Raises:
        InputError: with the command that installs what is missing.
    """
    for block in suite.profiles.measured:
        for name, precision in block.deployed:
            find_runtime(name).require(precision == "int8", where=f"{suite.name}: profiles.measured: {name}")
    for comparison in suite.comparison:
        for name in comparison.conditions:
            if runtime := find_condition(name).runtime:
                find_runtime(runtime).require(True, where=f'{suite.name}: {comparison.name}: "{name}"')


def can_measure_energy(device: str) -> bool:
    """Whether the device counts the energy it takes."""
    if device != "cuda":
        return False
    from bench.nvml import energy_counter

    return energy_counter(device) is not None


def lacks_energy(suite: Suite, device: str) -> str | None:
    """One line where the suite asks for energy and the device does not count it."""
    asked = any("energy" in block.what for block in suite.profiles.measured)
    return NO_COUNTER if asked and not can_measure_energy(device) else None

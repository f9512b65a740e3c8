"""Handing a run to Slurm: behind `vcbench run --engine slurm`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.cli.common import duration, number_of_jobs
from bench.errors import InputError


def to_slurm(
    suite: str,
    results: Path,
    passed_on: Sequence[tuple[str, object]],
    *,
    tasks: int,
    time: str | None,
    options: dict[str, str | int | None],
    dry_run: bool,
) -> None:
    """Print the batch script, or hand it to Slurm and say what its job is called.

    Args:
        passed_on: options of `vcbench run` with their values, for each task; None is left out.
        options: of sbatch, by name; None is left out.

    Raises:
        InputError: the suite, an option or Slurm is not as it should be.
    """
    from bench.running.slurm import Resources, script, submit
    from bench.spec.suite import load_suite
    from bench.store.run_store import RunStore

    settings = [str(value) for name, value in passed_on if name == "--set"]
    name = load_suite(suite, tuple(settings)).name.partition("+")[0]
    root = results.resolve()
    command = [sys.executable, "-P", "-m", "bench", "run", suite, "--results", str(root)]
    for option, value in passed_on:
        command += [] if value is None else [option, str(value)]
    given = {key: str(value) for key, value in options.items() if value is not None}
    seconds = None if time is None else duration(time, "--time")
    store = RunStore(root)
    text = script(name, command, Path.cwd(), store.slurm, Resources(tasks, seconds, given))
    if dry_run:
        print(text, end="")
        return
    job = submit(text, store)
    count = f"{tasks} task{'' if tasks == 1 else 's'}"
    print(f"{name}: job {job} of Slurm, {count}; see: vcbench status --results {results}")


def only_with_slurm(engine: str | None, given: dict[str, object]) -> None:
    """Refuse options of Slurm where another engine is asked for.

    Raises:
        InputError: one is given.
    """
    for option, value in given.items():
        if engine != "slurm" and value not in (None, False):
            raise InputError(f"{option}: goes with --engine slurm")


def number_of_tasks(jobs: str | None) -> int:
    """`--jobs` as the number of tasks.

    Raises:
        InputError: it is no number.
    """
    number = 1 if jobs is None else number_of_jobs(jobs)
    if number == "auto":
        raise InputError("--jobs auto: with --engine slurm say how many tasks, as --jobs 8")
    return int(number)

"""From a suite to a run store with its tables, with bars: behind `vcbench run` and `vcbench.run`."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.common import data_folder, weights_folder
from bench.cli.progress import Stop, SuiteBars
from bench.errors import InputError
from bench.spec.suite import Suite

if TYPE_CHECKING:
    from bench.running.attempt import Outcome
    from bench.running.engines import Jobs
    from bench.spec.job import EvaluateJob, TrainJob, Trial
    from bench.training.observer import Observer


def run_and_tabulate(
    suite: Suite,
    file: Path | None,
    results: Path,
    *,
    data_dir: Path | None,
    weights_dir: Path | None,
    device: str,
    replicates: int | None,
    only: Sequence[str],
    jobs: "Jobs | None",
    engine: str | None,
    stop: Stop,
    warn: Callable[[str], None],
    quiet: bool = False,
    track: str | None = None,
    address: str | None = None,
    gpus_per_trial: int = 1,
) -> Counter[str]:
    """Do what is missing of a suite, then write the tables; returns how many trials ended how.

    Args:
        file: the suite's file, where it did not come with the harness.
        device: "auto" (CUDA, else the CPU), "cpu", "cuda" or "mps".
        jobs: trials at once; "auto" is as many as fit, None chooses.
        engine: by its name; None chooses.
        stop: ends the run early; what is done is kept.
        warn: called with each line that should not be missed.
        quiet: show no bars.
        address: of the cluster, for the engine "ray".
        gpus_per_trial: how many GPUs train a network together; on a CPU, how many processes.
        track: a tracker that gets every trial while it trains, in the store's folder trackers/NAME.

    Raises:
        BenchError: the inputs are not all here, or results cannot be written; nothing done is lost.
        Ended: asked to stop before the first trial.
    """
    from bench.exchange.tracking import Tracking
    from bench.planning.plan import Resolver
    from bench.running.engines import choose_engine
    from bench.running.runner import chosen, refuse_other_suite, run_suite
    from bench.running.workspace import Workspace
    from bench.store.run_store import RunStore

    if gpus_per_trial < 1:
        raise InputError(f"gpus_per_trial = {gpus_per_trial}: should be 1 or more")
    store = RunStore(results)
    tracking = Tracking(track, results / "trackers" / track, store, suite.name) if track else None
    data = data_folder(data_dir)
    weights = weights_folder(weights_dir, data)
    if line := refuse_other_suite(suite, file, store):
        warn(line)
    # A wrong name and missing weights are reported before anything slow begins.
    trials = chosen(suite, replicates, only)
    Resolver(data, weights, None).require_weights(trials)
    bars = SuiteBars(suite.name, stop, quiet=quiet)

    from bench.tables.tables import write_tables

    here = measuring_device(device, engine)
    trained_on = here
    if engine == "ray":
        from bench.running.ray_cluster import cluster_device

        trained_on = cluster_device(device, address)
    workspace = Workspace(data, weights, results, trained_on, gpus_per_trial)
    if gpus_per_trial > 1:
        refuse_gpus(gpus_per_trial, workspace.device, engine, jobs)

    def images(trial: "Trial") -> int:
        return sum(map(len, workspace.resolver.dataset(trial).splits.values()))

    jobs = 1 if gpus_per_trial > 1 and engine is None else jobs
    chosen_engine = choose_engine(trials, workspace.device, jobs, engine, images, address)

    def began(done: int, total: int) -> None:
        stop.heed()
        if done < total and not bars.drawn:
            bars.note(f"{suite.name}: {total - done} of {total} trials to do, {chosen_engine.description}")
        bars.began(done, total)

    def follow(job: "TrainJob | EvaluateJob") -> "Observer":
        bar = bars.follow(job)
        return tracking.follow(job, bar) if tracking else bar

    def ended(outcome: "Outcome") -> None:
        bars.ended(outcome)
        if tracking and outcome.ends_trial:
            tracking.write(outcome.job.training.id)

    try:
        counts = run_suite(
            suite,
            workspace,
            chosen_engine,
            measuring_device=here,
            replicates=replicates,
            only=only,
            follow=follow,
            should_stop=stop,
            began=began,
            ended=ended,
            log=bars.show,
            warn=warn,
            file=file,
        )
        if tracking:
            tracking.write()  # also what was done before it was tracked
    finally:
        bars.bars.stop()
        if tracking:
            tracking.close()
    write_tables(store)
    return counts


def measuring_device(requested: str, engine: str | None) -> str:
    """The device of this machine that is measured; the jobs of a Ray cluster may compute on what it lacks.

    Raises:
        InputError: see `bench.machine.choose_device`.
    """
    from bench.machine import choose_device

    return choose_device("auto" if engine == "ray" and requested == "cuda" else requested)


def refuse_gpus(count: int, device: str, engine: str | None, jobs: "Jobs | None") -> None:
    """Refuse several GPUs for a trial where they are not there or would be shared.

    Raises:
        InputError: so it is.
    """
    option = f"--gpus-per-trial {count}"
    if jobs not in (None, 1) or engine not in (None, "in_process", "ray"):
        raise InputError(f"{option}: one trial at a time then: leave out --jobs, and --engine processes")
    if device == "mps":
        raise InputError(f"{option}: goes with cuda, or with cpu")
    if device == "cuda" and engine == "ray":
        from bench.running.ray_cluster import require_node

        require_node({"num_gpus": count})
    elif device == "cuda":
        import torch

        if (there := torch.cuda.device_count()) < count:
            raise InputError(f"{option}: PyTorch finds {there} here")

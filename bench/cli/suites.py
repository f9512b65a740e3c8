"""vcbench run, status, new: suites from their file to their results."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.cli.cluster import number_of_tasks, only_with_slurm, to_slurm
from bench.cli.common import (
    DEFAULT_RESULTS,
    DataDir,
    Device,
    Json,
    Only,
    Replicates,
    Results,
    Setting,
    SuiteName,
    WeightsDir,
    data_folder,
    duration,
    existing_store,
    number_of_jobs,
    print_columns,
    print_json,
    stored_suite,
    warn,
    weights_folder,
)

if TYPE_CHECKING:
    from bench.store.records.listing import Listing
    from bench.store.records.notes import Failure
    from bench.store.run_store import RunStore


def run(
    suite: SuiteName,
    results: Results = DEFAULT_RESULTS,
    data_dir: DataDir = None,
    weights_dir: WeightsDir = None,
    device: Device = "auto",
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="TIME", help="Stop cleanly after 90s, 30m or 1h30m.")
    ] = None,
    replicates: Replicates = None,
    settings: Setting = None,
    only: Only = None,
    jobs: Annotated[
        str | None,
        typer.Option(
            "--jobs",
            metavar="N|auto",
            help="Trials at once, each in a process with its share of the threads; auto: one a core, or as "
            "many as fit a GPU's memory [default: 1; on a CPU, for networks of at most 64 px, one a core].",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            help="What does the trials: in_process, processes, ray, or slurm, whose tasks --jobs counts "
            "[default: by the number at once].",
            show_default=False,
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT|auto",
            help="Of --engine ray: the cluster [default: a new one of this machine].",
            show_default=False,
        ),
    ] = None,
    gpus_per_trial: Annotated[
        int,
        typer.Option(
            "--gpus-per-trial", min=1, max=64, help="GPUs of a machine that train a network together."
        ),
    ] = 1,
    track: Annotated[
        str | None,
        typer.Option(
            "--track",
            metavar="NAME",
            help="Write each trial while it trains for tensorboard, wandb, mlflow or trackio, offline in "
            "RESULTS/trackers/NAME.",
        ),
    ] = None,
    partition: Annotated[
        str | None, typer.Option("--partition", help="Of Slurm.", show_default=False)
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="Of Slurm.", show_default=False)] = None,
    time: Annotated[
        str | None,
        typer.Option(
            "--time",
            metavar="TIME",
            help="Of a task of Slurm, which is then queued again.",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[
        int | None, typer.Option("--gpus", min=0, help="Of a task of Slurm.", show_default=False)
    ] = None,
    cpus: Annotated[
        int | None, typer.Option("--cpus", min=1, help="Of a task of Slurm.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the script for Slurm, and end.")] = False,
) -> None:
    """Do what is missing of a suite, then write the tables. Run again, it goes on where it stopped.

    Example: vcbench run cpu --data-dir data --budget 30m
    """
    from bench.cli.progress import Ended, Stop
    from bench.cli.running import measuring_device, run_and_tabulate
    from bench.profiling.plan import lacks_energy
    from bench.spec.suite import load_suite, own_file

    sbatch = {"partition": partition, "account": account, "gpus": gpus, "cpus-per-task": cpus}
    only_with_slurm(engine, {f"--{name}": value for name, value in sbatch.items()})
    only_with_slurm(engine, {"--time": time, "--dry-run": dry_run})
    if engine == "slurm":
        passed_on: list[tuple[str, object]] = [
            *(("--data-dir", data_dir), ("--weights-dir", weights_dir), ("--device", device)),
            *(("--budget", budget), ("--replicates", replicates), ("--track", track)),
            ("--gpus-per-trial", None if gpus_per_trial == 1 else gpus_per_trial),
            *(("--set", value) for value in settings or ()),
            *(("--only", value) for value in only or ()),
        ]
        tasks = number_of_tasks(jobs)
        to_slurm(suite, results, passed_on, tasks=tasks, time=time, options=sbatch, dry_run=dry_run)
        return
    stop = Stop(duration(budget) if budget is not None else None)
    try:
        with stop.on_signals():
            loaded = load_suite(suite, tuple(settings or ()))
            counts = run_and_tabulate(
                loaded,
                own_file(suite),
                results,
                data_dir=data_dir,
                weights_dir=weights_dir,
                device=device,
                replicates=replicates,
                only=only or (),
                jobs=None if jobs is None else number_of_jobs(jobs),
                engine=engine,
                address=address,
                gpus_per_trial=gpus_per_trial,
                stop=stop,
                warn=warn,
                track=track,
            )
    except Ended:
        if stop.interrupted:
            print("Interrupted before the first trial; the same command begins again.")
            raise typer.Exit(stop.exit_status) from None
        print(
            f"The budget of {budget} was spent before the first trial could begin; give it more: reading the "
            "data and checking the networks take their time."
        )
        return
    if lacking := lacks_energy(loaded, measuring_device(device, engine)):
        print(lacking)
    kinds = ("searched", "finished", "diverged", "errored", "evaluated", "measured")
    ended = ", ".join(f"{counts[name]} {name}" for name in kinds if counts[name])
    nothing = "nothing finished" if stop() else "nothing was missing"
    print(f"{loaded.name}: {ended or nothing}; tables are in {results / 'tables'}")
    if stop():
        why = "Interrupted" if stop.interrupted else "The budget is spent"
        print(f"{why}: what is done is kept; the same command continues.")
    if stop.interrupted:
        raise typer.Exit(stop.exit_status)
    if counts["errored"]:
        raise typer.Exit(1)


def gc(
    results: Results = DEFAULT_RESULTS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove what nothing needs any more: checkpoints and weights. Records and predictions always stay.

    Weights go where a trial is evaluated and all its suites have keep_weights = false, where it diverged, and
    where no suite of the store lists it. Trials that run at this moment are left alone.

    Example: vcbench gc --dry-run
    """
    from bench.store.run_store import RunStore
    from bench.store.unneeded import remove_unneeded

    store = RunStore(existing_store(results))
    removed = list(remove_unneeded(store, dry_run=dry_run))
    for path, size in removed:
        print(f"{size:>14,}  {path.relative_to(store.root)}")
    total = sum(size for _, size in removed)
    print(f"{len(removed)} files, {total:,} bytes {'would be' if dry_run else 'were'} removed")


def status(
    suite: Annotated[str | None, typer.Argument(metavar="[SUITE]", help="One suite [default: all].")] = None,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Show how far the suites of a run store are.

    Example: vcbench status quick
    """
    from bench.errors import InputError
    from bench.running.slurm import tasks
    from bench.store.run_store import RunStore

    store = RunStore(existing_store(results))
    listings = store.suites()
    name = stored_suite(store, suite) if suite else None
    rows: list[dict[str, Any]] = []
    for key in [name] if name else listings:
        runs = listings[key].trainings
        errors = dict(_errors(store, listings[key]))
        rows.append(
            {
                "suite": key,
                "trials": len(runs) + sum(entry.id is None for entry in listings[key].trials),
                "done": sum(map(store.is_done, runs)),
                "begun": sum(map(store.is_begun, runs)),
                "errored": len(errors),
                "searches": sum(
                    store.outcome("searches", job) is not None for job in listings[key].search_jobs
                ),
                "searches_asked": len(listings[key].search_jobs),
                "evaluations": sum(store.is_evaluated(*one) for one in listings[key].evaluations),
                "evaluations_asked": len(listings[key].evaluations),
                "profiles": sum(store.has_profile(profile) for profile in listings[key].profiles),
                "profiles_asked": len(listings[key].profiles),
                "errors": {run: error.message for run, error in errors.items()},
            }
        )
    store.keep_checked()
    if as_json:
        print_json(rows)
        return
    columns = ("suite", "trials", "done", "begun", "errored")
    counted = (
        ("searches", "evaluations", "profiles")
        if any(row["searches_asked"] for row in rows)
        else ("evaluations", "profiles")
    )
    print_columns(
        [
            [
                *(row[column] for column in columns),
                *(f"{row[what]} of {row[f'{what}_asked']}" for what in counted),
            ]
            for row in rows
        ],
        [column.upper() for column in (*columns, *counted)],
    )
    for row in rows:
        for run, message in row["errors"].items():
            print(f"{row['suite']}: {run}: {message}")
    try:
        queued = tasks(store)
    except InputError as error:
        queued = []
        warn(str(error))
    if queued:
        print()
        print_columns([list(task.values()) for task in queued], ("SLURM", "TASK", "STATE", "TIME", "WHERE"))


def _errors(store: "RunStore", listing: "Listing") -> "Iterator[tuple[str, Failure]]":
    """What went wrong with the trials of a suite, their evaluations and its searches, by id."""
    from bench.spec.job import CLEAN, evaluation_id
    from bench.store.job_files import JobFiles

    for run in listing.trainings:
        if error := store.error(run):
            yield run, error
    for run, condition in sorted(listing.evaluations):
        if condition == CLEAN or store.is_evaluated(run, condition):
            continue
        if error := store.failure(store.evaluation_folder(run, condition)):
            yield evaluation_id(run, condition), error
    for job in listing.search_jobs:
        if store.outcome("searches", job) is None and (
            error := store.failure(JobFiles(store.folder_of("searches", job)))
        ):
            yield job, error


def new(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DATA]", help="A folder or a table of images.")
    ] = None,
    dataset: Annotated[Path | None, typer.Option("--dataset", metavar="DIR", help="The same.")] = None,
    models: Annotated[
        str | None, typer.Option("--models", metavar="A,B", help="Models to compare, separated by commas.")
    ] = None,
    shots: Annotated[
        str | None,
        typer.Option("--shots", metavar="1,5,10", help="Images per class [default: what the classes have]."),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option("--folds", metavar="K", help="Test every image, in K folds [default: one test split]."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="[default: NAME.toml of the folder]")
    ] = None,
    weights: Annotated[
        str, typer.Option("--weights", help="card: pretrained, from a local file or the hub; none: random.")
    ] = "card",
    data_dir: DataDir = None,
    weights_dir: WeightsDir = None,
) -> None:
    """Write a suite for your own images.

    DATA is a folder that holds CLASS/image.jpg, which is split once and for all, or
    {train,val,test}/CLASS/image.jpg; or a CSV or Parquet file with the columns path and label, and split and
    group as needed. Where there is no val, a part of train is made val. Of a small folder --folds 5 tests
    every image, by five networks a replicate.

    Example: vcbench new --dataset photos --models deit_small_patch16_224,resnet50 --shots 1,5,10
    """
    from bench.errors import InputError
    from bench.machine import choose_device
    from bench.planning.new_suite import write_suite

    where = folder if dataset is None else dataset
    if where is None or (folder is not None and dataset is not None):
        raise InputError("new: name one folder of images, as in: vcbench new photos --models A,B")
    if models is None:
        raise InputError(f"new {where}: name the models, as in --models deit_small_patch16_224,resnet50")
    if weights not in ("card", "none"):
        raise InputError(f"--weights {weights}: should be card (pretrained) or none (random)")
    files = weights_folder(weights_dir, data_folder(data_dir))
    known: Literal["card", "none"] = "card" if weights == "card" else "none"
    # As `vcbench pick` trains: on most processors bf16 is many times slower.
    precision = "bf16" if choose_device("auto") == "cuda" else "fp32"
    written = write_suite(
        where, models, shots, out, weights=known, weights_dir=files, folds=folds, precision=precision
    )
    for line in written.warnings:
        warn(line)
    for line in written.choices:
        print(line)
    print(
        f"Wrote {written.path}. Look it over, then: vcbench plan {written.path}; vcbench run {written.path}"
    )

"""vcbench plan, run, status, new: suites from their file to their results."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.common import (
    DEFAULT_RESULTS,
    DataDir,
    Device,
    Json,
    Results,
    SuiteName,
    WeightsDir,
    data_folder,
    duration,
    print_columns,
    print_json,
    spoken,
    weights_folder,
)

Replicates = Annotated[
    int | None, typer.Option("--replicates", min=1, help="Replicates of every cell, instead of the suite's.")
]
Setting = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the suite, as in recipe.budget.epochs=2; makes a variant."
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="NAME", help="Only this comparison or model; may be repeated."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (plan, run, status, new):
        app.command()(command)


def plan(
    suite: SuiteName,
    results: Results = DEFAULT_RESULTS,
    data_dir: DataDir = None,
    weights_dir: WeightsDir = None,
    device: Device = "auto",
    replicates: Replicates = None,
    settings: Setting = None,
    only: Only = None,
    as_json: Json = False,
) -> None:
    """List every trial and profile of a suite, which are done, and how long the rest will take.

    Example: vcbench plan flowers102 --data-dir data
    """
    from bench.estimate import Estimator
    from bench.plan import Resolved, Resolver
    from bench.profiles import planned_profiles
    from bench.run import chosen
    from bench.store import RunStore
    from bench.suite import load_suite

    loaded = load_suite(suite, tuple(settings or ()))
    folder = data_folder(data_dir)
    store = RunStore(results)
    found = Resolver(folder, weights_folder(weights_dir, folder), results).resolve_all(
        chosen(loaded, replicates, only or ())
    )
    done = {item.id for item in found if isinstance(item, Resolved) and store.is_done(item.id)}
    todo = {item.id: item for item in found if isinstance(item, Resolved) and item.id not in done}
    estimator = Estimator(store, device)
    expected = {run: estimator.seconds(item) for run, item in todo.items()}
    rows = []
    for item in found:
        resolved = isinstance(item, Resolved)
        if not resolved:
            state = "unresolved"
        elif item.id in done:
            state = "done"
        else:
            state = "errored" if store.error(item.id) else "begun" if store.is_begun(item.id) else "missing"
        rows.append(
            {
                "state": state,
                "run": item.id if resolved else None,
                "comparison": item.trial.comparison,
                "model": item.trial.contestant,
                "dataset": item.trial.dataset,
                "recipe": item.trial.recipe.name,
                "shots": item.trial.shots,
                "replicate": item.trial.replicate,
                "expected_s": round(expected[item.id]) if resolved and item.id in expected else None,
                "reason": None if resolved else str(item.reason),
            }
        )
    profiles = [
        {
            "state": "done" if store.has_profile(profile.id) else "missing",
            "profile": profile.id,
            "what": "cost",
            "model": profile.model,
            "classes": profile.classes,
            "input_size": profile.input_size,
        }
        for profile in planned_profiles(loaded, found)
    ]
    total = sum(expected.values())
    if as_json:
        print_json(
            {
                "suite": loaded.name,
                "trials": rows,
                "profiles": profiles,
                "remaining_s": round(total),
                "estimate": estimator.source(),
            }
        )
        return
    print_columns(
        [
            (
                row["state"],
                row["run"] or "-",
                row["comparison"],
                row["model"],
                row["recipe"],
                "all" if row["shots"] is None else row["shots"],
                row["replicate"],
                "-" if row["expected_s"] is None else spoken(row["expected_s"]),
            )
            for row in rows
        ],
        ("STATE", "RUN", "COMPARISON", "MODEL", "RECIPE", "SHOTS", "REPLICATE", "EXPECTED"),
    )
    print()
    print_columns(
        [
            (row["state"], row["profile"], row["what"], row["model"], row["classes"], row["input_size"])
            for row in profiles
        ],
        ("STATE", "PROFILE", "WHAT", "MODEL", "CLASSES", "PX"),
    )
    unresolved = [row for row in rows if row["state"] == "unresolved"]
    print(
        f"\n{loaded.name}: {len(rows)} trials, {sum(row['state'] == 'done' for row in rows)} done, {len(todo)} to do, "
        f"{len(unresolved)} unresolved; {len(profiles)} profiles"
    )
    if todo:
        print(f"The rest takes about {spoken(total)} on {estimator.device} (from {estimator.source()}).")
    for reason in dict.fromkeys(row["reason"] for row in unresolved):
        print(f"Unresolved: {reason}")


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
) -> None:
    """Do what is missing of a suite, then write the tables. Run again, it goes on where it stopped.

    Example: vcbench run cpu --data-dir data --budget 30m
    """
    from bench.cli.progress import Stop, SuiteBars
    from bench.engine import InProcess
    from bench.run import run_suite
    from bench.suite import load_suite

    stop = Stop(duration(budget) if budget else None)
    loaded = load_suite(suite, tuple(settings or ()))
    folder = data_folder(data_dir)
    bars = SuiteBars(loaded.name, stop)
    with stop.on_signals():
        with bars.bars:
            from bench.analysis.tables import write_tables
            from bench.machine import choose_device
            from bench.store import RunStore
            from bench.training.fitting import Place

            place = Place(folder, weights_folder(weights_dir, folder), results, choose_device(device))
            counts = run_suite(
                loaded,
                place,
                InProcess(),
                replicates=replicates,
                only=only or (),
                follow=bars.follow,
                should_stop=stop,
                began=bars.began,
                ended=bars.ended,
            )
        write_tables(RunStore(results))
    ended = ", ".join(
        f"{counts[name]} {name}" for name in ("finished", "diverged", "errored") if counts[name]
    )
    print(f"{loaded.name}: {ended or 'nothing was missing'}; tables are in {results / 'tables'}")
    if stop():
        why = "Interrupted" if stop.interrupted else "The budget is spent"
        print(f"{why}: what is done is kept; the same command continues.")
    if stop.interrupted:
        raise typer.Exit(130)
    if counts["errored"]:
        raise typer.Exit(1)


def status(
    suite: Annotated[str | None, typer.Argument(metavar="[SUITE]", help="One suite [default: all].")] = None,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Show how far the suites of a run store are.

    Example: vcbench status quick
    """
    from bench.errors import InputError, did_you_mean
    from bench.store import RunStore

    store = RunStore(results)
    listings = store.suites()
    name = Path(suite).stem if suite and suite.endswith(".toml") else suite
    if name and name not in listings:
        raise InputError(f'{results}: nothing of a suite "{name}" was run here{did_you_mean(name, listings)}')
    done = store.ids()
    rows = []
    for key in [name] if name else listings:
        entries = {entry["id"] or number: entry for number, entry in enumerate(listings[key]["trials"])}
        errors = {run: error for run in entries if isinstance(run, str) and (error := store.error(run))}
        rows.append(
            {
                "suite": key,
                "trials": len(entries),
                "done": len(done & set(entries)),
                "begun": sum(isinstance(run, str) and store.is_begun(run) for run in entries),
                "errored": len(errors),
                "profiles": sum(store.has_profile(profile) for profile in listings[key]["profiles"]),
                "errors": {run: error["message"] for run, error in errors.items()},
            }
        )
    if as_json:
        print_json(rows)
        return
    columns = ("suite", "trials", "done", "begun", "errored", "profiles")
    print_columns(
        [[row[column] for column in columns] for row in rows], [column.upper() for column in columns]
    )
    for row in rows:
        for run, message in row["errors"].items():
            print(f"{row['suite']}: {run}: {message}")


def new(
    dataset: Annotated[Path, typer.Option("--dataset", metavar="DIR", help="A folder of images.")],
    models: Annotated[
        str, typer.Option("--models", metavar="A,B", help="Models to compare, separated by commas.")
    ],
    shots: Annotated[
        str | None,
        typer.Option("--shots", metavar="1,5,10", help="Images per class [default: what the classes have]."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="[default: NAME.toml of the folder]")
    ] = None,
) -> None:
    """Write a suite for your own folder of images.

    DIR is either DIR/CLASS/image.jpg, which is split once and for all, or DIR/{train,val,test}/CLASS/image.jpg.

    Example: vcbench new --dataset photos --models deit_small_patch16_224,resnet50 --shots 1,5,10
    """
    from bench.new import write_suite

    path = write_suite(dataset, models, shots, out)
    print(f"Wrote {path}. Look it over, then: vcbench plan {path}; vcbench run {path}")

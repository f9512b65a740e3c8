"""vcbench show, reproduce: one run at a time."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.common import (
    DEFAULT_RESULTS,
    DataDir,
    Device,
    Json,
    Results,
    WeightsDir,
    data_folder,
    existing_store,
    print_columns,
    print_json,
    weights_folder,
)

if TYPE_CHECKING:
    from bench.running.reproduce import Agreement

RunId = Annotated[
    str, typer.Argument(metavar="ID", help="A run or profile, or the beginning of its id; an external model.")
]


def show(run: RunId, results: Results = DEFAULT_RESULTS, as_json: Json = False) -> None:
    """Show everything about a run or profile: settings, metrics, machine, the suites it is in.

    Example: vcbench show 5a947dc7 --results results/published
    """
    from bench.store.lookup import describe, find
    from bench.store.run_store import RunStore

    store = RunStore(existing_store(results))
    entry = describe(store, find(store, run))
    if as_json:
        print_json(entry)
        return
    print(f"{entry['kind']} {entry['id']}: {entry['state']}")
    if entry["error"]:
        print(f"last error: {entry['error']['message']} ({entry['error']['attempts']} attempts)")
    for suite in entry["suites"]:
        print("in " + ", ".join(_suite_field(name, value) for name, value in suite.items()))
    if entry["record"]:
        print()
        rows = [(name, _text(value)) for name, value in _flat(entry["record"])]
        print_columns(rows, ("FIELD", "VALUE"))
    if entry["files"]:
        print()
        print_columns(list(entry["files"].items()), ("FILE", "BYTES"))


def reproduce(
    run: RunId,
    results: Results = DEFAULT_RESULTS,
    data_dir: DataDir = None,
    weights_dir: WeightsDir = None,
    device: Device = "auto",
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", metavar="folder:PATH", help="Where the images of a run on your own folder lie now."
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option("--tolerance", min=0, help="Points of accuracy by which the two may always differ."),
    ] = 1.0,
    as_json: Json = False,
) -> None:
    """Do a run or profile again in a temporary store, and say whether it agrees: exit status 0, else 1.

    "identical" are equal metrics and equal predictions. Otherwise every accuracy has to be within the
    tolerance, or within chance: another machine, device or version of a library rounds differently, so that
    some images flip, and on few images a few of them are many points. NLL and calibration error are shown,
    not judged. --device auto takes the kind of device that the run had, where there is one.

    Example: vcbench reproduce 5a947dc7 --results results/published
    """
    from bench.errors import InputError, TrialError
    from bench.running.reproduce import recount
    from bench.running.reproduce import reproduce as run_again
    from bench.store.lookup import find, record_of
    from bench.store.records.external import ExternalRecord
    from bench.store.records.profiles import ProfileRecord
    from bench.store.records.trials import Result
    from bench.store.run_store import RunStore

    store = RunStore(existing_store(results))
    entry = find(store, run)
    record = record_of(store, entry)
    if record is None:
        state = store.state(entry.id) if entry.kind == "trial" else "not done"
        raise InputError(f"{results}: {entry.id} is {state}: there is nothing to agree with")
    if entry.kind == "search" or not isinstance(record, Result | ProfileRecord | ExternalRecord):
        raise InputError(
            f"{entry.id}: a search job, which only served to choose a value; "
            "reproduce a trial that was given what it chose"
        )
    if isinstance(record, ExternalRecord):
        raise InputError(f"{record.id}: it was made elsewhere and cannot be made again here")
    if isinstance(record, ProfileRecord):
        agreed = recount(record)
    else:
        from bench.cli.progress import Stop, trial_bar
        from bench.machine import choose_device
        from bench.running.workspace import Workspace

        folder = data_folder(data_dir)
        wanted = "cpu" if device == "auto" and record.device == "cpu" else device
        workspace = Workspace(folder, weights_folder(weights_dir, folder), results, choose_device(wanted))
        try:
            with trial_bar(record.id, Stop(None)) as observer:
                agreed = run_again(
                    store, record, workspace, observer, tolerance=tolerance / 100, dataset=dataset
                )
        except TrialError as error:
            raise InputError(f"{record.id}: cannot be run here: {error}") from error
    print_json(vars(agreed)) if as_json else _print(agreed)
    if agreed.verdict == "differs":
        raise typer.Exit(1)


def _print(agreed: "Agreement") -> None:
    rows = [
        (name, _text(old), _text(new), "equal" if old == new else _difference(old, new))
        for name, (old, new) in agreed.metrics.items()
    ]
    print_columns(rows, ("METRIC", "STORED", "AGAIN", "DIFFERENCE"))
    print()
    if agreed.outcomes[0] != agreed.outcomes[1]:
        print("outcome: stored {}, again {}".format(*agreed.outcomes))
    if agreed.images is not None:
        print(f"predictions: {agreed.images_alike} of {agreed.images} images in the same class")
    if agreed.flipped is not None and any(agreed.flipped):
        print("flipped: {} test images right only in the stored run, {} only now".format(*agreed.flipped))
    for name, most in agreed.allowed.items():
        if most > agreed.tolerance and agreed.metrics[name][0] != agreed.metrics[name][1]:
            print(f"allowed: {100 * most:.1f} points of {name}, for so few images and so many flipped")
    for name, pair in agreed.circumstances.items():
        for key, (old, new) in _differing(name, *pair):
            print(f"not the same: {key}: {_text(old)}, now {_text(new)}")
    if agreed.verdict != "identical" and agreed.metrics and not agreed.circumstances:
        print("nothing around the two runs differs: they should have been identical")
    points = f"{100 * agreed.tolerance:g} point{'' if agreed.tolerance == 0.01 else 's'}"
    verdicts = {
        "identical": "agrees: identical",
        "within": f"agrees: not identical, but every accuracy within {points}, or within chance",
        "differs": f"DIFFERS: in its outcome, or by more than {points} and more than chance"
        if agreed.allowed
        else "DIFFERS",
    }
    print(f"{agreed.id} {verdicts[agreed.verdict]}")


def _differing(name: str, old: Any, new: Any) -> list[tuple[str, tuple[Any, Any]]]:
    """The entries of two dictionaries that differ, or the two values themselves."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [(name, (old, new))]
    return [(key, (old.get(key), new.get(key))) for key in {**old, **new} if old.get(key) != new.get(key)]


def _difference(old: Any, new: Any) -> str:
    numbers = isinstance(old, int | float) and isinstance(new, int | float)
    return f"{new - old:+.3g}" if numbers else "differs"


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested dictionaries as dotted names with their values."""
    rows = []
    for key, value in values.items():
        nested = isinstance(value, dict) and value
        rows += _flat(value, f"{prefix}{key}.") if nested else [(prefix + key, value)]
    return rows


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return " ".join(str(value).split())


def _suite_field(name: str, value: Any) -> str:
    if name == "shots":
        return "all images" if value is None else f"{value} per class"
    return f"{name} {value}"

"""vcbench recipe, verify: what to expect of a recipe, and whether it comes true here."""

import shlex
from pathlib import Path
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
    print_json,
    weights_folder,
)

if TYPE_CHECKING:
    from bench.analysis.recipe_book import Measured
    from bench.running.verify import Expected, Verified
    from bench.store.run_store import RunStore

# The store that comes with a checkout; an installed package has none.
PUBLISHED = Path(__file__).parents[2] / "results" / "published"
RUNS_SHOWN = 5


def recipe(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="See: vcbench models.")],
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="See: vcbench datasets.")],
    shots: Annotated[
        int | None, typer.Option("--shots", min=1, help="Images per class [default: all there are].")
    ] = None,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Print the best measured recipe for a model on a dataset as a TOML file, with the accuracy to expect.

    It is looked for in the results folder and in the results that are published with vcbench. The best is
    that of the highest accuracy on val. Exit status 1: nothing was measured.

    Example: vcbench recipe tf_efficientnet_lite0 flowers102 --shots 5
    """
    from bench.analysis.recipe_book import best_first, measured
    from bench.networks import find_card

    name = find_card(model).name
    every = measured(_stores(results))
    if all(one.first.data.dataset != dataset for one in every):
        _check_dataset(dataset)
    own = [one for one in every if (one.first.model.name, one.first.data.dataset) == (name, dataset)]
    ranked = best_first(one for one in own if one.has_size(shots))
    if as_json:
        print_json([_plain(one) for one in ranked])
    elif ranked:
        print(_page(ranked, results))
    else:
        print(_nothing(name, dataset, shots, own))
    if not ranked:
        raise typer.Exit(1)


def verify(
    target: Annotated[
        str,
        typer.Argument(metavar="RECIPE|RUN", help="A recipe's name or file, or a run's id or its beginning."),
    ],
    model: Annotated[
        str | None, typer.Option("--model", help="Of a recipe: only what it expects of this.")
    ] = None,
    shots: Annotated[
        int | None, typer.Option("--shots", min=1, help="Of a recipe: only at so many images per class.")
    ] = None,
    replicates: Annotated[int, typer.Option("--replicates", min=1, max=1000, help="How many are run.")] = 1,
    results: Results = DEFAULT_RESULTS,
    data_dir: DataDir = None,
    weights_dir: WeightsDir = None,
    device: Device = "auto",
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="folder:PATH", help="Where one's own images of a run lie now."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a recipe once more and say whether the accuracy to expect is met: exit status 0, else 1.

    Of a recipe it is what its file expects ([[expect]]), of a run what all replicates of its kind gave. It
    runs replicates that were not seen, into the results folder; interrupted, the same command continues.
    The expectation is met where their mean lies in the 95 % prediction interval of those that were seen.

    Example: vcbench verify linear-probe --model tf_efficientnet_lite0 --shots 5 --data-dir data
    """
    from bench.cli.progress import Stop, trial_bar
    from bench.errors import InputError, TrialError
    from bench.machine import choose_device
    from bench.running.verify import verify as run_more
    from bench.running.workspace import Workspace
    from bench.training.observer import Stopped

    wanted = _expected(target, model, shots, results, dataset)
    folder = data_folder(data_dir)
    workspace = Workspace(folder, weights_folder(weights_dir, folder), results, choose_device(device))
    stop, verified = Stop(None), []
    stop.heed()
    try:
        with stop.on_signals():
            for expected in wanted:
                with trial_bar(expected.what, stop) as observer:
                    verified.append(run_more(expected, workspace, observer, replicates=replicates))
                if not as_json:
                    print(_judgement(verified[-1]))
    except Stopped:
        print("Interrupted: what is done is kept; the same command continues.")
        raise typer.Exit(stop.exit_status) from None
    except TrialError as error:
        raise InputError(f"{target}: cannot be run here: {error}") from error
    if as_json:
        print_json([_plain_judgement(one) for one in verified])
    if not all(one.met for one in verified):
        raise typer.Exit(1)


def _stores(results: Path) -> "list[RunStore]":
    """The results folder, the published results inside it, and those of this checkout, where they are."""
    from bench.store.layout import Layout
    from bench.store.run_store import RunStore

    folders = {path.resolve(): path for path in (PUBLISHED, results / "published", results)}
    return [RunStore(path) for path in reversed(folders.values()) if Layout(path).marker.exists()]


def _check_dataset(name: str) -> None:
    """Raises InputError where there is no dataset of this name, in no store and not as such."""
    from bench.data import dataset_facts
    from bench.errors import InputError, did_you_mean

    if ":" not in name and name not in dataset_facts():
        raise InputError(f'no dataset "{name}"{did_you_mean(name, dataset_facts())} (see: vcbench datasets)')


def _nothing(model: str, dataset: str, shots: int | None, own: "list[Measured]") -> str:
    size = "all images" if shots is None else f"{shots} image{'' if shots == 1 else 's'} per class"
    sizes = ", ".join(dict.fromkeys(one.size for one in sorted(own, key=lambda one: one.images_per_class)))
    there = f"measured was: {sizes}" if sizes else "recipes to begin with: vcbench recipes"
    return f"Nothing was measured of {model} on {dataset} with {size}; {there}."


def _page(ranked: "list[Measured]", results: Path) -> str:
    from bench.errors import InputError
    from bench.running.reproduce import stored_trial
    from bench.spec.recipe import load_recipe
    from bench.spec.recipe_text import recipe_toml
    from bench.store.lookup import run_command

    best, first = ranked[0], ranked[0].first
    try:
        base = load_recipe(first.recipe)
    except InputError:  # a recipe of one's own, whose file is not here
        base = None
    expected = f"{first.data.dataset}, {best.size}, {first.model.name}: {best.expectation}"
    whole = stored_trial(first).recipe.model_copy(
        update={"expected": expected, "title": base.title if base else first.recipe}
    )
    ids = [record.id for record in best.records]
    more = f" and {len(ids) - RUNS_SHOWN} more" if len(ids) > RUNS_SHOWN else ""
    folder = "" if results == DEFAULT_RESULTS else f" --results {shlex.quote(str(results))}"
    several = best.expectation.sd is not None
    low, high = best.expectation.interval()
    check = f"    vcbench {'verify' if several else 'reproduce'} {ids[0]}{folder}"
    lines = [
        f"{first.model.title} ({first.model.name}, weights {first.model.weights}) on {first.data.dataset} "
        f"({first.data.split_id}), {best.size}, {first.identity.input_size} px, {first.identity.precision}",
        f"recipe {first.recipe}, protocol {first.protocol}",
        f"expected: {best.expectation}",
        *([f"one more replicate: between {100 * low:.1f} and {100 * high:.1f} %"] if several else []),
        f"seen in runs {', '.join(ids[:RUNS_SHOWN])}{more}",
        "",
        *([] if first.details.get("folds") else ["check it here:", check]),
        "run the comparison that it is from:",
        *(
            f"    {run_command(listing, results)} --only {shlex.quote(name)}{folder}"
            for listing, name in best.suites
        ),
    ]
    if len(ranked) > 1:
        lines += ["", "less accurate on val:"]
        lines += [f"    {one.first.recipe}: {one.expectation}, run {one.first.id}" for one in ranked[1:]]
    head = "\n".join(f"# {line}".rstrip() for line in lines)
    return f"{head}\n\n{recipe_toml(whole, base)}".rstrip()


def _plain(one: "Measured") -> dict[str, Any]:
    first, accuracy = one.first, one.expectation
    return {
        "model": first.model.name,
        "weights": first.model.weights,
        "dataset": first.data.dataset,
        "split_id": first.data.split_id,
        "shots": first.identity.shots,
        "input_size": first.identity.input_size,
        "precision": first.identity.precision,
        "recipe": first.recipe,
        "settings": first.identity.recipe,
        "top1": accuracy.mean,
        "spread": accuracy.sd,
        "val_top1": one.val_top1,
        "runs": [record.id for record in one.records],
        "suites": [[listing.suite, comparison] for listing, comparison in one.suites],
    }


def _expected(
    target: str, model: str | None, shots: int | None, results: Path, dataset: str | None
) -> "list[Expected]":
    from bench.errors import InputError, did_you_mean, shortened
    from bench.running.verify import of_measured, of_recipe
    from bench.spec.recipe import load_recipe, recipe_names

    if target in recipe_names() or target.endswith(".toml"):
        return of_recipe(load_recipe(target), model, shots)
    if model is not None or shots is not None:
        raise InputError("--model and --shots choose among what a recipe expects; a run has its own")
    from bench.analysis.recipe_book import measured

    stores = _stores(results)
    run = target.strip().lower()
    matches = [
        (one, record.id)
        for one in measured(stores)
        for record in one.records
        if run and record.id.startswith(run)
    ]
    if len(matches) != 1:
        what = (
            "the beginning of several runs" if matches else "no recipe, and no run that a suite has finished"
        )
        near = "" if matches else did_you_mean(target, recipe_names())
        raise InputError(f'"{shortened(target)}": {what}{near} (see: vcbench recipe --help)')
    ((one, found),) = matches
    store = next(store for store in stores if store.result(found) is not None)
    return [of_measured(one, store, dataset)]


def _judgement(one: "Verified") -> str:
    expected, accuracy = one.expected, one.expected.accuracy
    values = ", ".join(f"{100 * top1:.1f} %" for top1 in one.top1)
    mean = sum(one.top1) / len(one.top1)
    verdict = "met" if one.met else f"NOT met: {'above' if mean > one.high else 'below'} that"
    why = "95 % prediction interval" if accuracy.sd is not None else "nothing of it is drawn at random"
    return (
        f"{expected.what}\n"
        f"  expected {accuracy}, {expected.where}\n"
        f"  here {values} (runs {', '.join(one.runs)})\n"
        f"  allowed {100 * one.low:.1f} to {100 * one.high:.1f} % ({why})\n"
        f"  expectation {verdict}"
    )


def _plain_judgement(one: "Verified") -> dict[str, Any]:
    return {
        "what": one.expected.what,
        "expected": one.expected.accuracy.mean,
        "spread": one.expected.accuracy.sd,
        "replicates": one.expected.accuracy.replicates,
        "where": one.expected.where,
        "runs": list(one.runs),
        "top1": list(one.top1),
        "low": one.low,
        "high": one.high,
        "met": one.met,
    }

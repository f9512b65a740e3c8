"""vcbench predict, and exporting a run: the trained network taken away."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.common import (
    DEFAULT_RESULTS,
    DataDir,
    Device,
    Results,
    WeightsDir,
    data_folder,
    existing_store,
    weights_folder,
)
from bench.errors import DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.inspection.loading import Loaded

Uncalibrated = Annotated[
    bool,
    typer.Option("--uncalibrated", help="Leave probabilities as they are, which needs no data."),
]


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run whose weights were kept.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="Files, or folders of them.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A CSV file [default: standard output].")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes an image gets.")] = 1,
    uncalibrated: Uncalibrated = False,
    results: Results = DEFAULT_RESULTS,
    data_dir: DataDir = None,
    weights_dir: WeightsDir = None,
    device: Device = "auto",
) -> None:
    """Say which class images are of, with a calibrated probability, as CSV.

    Probabilities are calibrated by a temperature that is fitted on the val split of the run's data. Each file
    has its rows: one that cannot be read says why.

    Example: vcbench predict RUN new/ --out predicted.csv
    """
    from rich.console import Console

    from bench.deploy.predict import image_files, predict_files, refuse_others
    from bench.files import write_text
    from bench.frames import for_csv

    files = image_files(images, out)
    if out is not None:
        refuse_others(out)
    loaded = open_run(run, results, data_dir, weights_dir, device)
    with Console(stderr=True).status("") as status:
        temperature = None if uncalibrated else calibrated(loaded, results, data_dir, status.update)
        rows = predict_files(
            loaded,
            files,
            temperature=temperature or 1.0,
            top=top,
            progress=lambda done: status.update(f"{done} of {len(files)} images"),
        )
    text = for_csv(rows).to_csv(index=False)
    failed = int(rows["problem"].notna().sum())
    if out is None:
        print(text, end="")
    else:
        write_text(out, text)
        how = "not calibrated" if temperature is None else f"temperature {temperature:.3g}, fitted on val"
        read = f"{len(files) - failed} of {len(files)} images predicted, {failed} could not be read"
        print(f"{out}: {read}; {how}")
    if failed == len(files):
        raise DataError(f"none of {failed} images could be read; their rows say why")


def export_run(
    run: str,
    form: str,
    out: Path,
    *,
    hub_datasets: "Mapping[str, str]",
    uncalibrated: bool,
    results: Path,
    data_dir: Path | None,
    weights_dir: Path | None,
) -> None:
    """Write the network of a run in a form of `bench.deploy.formats.WRITERS`, with its model card.

    Args:
        hub_datasets: the data set of the Hub that stands for the run's, by its name, for `.eval_results`.

    Raises:
        InputError, DataError: something is not there, or does not fit.
    """
    from rich.console import Console

    from bench.deploy.card import model_card
    from bench.deploy.formats import export_model, facts
    from bench.exchange.eval_results import run_entry
    from bench.store.run_store import RunStore

    loaded = open_run(run, results, data_dir, weights_dir, "cpu")
    store = RunStore(results)
    result = store.result(loaded.run)
    if result is None:
        raise InputError(f"{results}: run {loaded.run} is not evaluated yet; vcbench run goes on")
    own = result.data.dataset
    if hub_datasets and hub_datasets.keys() != {own}:
        raise InputError(f"--hub-dataset: run {loaded.run} is of {own}; give {own}=OWNER/NAME alone")
    also = {f".eval_results/{loaded.run}.yaml": run_entry(result, hub) for hub in hub_datasets.values()}
    with Console(stderr=True).status("") as status:
        temperature = None if uncalibrated else calibrated(loaded, results, data_dir, status.update)
        status.update(f"writing {form}")
        about = facts(loaded, temperature)
        path = export_model(
            loaded, form, out, temperature, lambda file: model_card(result, about, file), also
        )
    print(f"{path}: the same logits as run {loaded.run}; model card in {out / 'README.md'}")


def open_run(
    run: str, results: Path, data_dir: Path | None, weights_dir: Path | None, device: str
) -> "Loaded":
    """The network of a run.

    Raises:
        InputError: there is no such run, its weights were not kept, or it is a job of a search.
    """
    from bench.inspection.loading import load
    from bench.machine import choose_device
    from bench.store.lookup import find
    from bench.store.run_store import RunStore

    try:
        kind = find(RunStore(existing_store(results)), run).kind
    except InputError:
        kind = None  # a model, or what loading it says
    if kind == "search":
        raise InputError(f"{run}: is a job of a search, which is never tested; take a run of vcbench tables")
    loaded = load(
        run,
        weights=None,
        weights_dir=weights_folder(weights_dir, data_folder(data_dir)),
        results=existing_store(results),
        data_dir=data_folder(data_dir),
        device=choose_device(device),
    )
    if not loaded.run:
        raise InputError(f"{run}: is a model; give the id of a run, as vcbench tables lists them")
    return loaded


def calibrated(loaded: "Loaded", results: Path, data_dir: Path | None, say: "Callable[[str], None]") -> float:
    """The temperature of a run, from its data.

    Raises:
        InputError, DataError: its data are not here.
    """
    from bench.data import open_dataset
    from bench.deploy.calibrate import temperature_on_val

    assert loaded.dataset is not None
    name, split_id, _ = loaded.dataset
    try:
        dataset = open_dataset(name, split_id, data_folder(data_dir), store=results)
    except (InputError, DataError) as error:
        raise DataError(f"{error}; --uncalibrated does without the data") from error
    total = len(dataset.splits["val"])
    return temperature_on_val(loaded, dataset, lambda done: say(f"calibrating: {done} of {total} val images"))

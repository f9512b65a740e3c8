"""vcbench score: predictions made elsewhere, on the same test images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.common import (
    DEFAULT_RESULTS,
    DataDir,
    Json,
    Results,
    data_folder,
    print_columns,
    print_json,
)

if TYPE_CHECKING:
    from bench.exchange.external import TestSet
    from bench.store.records.external import ExternalRecord
    from bench.store.run_store import RunStore

SHOWN = 20


def score(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS.parquet", help="One row a test image.")],
    dataset: Annotated[str, typer.Option("--dataset", help="A dataset's name, folder:PATH or table:FILE.")],
    split_id: Annotated[str, typer.Option("--split-id", help="Which division of the images it is.")],
    name: Annotated[
        str | None, typer.Option("--name", help="What to call the model [default: the file's name].")
    ] = None,
    results: Results = DEFAULT_RESULTS,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Score predictions made elsewhere, keep them as RESULTS/brought/NAME, and compare with the stored runs.

    The test labels come from the store where it has runs on the same split, else from the data. The file:

    \b
        import pandas as pd, torch, torchvision
        test = torchvision.datasets.Flowers102("data", split="test", transform=my_transform)
        rows = []
        for position, (pixels, label) in enumerate(test):
            with torch.inference_mode():
                probabilities = my_model(pixels[None]).softmax(1)[0]
            rows.append({"image": position, "probabilities": probabilities.tolist(), "label": label})
        pd.DataFrame(rows).to_parquet("mine.parquet")

    "image" is the position in the test split; "filename" may stand for it, and either may be the index. Rows
    come in any order. "predicted", a class by its number from 0 or its name, may stand for "probabilities";
    "label" is optional, and checked. vcbench data list DATASET --split test lists positions, files and
    classes: those of a folder count in the order of their names as text, as in 1, 10, 2. To take a model out
    of the store again, delete its folder RESULTS/brought/NAME.

    Example: vcbench score mine.parquet --dataset flowers102 --split-id official --name mine
    """
    from bench.analysis.external import beside, by_model, sentence
    from bench.analysis.names import dataset_names
    from bench.exchange.external import keep_external, names_files
    from bench.store.run_store import RunStore

    store = RunStore(results)
    test = _test_set(store, dataset, split_id, data_folder(data_dir), names_files(predictions))
    record = keep_external(store, predictions, predictions.stem if name is None else name, test)
    names = dataset_names([*store.results(), *store.externals()])
    if as_json:
        pairs = beside(store, record)
        means = by_model(store, record)
        print_json(
            {
                "record": record.content(),
                "sentence": sentence(record, names),
                "models": means,
                "beside": pairs,
            }
        )
        return
    print(sentence(record, names))
    print()
    missing = "needs probabilities" if record.given == "predicted" else "not measured"
    rows = [
        (key, missing if value is None else f"{value:.4f}")
        for key, value in record.metrics.content().items()
        if value is not None or key != "top1_deduplicated"
    ]
    print_columns(rows, ("METRIC", "VALUE"))
    print()
    _print_models(by_model(store, record), record)


def _test_set(store: "RunStore", dataset: str, split_id: str, data: Path, with_files: bool) -> "TestSet":
    from bench.exchange.external import opened_test_set, stored_test_set

    test_set = None if with_files else stored_test_set(store, dataset, split_id)
    if test_set is None:
        from bench.data import open_dataset

        test_set = opened_test_set(open_dataset(dataset, split_id, data, store=store.root))
    return test_set


def _print_models(models: list[dict[str, Any]], record: "ExternalRecord") -> None:
    if not models:
        print("No stored run on the same test images to compare with.")
        return
    rows = [
        (
            row["title"],
            row["recipe"],
            "all" if row["shots"] is None else row["shots"],
            len(row["runs"]),
            f"{100 * row['top1']:.2f}",
            f"{100 * row['difference']:+.2f}",
            f"{100 * row['low']:+.2f} to {100 * row['high']:+.2f}",
        )
        for row in models[:SHOWN]
    ]
    header = ("MODEL", "RECIPE", "SHOTS", "RUNS", "TOP-1 %", "DIFFERENCE", "95 % INTERVAL")
    print_columns(rows, header)
    if len(models) > SHOWN:
        print(f"... and {len(models) - SHOWN} more models of lower accuracy: --json has all.")
    print(
        f"\nTOP-1 is the mean of a model's runs, DIFFERENCE {record.id} minus that mean, in points.\nThe "
        "intervals are over test images, unadjusted: about these particular trained networks, no verdict "
        "about models trained again. --json has every run."
    )

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
    from bench.brought import TestSet
    from bench.store import RunStore

SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(score)


def score(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS.parquet", help="One row a test image.")],
    dataset: Annotated[str, typer.Option("--dataset", help="A dataset's name, or folder:PATH.")],
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

    "image" is the place in the test split (see: vcbench export --format croissant), in any order;
    "predicted", a class from 0, may stand for "probabilities"; "label" is optional, and checked.

    Example: vcbench score mine.parquet --dataset flowers102 --split-id official --name mine
    """
    from bench.analysis.brought import beside, sentence
    from bench.brought import bring
    from bench.store import RunStore

    store = RunStore(results)
    test = _test_set(store, dataset, split_id, data_folder(data_dir))
    record = bring(store, predictions, name or predictions.stem, test)
    pairs = beside(store, record)
    if as_json:
        print_json({"record": record, "sentence": sentence(record), "beside": pairs})
        return
    print(sentence(record))
    print()
    missing = "needs probabilities" if record["given"] == "predicted" else "not measured"
    rows = [
        (key, missing if value is None else f"{value:.4f}")
        for key, value in record["metrics"].items()
        if value is not None or key != "top1_deduplicated"
    ]
    print_columns(rows, ("METRIC", "VALUE"))
    print()
    _print_pairs(pairs, record)


def _test_set(store: "RunStore", dataset: str, split_id: str, data: Path) -> "TestSet":
    from bench.brought import opened_test_set, stored_test_set

    found = stored_test_set(store, dataset, split_id)
    if found is None:
        from bench.data import open_dataset

        found = opened_test_set(open_dataset(dataset, split_id, data, store=store.root))
    return found


def _print_pairs(pairs: list[dict[str, Any]], record: dict[str, Any]) -> None:
    if not pairs:
        print("No stored run on the same test images to compare with.")
        return
    rows = [
        (
            row["run"],
            row["title"],
            row["recipe"],
            "all" if row["shots"] is None else row["shots"],
            "-" if row["seed"] is None else row["seed"],
            f"{100 * row['top1']:.2f}",
            f"{100 * row['difference']:+.2f}",
            row["only_brought"],
            row["only_run"],
            f"{row['p']:.2g}",
        )
        for row in pairs[:SHOWN]
    ]
    header = ("RUN", "MODEL", "RECIPE", "SHOTS", "SEED", "TOP-1 %", "DIFFERENCE", "ONLY IT", "ONLY RUN", "P")
    print_columns(rows, header)
    if len(pairs) > SHOWN:
        print(f"... and {len(pairs) - SHOWN} more runs of lower accuracy: --json has all.")
    print(
        f"\nDIFFERENCE is {record['id']} minus the run, in points; ONLY IT and ONLY RUN count images that "
        "one of the two alone has right.\nP is McNemar's exact test, unadjusted: about these particular "
        "trained networks, no verdict about models trained again."
    )

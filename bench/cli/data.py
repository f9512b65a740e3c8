"""vcbench data: fetch, verify and list datasets."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.common import (
    DEFAULT_RESULTS,
    DataDir,
    Json,
    Results,
    data_folder,
    print_columns,
    print_json,
    warn,
)
from bench.cli.progress import image_bar
from bench.escape import csv_text, visible

app = typer.Typer(help="Fetch, verify and list datasets.", no_args_is_help=True)
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Datasets [default: all].")]

SplitId = Annotated[
    str | None,
    typer.Option("--split-id", help="Which division of the images [default: that of their results]."),
]


@app.command()
def fetch(names: Names = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Download datasets through torchvision, then verify them.

    Example: vcbench data fetch flowers102 --data-dir data
    """
    from bench.data import dataset_facts

    every = [name for name, facts in dataset_facts().items() if facts.files]
    fetch_all(names or every, data_folder(data_dir), as_json=as_json)


def fetch_all(names: Sequence[str], folder: Path, *, as_json: bool = False) -> None:
    """Download and verify datasets, and show what they are."""
    from bench.data.fetch import fetch as fetch_one

    copies = []
    for name in names:
        with image_bar(f"verifying {name}") as progress:
            copies.append(fetch_one(name, folder, progress=progress))
    _show(copies, as_json)


@app.command()
def verify(names: Names = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Check datasets for integrity: every image is decoded, and checksums are compared.

    Example: vcbench data verify flowers102 cifar100
    """
    from bench.data import dataset_facts
    from bench.data.verify import verify as verify_one
    from bench.errors import DataError

    folder = data_folder(data_dir)
    copies, missing = [], []
    for name in names or [name for name, facts in dataset_facts().items() if not facts.takes_path]:
        try:
            with image_bar(f"verifying {name}") as progress:
                copies.append(verify_one(name, folder, progress=progress))
        except DataError as error:
            missing.append(error)
    _show(copies, as_json, missing)


@app.command(name="list")
def list_images(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="A dataset's name, folder:PATH or table:FILE.")
    ],
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "test",
    split_id: SplitId = None,
    data_dir: DataDir = None,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """List the images of a split as CSV: position, file, label and class, in the order that scores count in.

    "position" is the index in the split from 0 and "label" the number of the class from 0, as vcbench score
    takes them; "file" lies below the folder of the dataset.

    Example: vcbench data list folder:photos --split test > test.csv
    """
    from bench.data.base import SPLITS
    from bench.data.meant import open_meant
    from bench.errors import InputError, did_you_mean
    from bench.store.run_store import RunStore

    if split not in SPLITS:
        raise InputError(
            f"--split {split}: should be one of {', '.join(SPLITS)}{did_you_mean(split, SPLITS)}"
        )
    opened = open_meant(dataset, split_id, data_folder(data_dir), store=RunStore(results).if_there())
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(("position", "file", "label", "class"))
    for position, image in enumerate(opened.splits[split].tolist()):
        label = int(opened.labels[image])
        rows.writerow(map(_shown, (position, opened.file(image), label, opened.class_names[label])))


@app.command()
def duplicates(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="A dataset's name, folder:PATH or table:FILE.")
    ],
    split_id: SplitId = None,
    distance: Annotated[
        int, typer.Option("--distance", metavar="BITS", help="Bits of 128 that may differ, 0 to 7.")
    ] = 6,
    every: Annotated[bool, typer.Option("--all", help="Also pairs of one split and class.")] = False,
    groups: Annotated[
        Path | None,
        typer.Option("--groups", metavar="FILE.csv", help="Write a table that keeps them on one side."),
    ] = None,
    data_dir: DataDir = None,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """List images with equal pixels and near duplicates, across splits or classes, as CSV.

    "distance" is the number of bits in which their difference hashes differ; "equal" where all pixels are.
    The table of --groups has path, label and group: vcbench new FILE.csv divides it anew, with all that are
    alike on one side.

    Example: vcbench data duplicates folder:photos --groups photos.csv > pairs.csv
    """
    from bench.data.alike import find_alike
    from bench.data.grouped import write_groups
    from bench.data.meant import open_meant
    from bench.store.run_store import RunStore

    opened = open_meant(dataset, split_id, data_folder(data_dir), store=RunStore(results).if_there())
    with image_bar(f"looking at {opened.name}") as progress:
        alike = find_alike(opened, distance, progress)
    if groups is not None:
        write_groups(opened, alike.groups(opened), groups)
    for line in alike.in_words(opened):
        warn(line)
    shown = alike if every else alike.across(opened)
    split_of = {i: split for split, positions in opened.splits.items() for i in positions.tolist()}
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(("distance", "split", "file", "class", "other_split", "other_file", "other_class"))
    for pair, apart in zip(shown.pairs.tolist(), shown.distance.tolist(), strict=True):
        described = [(split_of[i], opened.file(i), opened.class_names[opened.labels[i]]) for i in pair]
        row = ("equal" if apart < 0 else apart, *described[0], *described[1])
        rows.writerow(map(_shown, row))


def _shown(value: Any) -> Any:
    """A value for a terminal or a spreadsheet, whatever somebody has put into a name."""
    return csv_text(visible(value) if isinstance(value, str) else value)


@app.command()
def suspects(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="A dataset's name, folder:PATH or table:FILE.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write; git has to ignore it.")],
    split_id: SplitId = None,
    shown: Annotated[int, typer.Option("--show", metavar="N", help="Pictures at most.")] = 200,
    data_dir: DataDir = None,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """List test images whose labels are likely wrong, by the stored runs that had most training images.

    Their probabilities are averaged and judged by confident learning (pip install -e '.[labels]'). Written
    are suspects.csv, with all test images, and index.html, with pictures of the suspects. Whether a suspect
    is an error is for you to judge; labels that you mend make another data set.

    Example: vcbench data suspects folder:photos --out reports/suspects
    """
    from bench.analysis.suspects import stored_probabilities
    from bench.analysis.suspects import suspects as judged
    from bench.cli.pictures import refuse_if_committed
    from bench.data.meant import open_meant
    from bench.files import write_text
    from bench.inspection.contact_sheet import contact_sheet
    from bench.store.run_store import RunStore

    refuse_if_committed(out)
    store = RunStore(results)
    opened = open_meant(dataset, split_id, data_folder(data_dir), store=store.if_there())
    probabilities, runs = stored_probabilities(store, opened.fingerprint, opened.split_id)
    names, positions = opened.class_names, opened.splits["test"]
    table = judged(opened.split_labels("test"), probabilities)
    files = [opened.file(int(positions[position])) for position in table["position"]]
    table.insert(1, "file", files)
    for column in ("label", "suggested"):
        table[column] = [names[number] for number in table[column]]
    number = int(table["suspect"].sum())
    text = f"{number} of {len(table)} test labels are suspect, by {len(runs)} run(s)."
    figures = (
        (
            opened.read(int(positions[row.position])),
            [f"{row.label}?", f"rather {row.suggested}", f"label at {row.self_confidence:.1%}", row.file],
        )
        for row in table.head(min(number, shown)).itertuples()
    )
    write_text(out / "suspects.csv", table.map(_shown).to_csv(index=False))
    write_text(out / "index.html", contact_sheet(f"Suspect labels of {opened.name}", text, figures))
    print(f"{opened.name}: {text} See {out / 'suspects.csv'} and {out / 'index.html'}.")


def _show(copies: list[dict[str, Any]], as_json: bool, missing: Sequence[Exception] = ()) -> None:
    """Print what verification found; exit status 2 where something is damaged or missing."""
    if as_json:
        print_json(copies)
    else:
        rows = [
            (one["name"], split_id, *counts.values(), one["copy"], one["fingerprint"])
            for one in copies
            for split_id, counts in one["counts"].items()
        ]
        print_columns(rows, ("DATASET", "SPLIT ID", "TRAIN", "VAL", "TEST", "COPY", "FINGERPRINT"))
    for one in copies:
        for line in one["warnings"]:
            warn(line)
        for line in one["skipped"]:
            typer.echo(f"vcbench: {line}", err=True)
        for problem in one["problems"]:
            typer.echo(f"vcbench: error: {one['name']}: {problem}", err=True)
    for error in missing:
        typer.echo(f"vcbench: error: {error}", err=True)
    if missing or any(one["problems"] for one in copies):
        raise typer.Exit(2)

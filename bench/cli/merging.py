"""vcbench merge, fetch: stores of machines that share nothing, and what a suite needs, before it is run."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.common import (
    DEFAULT_RESULTS,
    DataDir,
    Json,
    Results,
    Setting,
    SuiteName,
    WeightsDir,
    data_folder,
    existing_store,
    print_columns,
    print_json,
    weights_folder,
)


def merge(
    stores: Annotated[list[Path], typer.Argument(metavar="STORE...", help="Results folders to take over.")],
    results: Results = DEFAULT_RESULTS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: Json = False,
) -> None:
    """Take over what other results folders hold, then write the tables: exit status 0, or 1 with conflicts.

    Nothing that is in the results folder is changed: what both hold and does not agree is named, and stays as
    it is here. What is not finished is left where it is.

    A trial that was withdrawn here (withdrawn.csv) stays out. One that is here and was withdrawn there is
    named as a conflict: take it out by hand, and merge again.

    Example: vcbench merge laptop/results server/results --results all
    """
    from bench.errors import InputError
    from bench.escape import visible
    from bench.store.merge import Merged
    from bench.store.merge import merge as merge_one
    from bench.store.run_store import RunStore
    from bench.tables.tables import write_tables

    merged: list[tuple[Path, Merged]] = []
    target = RunStore(results)
    others = [RunStore(existing_store(path)) for path in stores]
    for path in stores:
        if path.resolve() == results.resolve():
            raise InputError(f"{path}: is the results folder itself")
    for path, other in zip(stores, others, strict=True):
        merged += [(path, one) for one in merge_one(other, target, dry_run=dry_run)]
    if not dry_run:
        write_tables(RunStore(results))
    conflicts = [(path, one) for path, one in merged if one.what == "conflict"]
    if as_json:
        print_json([{"store": str(path), **vars(one)} for path, one in merged])
    else:
        for path, one in conflicts:
            print(visible(f"{path}: {one.kind}/{one.name}: {one.reason}; what is here stays"))
        for path in stores:
            own = [one for of, one in merged if of == path]
            out = sum((one.kind, one.what) == ("runs", "withdrawn") for one in own)
            if out:
                print(f"{path}: trials that were withdrawn from {results} and stay out: {out}")
        counts = Counter(one.what for _, one in merged)
        verb = "would be added" if dry_run else "added"
        print(
            f"{results}: {counts['added']} {verb}, {counts['same']} here already, "
            f"{counts['conflict']} conflicts"
        )
    if conflicts:
        raise typer.Exit(1)


def fetch(
    suite: SuiteName,
    data_dir: DataDir = None,
    weights_dir: WeightsDir = None,
    settings: Setting = None,
) -> None:
    """Download the data and the weights that a suite needs, for running it where there is no network.

    Example: vcbench fetch flowers102 --data-dir data
    """
    from bench.cli.data import fetch_all
    from bench.data import dataset_facts
    from bench.errors import WeightsError
    from bench.networks import find_card, resolve_weights
    from bench.networks.weights import and_others
    from bench.spec.suite import load_suite

    loaded = load_suite(suite, tuple(settings or ()))
    data = data_folder(data_dir)
    folder = weights_folder(weights_dir, data)
    facts = dataset_facts()
    names = dict.fromkeys(one.dataset for one in loaded.comparison)
    fetch_all([name for name in names if name in facts and facts[name].files], data)
    contestants = {key for one in loaded.comparison for key in one.contestants}
    rows = []
    for key in sorted(contestants):
        model, requested = loaded.models[key].model, loaded.models[key].weights
        try:
            weights = resolve_weights(find_card(model), requested, folder, download=True)
        except WeightsError as error:
            entries = [loaded.models[key] for key in contestants]
            pretrained = (find_card(entry.model) for entry in entries if entry.weights == "card")
            raise and_others(error, pretrained, folder) from None
        rows.append((model, requested, weights.path or "random", weights.fingerprint[:12]))
    print_columns(list(dict.fromkeys(rows)), ("MODEL", "WEIGHTS", "FILE", "SHA-256"))

"""The tables: tidy pandas frames of everything in a run store.

`accuracy` has one row a finished or diverged trial and suite, `contrasts` one row a pair of models that a
suite compares on a subset, `baselines` one row a subset, `cost` one row a model, head and input size,
`history` one row a step that a trial logged, `ensembles` one row two networks that were averaged; those of
`bench.tables.measured` are beside them. Fractions are in 0..1, units are in the names.
"""

import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from bench.analysis.contrasts import contrasts_table
from bench.analysis.ensembles import ensembles_table, keep_ensembles
from bench.analysis.external import brought_table
from bench.analysis.names import dataset_names, named
from bench.analysis.predictions import Predictions
from bench.analysis.trained import Training, baselines_table
from bench.files import canonical
from bench.frames import for_csv, frame, typed
from bench.metrics import added_metrics
from bench.store.records import CostRecord
from bench.tables.measured import measured_tables

if TYPE_CHECKING:
    from bench.store.records import Listing, ProfileRecord, TrialEntry, TrialRecord
    from bench.store.run_store import RunStore

ACCURACY = {
    "run": "str",
    "suite": "str",
    "model": "str",
    "family": "str",
    "pretraining": "str",
    "dataset": "str",
    "split_id": "str",
    "recipe": "str",
    "protocol": "str",
    "input_size": "Int64",
    "precision": "str",
    "shots": "Int64",
    "train_images": "Int64",
    "replicate": "Int64",
    "draw_seed": "Int64",
    "seed": "Int64",
    "outcome": "str",
    "top1": "float64",
    "top5": "float64",
    "mean_per_class": "float64",
    "nll": "float64",
    "ece": "float64",
    "top1_deduplicated": "float64",
    "val_top1": "float64",
    "train_top1": "float64",
    "images_seen": "Int64",
    "train_images_per_s": "float64",
    "wall_s": "float64",
    "device": "str",
    "machine": "str",
    "comparison": "str",
    "contestant": "str",
    "title": "str",
    "kind": "str",
    "carded": "boolean",
    "params": "Int64",
    "upstream_top1": "float64",
    "weights": "str",
    "weights_source": "str",
    "selection": "str",
    "data_copy": "str",
    "classes": "Int64",
    "images_per_class": "float64",
    "val_images": "Int64",
    "test_images": "Int64",
    "test_in_train": "Int64",
    "two_labels": "Int64",
    "steps": "Int64",
    "epochs": "float64",
    "val_nll": "float64",
    "train_nll": "float64",
    "test_evaluations": "Int64",
    "reason": "str",
    "majority_top1": "float64",
    "nearest_top1": "float64",
    "not_trained": "str",
    "torch": "str",
    "commit": "str",
    "started": "str",
    "finished": "str",
    **dict.fromkeys(added_metrics(), "float64"),
}
"""Columns of the accuracy table, in order, and their dtypes. `majority_top1` and `nearest_top1` are the test
accuracies of the majority class and of the nearest neighbour on the images of the trial; `not_trained` says
why the trial counts as not trained, and is empty where it does not (`bench.analysis.trained`)."""

COST = {
    "model": "str",
    "classes": "Int64",
    "input_size": "Int64",
    "params": "Int64",
    "flops": "Int64",
    "gmacs": "float64",
    "trainable_params": "Int64",
    "gmacs_all": "float64",
    "flops_train_step": "Int64",
    "activations_m": "float64",
    "title": "str",
    "family": "str",
    "pretraining": "str",
    "counter": "str",
    "by_part": "str",
    "elementwise": "str",
    "profile": "str",
}
"""Columns of the cost table: `flops` is 2 x multiply-adds, exact; `gmacs_all` includes what is done element
by element, which `elementwise` holds by kind; `activations_m` is in millions."""

HISTORY = {
    "run": "str",
    "step": "Int64",
    "epoch": "float64",
    "loss": "float64",
    "lr": "float64",
    "images_per_s": "float64",
    "val_top1": "float64",
    "val_nll": "float64",
}
"""Columns of the history table: one row a logged step."""

ACCURACY_ORDER = [
    "suite",
    "dataset",
    "split_id",
    "comparison",
    "model",
    "pretraining",
    "recipe",
    "shots",
    "replicate",
    "run",
]


def build_tables(store: "RunStore") -> dict[str, pd.DataFrame]:
    """Every table of a run store by name, empty ones too; `brought` only where there are such models,
    `ensembles` only where two networks were averaged."""
    records, profiles = store.trials(), store.profiles()
    names = dataset_names([*records, *store.externals()])
    suites = {name: named(suite, records, names) for name, suite in store.suites().items()}
    cost, predictions = cost_table(profiles), Predictions(store)
    ensembles = ensembles_table(store, suites, records, predictions)
    return {
        "accuracy": accuracy_table(records, suites, Training(store), names),
        "baselines": baselines_table(store, names),
        "contrasts": contrasts_table(suites, records, predictions, cost),
        "cost": cost,
        **measured_tables(profiles),
        "history": history_table(store, (record.id for record in records)),
        **({"ensembles": ensembles} if len(ensembles) else {}),
        **({"brought": brought_table(store, names)} if store.names("brought") else {}),
    }


def write_tables(store: "RunStore") -> list[Path]:
    """Write each table as tables/NAME.csv and tables/NAME.parquet, whole; returns the files.

    In CSV, text that a spreadsheet would take for a formula begins with an apostrophe. Averages of two
    networks that were worked out for them are kept in the store."""
    written, tables = [], build_tables(store)
    if "ensembles" in tables:
        keep_ensembles(store, tables["ensembles"])
    for name, content in tables.items():
        for suffix, shown, write in (
            (".csv", for_csv(content), _write_csv),
            (".parquet", content, pa.parquet.write_table),
        ):
            table = pa.Table.from_pandas(shown, preserve_index=False)
            written.append(store.write_table(name, suffix, partial(write, table)))
    return written


def accuracy_table(
    records: "Iterable[TrialRecord]",
    suites: "dict[str, Listing]",
    training: Training | None = None,
    names: dict[tuple[str, str], str] | None = None,
) -> pd.DataFrame:
    """One row a trial and suite it is in; a trial that no suite lists has one row and no suite.

    `names` are those of `dataset_names` for the whole store, where `records` are not all of it.

    A suite that lists a trial for several comparisons has one row for it that names them all. A
    diverged trial is scored at chance (`at_chance`).
    """
    by_id = {record.id: record for record in records}
    purged = {r.data.key for r in by_id.values() if r.metrics.top1_deduplicated is not None}
    names = dataset_names(by_id.values()) if names is None else names
    measured = {
        run: _measured(record, purged, names) | (_against_baselines(record, training) if training else {})
        for run, record in by_id.items()
    }
    rows, listed = [], set()
    for suite, content in suites.items():
        for run, places in _places(content).items():
            if run in by_id:
                listed.add(run)
                rows.append({**measured[run], **_standing(suite, content, places)})
    rows += [measured[run] for run in by_id.keys() - listed]
    return frame(rows, ACCURACY).sort_values(ACCURACY_ORDER, kind="stable", ignore_index=True)


def cost_table(profiles: "Iterable[ProfileRecord]") -> pd.DataFrame:
    """One row a model, head and input size; where it was counted more than once, the latest count."""
    latest: dict[tuple[str, int, int], CostRecord] = {}
    for record in sorted(profiles, key=lambda p: (p.finished or p.started or "", p.id)):
        if isinstance(record, CostRecord):
            latest[record.model, record.classes, record.input_size] = record
    rows = [
        record.content()
        | {"profile": record.id}
        | {"by_part": canonical(record.by_part), "elementwise": canonical(record.elementwise)}
        for record in latest.values()
    ]
    return frame(rows, COST).sort_values(["model", "classes", "input_size"], kind="stable", ignore_index=True)


def history_table(store: "RunStore", runs: Iterable[str]) -> pd.DataFrame:
    """The learning curves of `runs`, sorted by run and step.

    Raises:
        StoreError: a history file is damaged.
    """
    read = {run: history for run in sorted(set(runs)) if (history := store.history(run)) is not None}
    if not read:
        return frame([], HISTORY)
    logs = pd.concat(read.values(), ignore_index=True)
    logs["run"] = np.repeat(list(read), [len(history) for history in read.values()])
    logs = typed(logs.reindex(columns=list(HISTORY)), HISTORY)
    return logs.sort_values(["run", "step"], kind="stable", ignore_index=True)


def at_chance(classes: int) -> dict[str, float]:
    """The test metrics of a network that knows nothing, over `classes` classes; NLL in nats."""
    even = 1 / classes
    return {"top1": even, "top5": min(5, classes) / classes, "mean_per_class": even, "nll": math.log(classes)}


# Records of before cards named their copies have the accuracy of the weights that were copied from.
CHANGED_COPIES = {"deit_tiny_patch16_224_lnq"}


def _measured(record: "TrialRecord", purged: set[tuple], names: dict[tuple[str, str], str]) -> dict[str, Any]:
    """The row of a trial without what only a suite knows of it."""
    model, data = record.model, record.data
    # Of equal names the record's own comes first, as `recipe`, which is also a part of the identity.
    parts = (record, data, record.identity, model)
    row = {name: _first(parts, name) for name in ACCURACY}
    return row | {
        "run": record.id,
        "model": model.name,
        "kind": model.kind,
        "upstream_top1": None if model.name in CHANGED_COPIES else model.upstream_top1,
        "weights": model.weights,
        "dataset": names[data.dataset, data.fingerprint],
        **{name: data.overlap.get(name) for name in ("test_in_train", "two_labels")},
        "images_per_class": data.train_images / data.classes,
        "torch": record.versions.get("torch"),
        **_scores(record, data.key in purged),
    }


def _first(parts: Iterable[Any], name: str) -> Any:
    return next((getattr(part, name) for part in parts if hasattr(part, name)), None)


def _against_baselines(record: "TrialRecord", training: Training) -> dict[str, Any]:
    """What needs no training on the same images, and whether the trial was trained."""
    baseline = training.baseline(record)
    scores = {name: getattr(baseline, name, None) for name in ("majority_top1", "nearest_top1")}
    return scores | {"not_trained": training.reason([record])}


def _scores(record: "TrialRecord", purged: bool) -> dict[str, float | None]:
    """The metrics of a trial; those of a diverged one at chance, without a calibration error."""
    if record.outcome != "diverged":
        return record.metrics.content()
    chance = at_chance(record.data.classes)
    scores: dict[str, float | None] = {**chance, "train_top1": chance["top1"], "train_nll": chance["nll"]}
    if record.data.val_images:
        scores |= {"val_top1": chance["top1"], "val_nll": chance["nll"]}
    if purged:
        scores["top1_deduplicated"] = chance["top1"]
    return scores


def _places(listing: "Listing") -> "dict[str, list[TrialEntry]]":
    """The entries of a suite's list of trials by trial id; entries that have none yet are left out."""
    places: dict[str, list[TrialEntry]] = {}
    for entry in listing.trials:
        if entry.id:
            places.setdefault(entry.id, []).append(entry)
    return places


def _standing(name: str, listing: "Listing", places: "list[TrialEntry]") -> dict[str, Any]:
    """What a suite says of a trial: the first of its entries, and the names of all."""
    keys = list(dict.fromkeys(place.contestant for place in places))
    titles = dict.fromkeys(listing.contestants[key].title for key in keys)
    first = {part: getattr(places[0], part) for part in ("shots", "replicate", "draw_seed", "seed")}
    return first | {
        "suite": name,
        "comparison": "; ".join(dict.fromkeys(place.comparison for place in places)),
        "contestant": "; ".join(keys),
        "title": "; ".join(titles),
    }


def _write_csv(table: pa.Table, path: Path) -> None:
    """RFC 4180 with line feeds; floats in the fewest digits that read back as the same number."""
    options = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
    with path.open("wb") as file:
        file.write((",".join(table.column_names) + "\n").encode())
        pa.csv.write_csv(table, file, options)

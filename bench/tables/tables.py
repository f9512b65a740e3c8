"""The tables: tidy pandas frames of everything in a run store.

`accuracy` has one row a suite, comparison, contestant, shots, replicate and condition, `contrasts` one row a
pair of models that a suite compares on a subset under a condition, `robustness` one row a contestant, subset
and condition over all of its levels, `baselines` one row a subset, `cost` one row a model, head and input
size, `search` one row a combination of recipe values that was tried for a contestant, `history` one row a
step that a trial logged, `ensembles` one row two networks that were averaged, `claims` one row a claim about
ViTs and CNNs and `claim_numbers` one row a number that bears on one; those of `bench.tables.measured` are
beside them. Fractions are in 0..1, units are in the names.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from bench.analysis.cells import CLEAN, Cell, Replicate, cells, metrics_of
from bench.analysis.claims.tables import claim_tables, judge_claims
from bench.analysis.contrasts import contrasts_table
from bench.analysis.costs import cost_table
from bench.analysis.ensembles import Ensembles, ensembles_table, keep_ensembles
from bench.analysis.external import external_table
from bench.analysis.names import dataset_names, named
from bench.analysis.predictions import Predictions
from bench.analysis.robustness import results_by_condition, robustness_table
from bench.analysis.search import search_table
from bench.analysis.trained import Training, baselines_table
from bench.frames import for_csv, frame, typed
from bench.metrics import added_metrics
from bench.spec.kfold import is_fold
from bench.tables.measured import measured_tables

if TYPE_CHECKING:
    from bench.store.records.trials import Result
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
    "condition": "str",
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
    "class_mean_top1": "float64",
    "not_trained": "str",
    "lr": "float64",
    "torch": "str",
    "commit": "str",
    "started": "str",
    "finished": "str",
    "class_top1": "float64",
    "distillation_top1": "float64",
    "teacher": "str",
    "teacher_images_seen": "Int64",
    "teacher_forward_flops": "Int64",
    **dict.fromkeys(added_metrics(), "float64"),
}
"""Columns of the accuracy table, in order, and their dtypes. `majority_top1` and `nearest_top1` are the
accuracies of the majority class and of the nearest neighbour on the clean test images; `class_mean_top1` is
that of the nearest class mean on the features that a trial reads, if it reads frozen ones; `not_trained` says
why the trial has failed, and is empty where it has not (`bench.analysis.trained`).
`class_top1` and `distillation_top1` are the accuracies of the two heads of a network with a distillation
token; `teacher` is the run that a trial learned from, `teacher_images_seen` on how many images that was
trained, and `teacher_forward_flops` what its outputs for the images of the trial cost."""

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
    "contestant",
    "condition",
]


def build_tables(store: "RunStore") -> dict[str, pd.DataFrame]:
    """Every table of a run store by name, empty ones too; `brought` only where there are such models,
    `ensembles` only where two networks were averaged, `robustness` only where there are other conditions."""
    records, profiles = {record.id: record for record in store.results()}, store.profiles()
    names = dataset_names([*records.values(), *store.externals()])
    suites = {name: named(suite, records.values(), names) for name, suite in store.suites().items()}
    own = {name: cells(suite, records) for name, suite in suites.items()}
    cost, predictions = cost_table(profiles), Predictions(store)
    averages = Ensembles(store, predictions)
    training = Training(store)
    accuracy = [accuracy_table(records, own, training, names)]
    contrasts = [contrasts_table(suites, own, predictions, cost, training)]
    others = results_by_condition(store, suites.values())
    by_condition = {CLEAN: own}
    for condition, results in others.items():
        changed = {name: cells(suite, results, condition) for name, suite in suites.items()}
        by_condition[condition] = changed
        accuracy.append(accuracy_table(results, changed, training, names))
        contrasts.append(contrasts_table(suites, changed, predictions, cost, training))
    measured = {"cost": cost, **measured_tables(profiles), "history": history_table(store, records)}
    search = search_table(suites, store)
    judged = judge_claims(suites, by_condition, measured | {"search": search}, training, averages)
    ensembles = ensembles_table(averages, suites, own, records)
    return {
        "accuracy": pd.concat(accuracy).sort_values(ACCURACY_ORDER, kind="stable", ignore_index=True),
        "baselines": baselines_table(store, names),
        "contrasts": pd.concat(contrasts, ignore_index=True),
        **measured,
        **claim_tables(judged),
        **({"search": search} if len(search) else {}),
        **({"robustness": robustness_table(suites, records, others)} if others else {}),
        **({"ensembles": ensembles} if len(ensembles) else {}),
        **({"brought": external_table(store, names)} if store.names("brought") else {}),
    }


def write_tables(store: "RunStore") -> list[Path]:
    """Write each table as tables/NAME.csv and tables/NAME.parquet, whole; returns the files.

    In CSV, text that a spreadsheet would take for a formula begins with an apostrophe. Averages of two
    networks that were computed for them are kept in the store."""
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
    store.keep_checked()
    return written


def accuracy_table(
    records: "Mapping[str, Result]",
    suites: dict[str, list[Cell]],
    training: Training | None = None,
    names: dict[tuple[str, str], str] | None = None,
    planned: bool = False,
) -> pd.DataFrame:
    """One row a suite, comparison, contestant, shots, replicate and condition; a trial that no suite lists
    has one row and no suite. What was trained for one fold has none: its repeat of k-fold has. A diverged
    trial is scored at chance (`bench.analysis.cells.metrics_of`).

    Args:
        records: of finished and diverged trials, by id.
        suites: the cells of each suite.
        training: for what needs no training on the same images.
        names: those of `dataset_names` for the whole store, where `records` are not all of it.
        planned: whether trials that are not done have rows too, without an outcome; then all are in the
            order of the suite.
    """
    purged = {r.data.key for r in records.values() if r.metrics.top1_deduplicated is not None}
    names = dataset_names(records.values()) if names is None else names
    measured = {
        run: _measured(record, purged, names) | (_against_baselines(record, training) if training else {})
        for run, record in records.items()
    }
    rows, listed = [], set()
    for suite, cell in ((suite, cell) for suite, own in suites.items() for cell in own):
        for one in cell.replicates:
            if one.record:
                listed.add(one.record.id)
                rows.append(measured[one.record.id] | _in_suite(suite, cell, one))
            elif planned:
                rows.append(_planned(cell) | _in_suite(suite, cell, one))
    parts = {run for run, record in records.items() if is_fold(record.data.split_id)}
    rows += [measured[run] for run in records.keys() - listed - parts]
    table = frame(rows, ACCURACY)
    return table if planned else table.sort_values(ACCURACY_ORDER, kind="stable", ignore_index=True)


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


# Records of before cards named their copies have the accuracy of the weights that were copied from.
CHANGED_COPIES = {"deit_tiny_patch16_224_lnq"}


def _measured(
    record: "Result", purged: set[tuple[str, str, str]], names: dict[tuple[str, str], str]
) -> dict[str, Any]:
    """The row of a trial without what only a suite knows of it."""
    model, data = record.model, record.data
    # Of equal names the record's own comes last and stays, as `recipe`, which is also a part of the identity.
    facts: dict[str, Any] = {}
    for part in (model, record.identity, data, record):
        facts |= {**(part.model_extra or {}), **vars(part)}
    return {name: facts.get(name) for name in ACCURACY} | {
        "test_evaluations": record.test_evaluations,
        "run": record.id,
        "model": model.name,
        "kind": model.kind,
        "upstream_top1": None if model.name in CHANGED_COPIES else model.upstream_top1,
        "weights": model.weights,
        "dataset": names[data.dataset, data.fingerprint],
        **{name: data.overlap.get(name) for name in ("test_in_train", "two_labels")},
        "images_per_class": data.train_images / data.classes,
        "lr": (record.identity.recipe.get("optimizer") or {}).get("lr"),
        "torch": record.versions.get("torch"),
        **_teacher(record),
        **metrics_of(record, data.key in purged),
    }


def _teacher(record: "Result") -> dict[str, Any]:
    """What the trial's teacher is and cost."""
    facts = record.details.get("teacher", {})
    flops, images = facts.get("flops_per_image"), record.images_seen
    return {
        "teacher": record.identity.teacher,
        "teacher_images_seen": facts.get("images_seen"),
        "teacher_forward_flops": None if flops is None or images is None else flops * images,
    }


def _against_baselines(record: "Result", training: Training) -> dict[str, Any]:
    """What needs no training on the same images, and whether the trial was trained."""
    baseline = training.baseline(record)
    scores = {name: getattr(baseline, name, None) for name in ("majority_top1", "nearest_top1")}
    return scores | {"not_trained": training.failure(record)}


def _in_suite(suite: str, cell: Cell, one: Replicate) -> dict[str, Any]:
    """What a suite says of a trial."""
    entry = one.entry.content()
    own = {"suite": suite, "run": entry.pop("id"), "title": cell.title, "condition": cell.condition}
    if cell.search is not None and one.record:
        own["protocol"] = cell.protocol
        own |= {"selection": "val-oracle"} if cell.more_labels else {}
    return {name: value for name, value in entry.items() if name in ACCURACY} | own


def _planned(cell: Cell) -> dict[str, Any]:
    """What is known of a trial that is not done."""
    same = ("model", "dataset", "split_id", "input_size", "pretraining")
    return {name: getattr(cell, name) or None for name in same} | {"recipe": cell.planned_recipe}


def _write_csv(table: pa.Table, path: Path) -> None:
    """RFC 4180 with line feeds; floats in the fewest digits that read back as the same number."""
    options = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
    with path.open("wb") as file:
        file.write((",".join(table.column_names) + "\n").encode())
        pa.csv.write_csv(table, file, options)

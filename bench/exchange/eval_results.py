"""Accuracies for two other sites: the Hugging Face Hub's `.eval_results`, and Every Eval Ever.

Both take one number a model and data set, here the mean over the replicates of a cell on clean test images.
https://huggingface.co/docs/hub/eval-results, https://github.com/evaleval/every_eval_ever
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench import __version__
from bench.errors import InputError
from bench.files import slug, write_text
from bench.tables.tables import build_tables

if TYPE_CHECKING:
    from bench.store.records.trials import Result
    from bench.store.run_store import RunStore

SCHEMA_VERSION = "0.3.0"
CELL = ["suite", "contestant", "comparison", "shots"]


@dataclass(frozen=True)
class CellScore:
    """The top-1 of a cell: mean and standard deviation over its replicates, None of a single one.

    `first` is the row of the first replicate in the table `accuracy`; `finished` is when the last one ended.
    """

    first: "pd.Series[Any]"
    mean: float
    sd: float | None
    replicates: int
    finished: str | None

    @property
    def size(self) -> str:
        """How many images per class it was trained on."""
        return "all" if pd.isna(self.first["shots"]) else str(self.first["shots"])

    @property
    def details(self) -> dict[str, str]:
        """What tells it from other cells."""
        names = ("comparison", "dataset", "split_id", "recipe", "protocol", "pretraining", "not_trained")
        own = {name: str(self.first[name]) for name in names if not pd.isna(self.first[name])}
        return own | {"images_per_class": self.size, "replicates": str(self.replicates)}


def export_hub(store: "RunStore", out: Path, datasets: Mapping[str, str]) -> list[Path]:
    """Write out/CONTESTANT/.eval_results/SUITE-COMPARISON-SHOTS.yaml for the model repositories of the Hub.

    Args:
        datasets: the data set of the Hub that stands for each of ours, by our name.

    Raises:
        InputError: a data set is not among them.
        StoreError: the store cannot be read or the folder not written.
    """
    written = []
    for cell in _cells(store):
        own = str(cell.first["dataset"])
        if own not in datasets:
            raise InputError(
                f"{own}: say which data set of the Hub it is, as in --hub-dataset {own}=OWNER/NAME"
            )
        notes = [f"{name} {value}" for name, value in cell.details.items()]
        text = hub_entry(datasets[own], str(cell.first["split_id"]), cell.mean, cell.finished, notes)
        name = "-".join(
            slug(str(part)) for part in (cell.first["suite"], cell.first["comparison"], cell.size)
        )
        path = out / slug(str(cell.first["contestant"])) / ".eval_results" / f"{name}.yaml"
        write_text(path, text)
        written.append(path)
    return written


def hub_entry(dataset: str, split: str, top1: float, finished: str | None, notes: Sequence[str]) -> str:
    """The YAML of one result.

    Args:
        dataset: the data set of the Hub.
        top1: in 0..1.
        finished: when it was measured.
        notes: what tells it from other results, a phrase each.
    """
    from huggingface_hub.utils import yaml_dump

    entry = {
        "dataset": {"id": dataset, "task_id": split},
        "value": round(top1, 6),
        "date": finished,
        "notes": "; ".join([*notes, f"top-1 accuracy in 0..1, measured by VCBench {__version__}"]),
    }
    return yaml_dump([{key: value for key, value in entry.items() if value is not None}])


def run_entry(result: "Result", dataset: str) -> str:
    """`hub_entry` of one run on clean test images."""
    shots = result.identity.shots
    notes = [
        f"run {result.id}",
        f"recipe {result.recipe}",
        f"images_per_class {'all' if shots is None else shots}",
        "replicates 1",
    ]
    return hub_entry(dataset, result.data.split_id, result.top1, result.finished, notes)


def export_every_eval_ever(store: "RunStore", out: Path) -> list[Path]:
    """Write out/SUITE-CONTESTANT.json in the form of Every Eval Ever, a result a cell.

    Raises:
        StoreError: the store cannot be read or the folder not written.
    """
    now, by_model = str(int(time.time())), dict[tuple[str, str], list[CellScore]]()
    for cell in _cells(store):
        by_model.setdefault((cell.first["suite"], cell.first["contestant"]), []).append(cell)
    written = []
    for (suite, contestant), own in by_model.items():
        path = out / f"{slug(suite)}-{slug(contestant)}.json"
        write_text(path, json.dumps(_document(suite, contestant, own, now), indent=2) + "\n")
        written.append(path)
    return written


def _cells(store: "RunStore") -> Iterator[CellScore]:
    accuracy = build_tables(store)["accuracy"]
    clean = accuracy[accuracy["suite"].notna() & (accuracy["condition"] == "clean")]
    for _, rows in clean.groupby(CELL, dropna=False, sort=False):
        runs = rows.drop_duplicates("run")
        top1, ended = runs["top1"], runs["finished"].dropna()
        yield CellScore(
            first=runs.iloc[0],
            mean=float(top1.mean()),
            sd=float(top1.std(ddof=1)) if len(runs) > 1 else None,
            replicates=len(runs),
            finished=str(ended.max()) if len(ended) else None,
        )


def _document(suite: str, contestant: str, own: list[CellScore], now: str) -> dict[str, Any]:
    first = own[0].first
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"vcbench-{suite}/{contestant}/{now}",
        "retrieved_timestamp": now,
        "source_metadata": {
            "source_name": f"VCBench suite {suite}",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "third_party",
        },
        "eval_library": {"name": "vcbench", "version": __version__},
        "model_info": {
            "name": str(first["title"]),
            "id": str(first["model"]),
            # Both are required; whether the trained weights are published is not known here.
            "additional_details": {"deployment_type": "self_deployed", "model_availability": "unknown"}
            | {
                name: str(first[name])
                for name in ("family", "weights", "params", "input_size")
                if not pd.isna(first[name])
            },
        },
        "evaluation_results": [_result(cell) for cell in own],
    }


def _result(cell: CellScore) -> dict[str, Any]:
    dataset = str(cell.first["dataset"])
    uncertainty = {}
    if cell.sd is not None:
        error = {"value": cell.sd / cell.replicates**0.5, "method": "over replicates"}
        uncertainty = {"uncertainty": {"standard_error": error, "num_samples": cell.replicates}}
    result = {
        "evaluation_name": f"{dataset} ({cell.first['comparison']}, {cell.size} images per class)",
        "source_data": {"dataset_name": dataset, "source_type": "other"},
        "metric_config": {
            "evaluation_description": "top-1 accuracy on the test split, mean over replicates",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": {"score": cell.mean, "details": cell.details, **uncertainty},
    }
    return result | ({"evaluation_timestamp": cell.finished} if cell.finished else {})

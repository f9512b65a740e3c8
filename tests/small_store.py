"""A run store with known answers: one comparison of two models on a test set of ten classes.

Written as plain JSON and Parquet, not by the harness; and single records and listings.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from bench.store.records.listing import Listing
from bench.store.records.profiles import CostRecord, MeasuredRecord, ProfileRecord
from bench.store.records.trials import Result, TrialRecord
from bench.store.records.upgrade import upgrade

CLASSES = 10
TITLES = {"vit": "ViT-Ti/4", "resnet": "ResNet-18"}


def identity(model: str, shots: int | None, replicate: int, dataset: str = "digits") -> dict:
    """What the id of a run is made from."""
    return {
        "model": {"name": f"{model}_digits"},
        "dataset": dataset,
        "shots": shots,
        "draw_seed": None if shots is None else replicate,
        "seed": replicate,
        "input_size": 16,
        "precision": "fp32",
        "recipe": {"augment": {"crop_pct": 0.875, "interpolation": "bicubic", "resize": "crop"}},
    }


def digest(identity: dict) -> str:
    """The id that belongs to an identity: of its text with sorted keys and without spaces."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_id(model: str, shots: int | None, replicate: int, dataset: str = "digits") -> str:
    """The id of a run."""
    return digest(identity(model, shots, replicate, dataset))


def trial(**changes) -> Result:
    """A trial with its evaluation, and what a test asks for instead of what it has else; dicts are merged."""
    content = {
        "format": 1, "kind": "trial", "id": "run", "outcome": "finished", "recipe": "scratch",
        "protocol": "shared", "wall_s": 1.0, "versions": {}, "details": {}, "selection": "last",
        "identity": identity("vit", 5, 0),
        "model": {"name": "vit", "title": "ViT", "family": "ViT", "pretraining": "none", "params": 1},
        "data": {
            "dataset": "digits", "split_id": "frozen", "fingerprint": "f", "copy": "verified",
            "classes": CLASSES, "train_images": 50, "val_images": 20, "test_images": 40,
        },
        "metrics": {"top1": 0.5, "top5": 0.9, "mean_per_class": 0.5, "nll": 1.0},
    }  # fmt: skip
    made = TrialRecord.model_validate(upgrade(merged(content, changes)))
    return Result.of(made, made.evaluation, "clean")


def profile(**changes) -> ProfileRecord:
    """The record of a profile, in the same way."""
    content = {"id": "profile", "what": "speed", "outcome": "measured", "versions": {}}
    if changes.get("what") == "cost":
        content |= {"classes": CLASSES, "input_size": 224, "params": 1, "flops": 2, "gmacs": 1e-9}
        return CostRecord.model_validate(content | changes)
    return MeasuredRecord.model_validate(content | changes)


def listing(**changes) -> Listing:
    """The listing of a suite, with what a test asks for in place of what it has else."""
    content = {
        "format": 1, "suite": "small", "title": "", "description": "", "fingerprint": "f", "settings": [],
        "delta": 0.01, "contestants": {}, "comparisons": [], "trials": [], "profiles": [],
    }  # fmt: skip
    content |= changes
    content["contestants"] = {
        key: {"title": key, "model": key, "weights": "none", "recipe": None} | own
        for key, own in content["contestants"].items()
    }
    common = {"split_id": "frozen", "input_size": 16, "recipe": "scratch", "unmatched": ""}
    common |= {"dataset": "digits", "contrasts": [], "exploratory": []}
    common["contestants"] = list(content["contestants"])
    content["comparisons"] = [common | own for own in content["comparisons"]]
    entry = {"id": None, "replicate": 0, "shots": None, "draw_seed": None, "seed": None}
    content["trials"] = [entry | own for own in content["trials"]]
    return Listing.model_validate(content)


def merged(content: dict, changes: dict) -> dict:
    """Plain data with changes, those of dicts within dicts."""
    both = {
        key: merged(content[key], value)
        if isinstance(value, dict) and isinstance(content.get(key), dict)
        else value
        for key, value in changes.items()
    }
    return content | both


def labels(images: int) -> np.ndarray:
    """The true classes of the test images."""
    return np.arange(images) % CLASSES


def write_store(
    root: Path,
    right: dict[tuple[str, int | None], np.ndarray | None],
    *,
    suite: str = "small",
    fingerprint: str = "d" * 64,
    diverged: tuple[str, ...] = (),
    titles: dict[str, str] | None = None,
    dataset: str = "digits",
    split_id: str = "frozen",
) -> Path:
    """Write a store under `root`.

    Args:
        right: whether each test image is classified correctly, bool (replicates, images), by model ("vit"
            or "resnet") and shots; a wrong answer is the next class.
        fingerprint: of the data.
        diverged: ids of the runs that diverged.
        titles: the models' titles.
        dataset, split_id: names of the data.
    """
    entries, titles = [], titles or TITLES
    data = {"dataset": dataset, "split_id": split_id, "fingerprint": fingerprint, "classes": CLASSES}
    for (model, shots), table in right.items():
        for replicate, row in enumerate(table):
            made_from = identity(model, shots, replicate, dataset)
            run, seeds = digest(made_from), {key: made_from[key] for key in ("draw_seed", "seed")}
            entries.append(
                {"id": run, "comparison": "main", "contestant": model, "shots": shots, "replicate": replicate}
                | seeds
            )
            _write_run(root, run, model, made_from, row, data, run in diverged, titles[model])
    images = len(next(iter(right.values()))[0])
    _parquet(
        root / "labels" / f"{dataset}-{split_id}-{fingerprint[:12]}.parquet",
        {"label": labels(images).astype(np.uint16)},
    )
    _json(root / "store.json", {"format": 1})
    _json(
        root / "suites" / f"{suite}.json",
        {
            "format": 1,
            "suite": suite,
            "title": "A small suite",
            "description": "For tests.",
            "fingerprint": "f",
            "settings": [],
            "delta": 0.01,
            "contestants": {
                key: {"title": title, "model": f"{key}_digits", "weights": "none", "recipe": None}
                for key, title in titles.items()
            },
            "comparisons": [
                {
                    "name": "main", "dataset": dataset, "split_id": split_id, "input_size": 16,
                    "recipe": "scratch", "contestants": list(titles), "contrasts": [list(titles)],
                    "exploratory": [], "unmatched": "",
                }
            ],
            "trials": entries,
            "profiles": _write_profiles(root),
        },
    )  # fmt: skip
    return root


def _write_run(
    root: Path,
    run: str,
    model: str,
    made_from: dict,
    right: np.ndarray,
    data: dict,
    diverged: bool,
    title: str,
) -> None:
    images, true = len(right), labels(len(right))
    top1 = float(np.mean(right))
    names = ("top1", "top5", "mean_per_class", "nll", "ece", "val_top1", "val_nll", "train_top1", "train_nll")
    values = (top1, min(1.0, top1 + 0.2), top1, 1.0 - top1, 0.05, top1, 1.0 - top1, 1.0, 0.0)
    metrics = dict(zip(names, values, strict=True)) | {"top1_deduplicated": None}
    record = {
        "format": 1,
        "kind": "trial",
        "id": run,
        "outcome": "diverged" if diverged else "finished",
        "reason": "loss is not finite" if diverged else None,
        "identity": made_from,
        "model": {
            "name": f"{model}_digits", "title": title, "family": "ViT" if model == "vit" else "ResNet",
            "kind": "transformer" if model == "vit" else "cnn", "carded": True, "pretraining": "none",
            "upstream_top1": None, "params": 1_234_567, "weights": "none", "weights_source": "none",
        },
        "recipe": "scratch",
        "protocol": "shared",
        "selection": "last",
        "data": data
        | {"copy": "verified", "train_images": CLASSES * (made_from["shots"] or 50)}
        | {"val_images": 20, "test_images": images},
        "metrics": dict.fromkeys(metrics) if diverged else metrics,
        "images_seen": 1000, "steps": 10, "epochs": 5, "train_images_per_s": 100.0, "details": {},
        "test_evaluations": 1, "device": "cpu", "machine": "a machine", "versions": {"torch": "2.11.0"},
        "commit": "0" * 40, "started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T00:00:01+00:00",
        "wall_s": 1.0, "threads": 1,
    }  # fmt: skip
    folder = root / "runs" / run
    _json(folder / "record.json", record)
    if not diverged:
        wrong = np.where(right, true, (true + 1) % CLASSES).astype(np.uint16)
        _parquet(
            folder / "predictions.parquet",
            {
                "predicted": wrong,
                "confidence": np.full(images, 0.5, np.float16),
                "rank": (~np.asarray(right)).astype(np.uint16),
                "log_prob": np.full(images, -1.0, np.float16),
            },
        )


def _write_profiles(root: Path) -> list[str]:
    ids = []
    for number, model in enumerate(("vit_digits", "resnet_digits")):
        run = f"c{number:015d}"
        _json(
            root / "profiles" / run / "record.json",
            {
                "format": 1, "kind": "profile", "what": "cost", "id": run, "model": model, "title": model,
                "family": "x", "pretraining": "none", "classes": CLASSES, "input_size": 16,
                "params": 1_234_567, "trainable_params": 1_234_567, "flops": 2_000_000_000, "gmacs": 1.0,
                "activations_m": 2.5, "counter": "fvcore", "by_part": {},
                "finished": "2026-01-01T00:00:00+00:00",
            },
        )  # fmt: skip
        ids.append(run)
    return ids


def _parquet(path: Path, columns: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pa.parquet.write_table(pa.table(columns), path)


def _json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))

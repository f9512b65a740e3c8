"""A synthetic run store on disk: three networks on digits, with accuracies that saturate.

Plain JSON and Parquet written here, not by the harness, so that tests read the layout as it is
documented and know every number beforehand.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

SHOTS = (1, 5, 20, None)
CLASSES = 10
IMAGES_PER_CLASS = 80
TEST_IMAGES = 120
NETWORKS = {
    "vit": ("vit_tiny_patch4_32", "ViT-Ti/4", "ViT", "transformer", "scratch", 0.62, 0.45),
    "deit": ("vit_tiny_patch4_32", "DeiT-Ti/4", "DeiT", "transformer", "deit-scratch", 0.68, 0.5),
    "resnet": ("resnet18_cifar", "ResNet-18", "ResNet", "cnn", "scratch", 0.78, 0.7),
}


def make_store(
    root: Path,
    *,
    suite: str = "tiny",
    replicates: int = 3,
    shots: tuple[int | None, ...] = SHOTS,
    diverged: tuple[tuple[str, int | None, int], ...] = (),
    missing: tuple[tuple[str, int | None, int], ...] = (),
    untrained: tuple[tuple[str, int | None], ...] = (),
    titles: dict[str, str] | None = None,
    profiles: bool = True,
    **changes: dict,
) -> Path:
    """Write a store under `root`; the same arguments give the same files.

    Args:
        root: the folder of the store.
        suite: the name of its one suite.
        replicates: how many of each cell.
        shots: images per class; None is the whole split.
        diverged: (contestant, shots, replicate) of trials that diverged.
        missing: the same of trials that were not run.
        untrained: (contestant, shots) of trials whose training loss stays that of guessing.
        titles: other titles by contestant.
        profiles: whether costs were counted.
        changes: what to replace in records: `data`, `model` and `record`, and in the suite's
            `listing` and its first `comparison`.
    """
    entries = []
    for name in NETWORKS:
        for size in shots:
            for replicate in range(replicates):
                place = (name, size, replicate)
                run = run_id(suite, *place)
                entries.append(_entry(run, *place))
                if place not in missing:
                    _write_trial(root, suite, *place, place in diverged, changes)
                if (name, size) in untrained and place not in (*missing, *diverged):
                    path = root / "runs" / run / "history.parquet"
                    history = pyarrow.parquet.read_table(path).to_pydict()
                    guessing = np.full(len(history["step"]), np.log(CLASSES))
                    _parquet(path, history | {"loss": guessing})
    ids = _write_profiles(root) if profiles else []
    _write_labels(root)
    comparison = {
        "name": "from-scratch",
        "dataset": "digits",
        "split_id": "official",
        "input_size": 32,
        "recipe": "scratch",
        "contestants": list(NETWORKS),
        "contrasts": [["deit", "resnet"]],
        "exploratory": [["vit", "resnet"]],
        "unmatched": "",
    }
    listing = {
        "format": 1,
        "suite": suite,
        "title": "Three small networks on digits",
        "description": "A plain ViT, the same network trained as DeiT, and a ResNet, from scratch.",
        "fingerprint": "f",
        "settings": [],
        "delta": 0.01,
        "contestants": {
            name: {"title": (titles or {}).get(name, n[1]), "model": n[0], "weights": "none", "recipe": n[4]}
            for name, n in NETWORKS.items()
        },
        "comparisons": [comparison | changes.get("comparison", {})],
        "trials": entries,
        "profiles": ids,
    }
    _json(root / "store.json", {"format": 1})
    _json(root / "suites" / f"{suite}.json", listing | changes.get("listing", {}))
    return root


def set_pretraining(root: Path, contestant: str, pretraining: str, suite: str = "tiny") -> None:
    """Let a contestant have pretrained weights."""
    path = root / "suites" / f"{suite}.json"
    listing = json.loads(path.read_text())
    listing["contestants"][contestant]["weights"] = "card"
    _json(path, listing)
    for entry in listing["trials"]:
        record = root / "runs" / entry["id"] / "record.json"
        if entry["contestant"] == contestant and record.exists():
            content = json.loads(record.read_text())
            content["model"]["pretraining"] = pretraining
            _json(record, content)


def identity(suite: str, contestant: str, shots: int | None, replicate: int) -> dict:
    """What the id of a trial is made from; the suite's name stands in it so that stores can be told apart."""
    return {
        "trial_format": 1,
        "model": {"name": NETWORKS[contestant][0]},
        "weights": "none",
        "dataset": "digits",
        "data": "d" * 64,
        "split_id": "official",
        "shots": shots,
        "draw_seed": None if shots is None else replicate,
        "recipe": {"optimizer": {"lr": 1e-3}, "of": f"{suite}/{contestant}"},
        "input_size": 32,
        "precision": "fp32",
        "seed": replicate,
    }


def digest(identity: dict) -> str:
    """The id that belongs to an identity: of its text with sorted keys and without spaces."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_id(suite: str, contestant: str, shots: int | None, replicate: int) -> str:
    """The id of a trial of the synthetic store."""
    return digest(identity(suite, contestant, shots, replicate))


def true_top1(contestant: str, shots: int | None, replicate: int) -> float:
    """Test accuracy of a finished trial: saturating in the number of images, spread over replicates."""
    ceiling, rate = NETWORKS[contestant][5:]
    images = IMAGES_PER_CLASS if shots is None else shots
    mean = 0.1 + (ceiling + 0.1) * (1 - (1 + images) ** -rate)
    spread = (-0.02, 0.01, 0.013)[replicate % 3] * (1 if images < IMAGES_PER_CLASS else 0.4)
    return round(min(mean + spread, 1.0) * TEST_IMAGES) / TEST_IMAGES


def _entry(run: str, contestant: str, shots: int | None, replicate: int) -> dict:
    return {
        "id": run,
        "comparison": "from-scratch",
        "contestant": contestant,
        "shots": shots,
        "replicate": replicate,
        "draw_seed": None if shots is None else replicate,
        "seed": replicate,
    }


def _write_trial(
    root: Path, suite: str, contestant: str, shots: int | None, replicate: int, diverged: bool, changes: dict
) -> None:
    name, title, family, kind, recipe, *_ = NETWORKS[contestant]
    run = run_id(suite, contestant, shots, replicate)
    images = CLASSES * (IMAGES_PER_CLASS if shots is None else shots)
    top1 = true_top1(contestant, shots, replicate)
    metrics = {
        "top1": top1,
        "top5": min(1.0, top1 + 0.3),
        "mean_per_class": top1 - 0.01,
        "nll": -float(np.log(top1)) + 0.2,
        "ece": 0.05,
        "top1_deduplicated": None,
        "val_top1": top1 + 0.005,
        "val_nll": -float(np.log(top1)) + 0.19,
        "train_top1": 0.99,
        "train_nll": 0.03,
    }
    steps = 60 if shots is None else 20
    record = {
        "format": 1,
        "kind": "trial",
        "id": run,
        "outcome": "diverged" if diverged else "finished",
        "reason": "loss is not finite at step 7" if diverged else None,
        "identity": identity(suite, contestant, shots, replicate),
        "model": {
            "name": name,
            "title": title,
            "family": family,
            "kind": kind,
            "carded": True,
            "pretraining": "none",
            "upstream_top1": None,
            "params": 11_173_962,
            "weights": "none",
            "weights_source": "none",
        }
        | changes.get("model", {}),
        "recipe": recipe,
        "protocol": "shared",
        "selection": "last",
        "data": {
            "dataset": "digits",
            "split_id": "official",
            "fingerprint": "d" * 64,
            "copy": "verified",
            "classes": CLASSES,
            "train_images": images,
            "val_images": 60,
            "test_images": TEST_IMAGES,
        }
        | changes.get("data", {}),
        "metrics": dict.fromkeys(metrics) if diverged else metrics,
        "images_seen": None if diverged else steps * 32,
        "steps": None if diverged else steps,
        "epochs": None if diverged else 10,
        "train_images_per_s": 812.5,
        "details": {},
        "test_evaluations": 0 if diverged else 1,
        "device": "cpu",
        "machine": "Example CPU, 2 cores, 8 GiB",
        "machine_facts": {"cpu": "Example CPU", "cores": 2, "memory_gib": 8.0},
        "versions": {"python": "3.12.1", "torch": "2.11.0", "timm": "1.0.31"},
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "started": f"2026-03-{1 + replicate:02d}T10:00:00+00:00",
        "finished": f"2026-03-{1 + replicate:02d}T10:01:00+00:00",
        "wall_s": 12.345,
    } | changes.get("record", {})
    folder = root / "runs" / run
    _json(folder / "record.json", record)
    if not diverged:
        _write_history(folder, run, steps, top1)
        _write_predictions(folder, run, top1)


def _write_history(folder: Path, run: str, steps: int, top1: float) -> None:
    step = np.arange(1, steps + 1)
    noise = np.random.default_rng(int(run, 16)).normal(0, 0.03, steps)
    looked = step % (steps // 5) == 0
    reached = top1 * (1 - np.exp(-4 * step / steps)) + 0.005
    history = {
        "step": step,
        "epoch": step / steps * 10,
        "loss": 2.3 * np.exp(-3 * step / steps) + 0.1 + noise,
        "lr": 1e-3 * (1 + np.cos(np.pi * step / steps)) / 2,
        "images_per_s": np.full(steps, 812.5),
        "val_top1": np.where(looked, reached, np.nan),
        "val_nll": np.where(looked, 2.3 - reached, np.nan),
    }
    _parquet(folder / "history.parquet", history)


def _write_predictions(folder: Path, run: str, top1: float) -> None:
    right = np.arange(TEST_IMAGES) < round(top1 * TEST_IMAGES)
    labels = np.arange(TEST_IMAGES) % CLASSES
    confidence = np.random.default_rng(int(run, 16)).uniform(0.3, 1, TEST_IMAGES)
    predictions = {
        "predicted": np.where(right, labels, (labels + 1) % CLASSES).astype(np.uint16),
        "confidence": confidence.astype(np.float16),
        "rank": np.where(right, 0, 1).astype(np.uint16),
        "log_prob": np.log(np.where(right, confidence, (1 - confidence) / 2)).astype(np.float16),
    }
    _parquet(folder / "predictions.parquet", predictions)


def set_predicted(folder: Path, predicted: np.ndarray) -> None:
    """Have the network of a trial predict these classes; its record has the accuracy that follows."""
    right = np.asarray(predicted) == np.arange(TEST_IMAGES) % CLASSES
    table = pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()
    table |= {"predicted": np.asarray(predicted, np.uint16), "rank": np.where(right, 0, 1).astype(np.uint16)}
    floats = {name: np.asarray(table[name], np.float16) for name in ("confidence", "log_prob")}
    _parquet(folder / "predictions.parquet", table | floats)
    record = json.loads((folder / "record.json").read_text())
    record["metrics"]["top1"] = float(right.mean())
    _json(folder / "record.json", record)


def _write_labels(root: Path) -> None:
    path = root / "labels" / f"digits-official-{'d' * 12}.parquet"
    _parquet(path, {"label": (np.arange(TEST_IMAGES) % CLASSES).astype(np.uint16)})


def _write_profiles(root: Path) -> list[str]:
    models = {
        "vit_base_patch16_224": ("ViT-B/16", "ViT", 86_567_656, 35_127_656_448),
        "resnet50": ("ResNet-50", "ResNet", 25_557_032, 8_178_892_800),
    }
    ids = []
    for model, (title, family, params, flops) in models.items():
        run = hashlib.sha256(model.encode()).hexdigest()[:16]
        record = {
            "format": 1,
            "kind": "profile",
            "what": "cost",
            "id": run,
            "model": model,
            "title": title,
            "family": family,
            "pretraining": "ImageNet-1k",
            "classes": 1000,
            "input_size": 224,
            "params": params,
            "trainable_params": params,
            "flops": flops,
            "gmacs": flops / 2e9,
            "activations_m": 11.1,
            "counter": "fvcore 0.1.5",
            "by_part": {"matmul": flops},
            "finished": "2026-03-01T09:00:00+00:00",
        }
        _json(root / "profiles" / run / "record.json", record)
        ids.append(run)
    return sorted(ids)


def _parquet(path: Path, columns: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pa.parquet.write_table(pa.table(columns), path)


def _json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))

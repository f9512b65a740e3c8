"""A small suite run undisturbed, and what a store has to be like after whatever happened to it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from faults.child import Ended, records, run
from PIL import Image

from bench.files import locked
from bench.store.job_files import JobFiles

SUITE = """
title = "faults"
description = "A search, a teacher with its student, and two plain networks."
delta = 0.05
[models]
resnet = { model = "resnet_digits_small", set = { "budget.min_steps" = 4 } }
vit = { model = "vit_digits_small" }
deit = { model = "vit_micro_distilled_patch4_32", recipe = "deit", set = { "distill.teacher" = "resnet" } }
[[comparison]]
name = "plain"
dataset = "digits"
contestants = ["resnet", "vit", "deit"]
contrasts = [["vit", "resnet"]]
recipe = "scratch"
shots = [2]
replicates = 1
input_size = 16
conditions = ["gaussian_noise-3"]
set = { "budget.epochs" = 2, "budget.batch_size" = 8, "budget.min_steps" = 4 }
[[comparison]]
name = "searched"
dataset = "digits"
contestants = ["vit"]
recipe = "scratch"
protocol = "tuned"
shots = [6]
replicates = 1
input_size = 16
search = { space = { "optimizer.lr" = [1e-4, 1e-3] }, folds = 3, held_out = 40 }
set = { "budget.epochs" = 1, "budget.batch_size" = 8, "budget.min_steps" = 3 }
"""
OF_PHOTOS = """
title = "photos"
description = "Images of one's own."
[models]
vit = { model = "vit_digits_small" }
[[comparison]]
name = "own"
dataset = "folder:photos"
contestants = ["vit"]
recipe = "scratch"
shots = ["all"]
replicates = 1
input_size = 16
set = { "budget.epochs" = 3, "budget.batch_size" = 8, "budget.min_steps" = 4 }
"""
RUN = ["run", "faults.toml", "--results", "store", "--data-dir", ".", "--device", "cpu", "--jobs", "1"]
TABLES = ["tables", "--results", "store"]
REPORT = ["report", "faults", "--results", "store", "--out", "report"]
# What must not depend on what happened; of a record all that is not about when and how fast.
SAME = (
    "outcome",
    "identity",
    "metrics",
    "weights_sha256",
    "predictions_sha256",
    "steps",
    "images_seen",
    "data",
)
NEVER = (".*.part*", "*.building", "*.lock")


def folder_with_suite(root: Path, name: str, suite: str = SUITE) -> Path:
    """A new folder with a suite in it, and the images of OF_PHOTOS."""
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "faults.toml").write_text(suite)
    for i in range(40 if suite == OF_PHOTOS else 0):
        path = folder / "photos" / "ab"[i % 2] / f"{i}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (20, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


def one_line(text: str) -> bool:
    """Whether no traceback was printed, and no fault of the harness told."""
    return "Traceback" not in text and "a fault of" not in text


def resume(folder: Path) -> Ended:
    """The same command again, undisturbed, to its end."""
    return run(folder, [RUN, TABLES, REPORT])


def problems(folder: Path, undisturbed: Path, before: dict[str, bytes]) -> list[str]:
    """What is not as it should be in a store that was run to its end.

    Args:
        undisturbed: the folder of a store to which nothing happened.
        before: `records` after the fault, of what was finished then.
    """
    found = []
    ours, theirs = records(folder), records(undisturbed)
    found += [f"{name}: lost or changed" for name, content in before.items() if ours.get(name) != content]
    if ours.keys() != theirs.keys():
        found.append(f"other jobs: {sorted(ours.keys() ^ theirs.keys())}")
    for name in ours.keys() & theirs.keys():
        a, b = (json.loads(one[name]) for one in (ours, theirs))
        found += [f"{name}: {key} differs" for key in SAME if a.get(key) != b.get(key)]
        there = JobFiles((folder / "store" / name).parent)
        found += [f"{path}: left behind" for path in there.unfinished()]
    for path in (undisturbed / "store").glob("evaluations/*/predictions.parquet"):
        own = folder / path.relative_to(undisturbed)
        if not own.exists() or own.read_bytes() != path.read_bytes():
            found.append(f"{own}: other predictions")
    accuracy, other = (
        pd.read_parquet(one / "store/tables/accuracy.parquet") for one in (folder, undisturbed)
    )
    numbers = ["run", "comparison", "contestant", "condition", "top1", "nll", "val_top1"]
    if not accuracy[numbers].equals(other[numbers]):
        found.append("another accuracy table")
    for name in ("contrasts", "robustness"):
        paths = [one / f"store/tables/{name}.csv" for one in (folder, undisturbed)]
        a, b = (path.read_bytes() if path.exists() else None for path in paths)
        found += [f"another {name} table"] if a != b else []
    for path in (path for pattern in NEVER for path in folder.rglob(pattern)):
        if ".locks" not in path.parts and not _is_free_lock(path):
            found.append(f"{path}: left behind")
    return found


def _is_free_lock(path: Path) -> bool:
    """Whether it is the file of a lock that waiting processes share and nobody holds."""
    if path.suffix != ".lock" or ".part." in path.name:
        return False
    with locked(path) as free:
        return free


def copy(undisturbed: Path, root: Path, name: str) -> Path:
    """A copy of a finished folder."""
    return Path(shutil.copytree(undisturbed, root / name))

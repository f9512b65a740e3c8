"""What the harness costs, as ratios within one run: python tests/perf/overhead.py [--json] [--data-dir DIR]

..._over_bare        throughput of a whole trial (training) or of its evaluation, over that of the same step
                     or forward pass on tensors that are ready in memory
..._over_tutorial    training throughput of a trial at the precision and layout of its suite, over that of the
                     epoch a tutorial writes: JPEG decoded every time, fp32, default layout (see tutorial.py)
heavy_augmentation   training as over the bare step, with RandAugment, erasing, mixup and cutmix
fixed_s              seconds of a trial before its first and after its last step, cache built; what grows with
                     the images is not in it, but stated: evaluation_s, the forward passes over val, train and
                     test images (evaluated_images of them); nor is the making of the model, model_s

Rounds of all sides are interleaved and their medians compared. Images are made on the spot, 667 x 500 px as
Flowers102's for networks at 224 px, or, with --data-dir, are the training images of Flowers102 there.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.data.augment import Pipeline
from bench.machine import device_name
from bench.networks import find_card, make_model, resolve_weights
from bench.planning.plan import Resolver, trials_of
from bench.running.engines.in_process import InProcess
from bench.running.queue import Queue
from bench.running.workspace import Workspace
from bench.spec.recipe import Augment
from bench.spec.suite import load_suite
from bench.store.run_store import RunStore
from bench.training import inputs, train_network
from bench.training.evaluate import EVALUATION_BATCH, predict
from bench.training.images import Images
from bench.training.observer import Silent
from bench.training.step import autocast

ROUNDS = 3
CLASSES = 4
LARGE, QUALITY, BLOCK = (667, 500), 75, 16  # gives the 40 KB that a photograph of Flowers102 has
CASES = {  # model: (input size, batch, steps a round, precision of the suites)
    "resnet18_cifar": (32, 32, 8, "bf16"),
    "vit_tiny_patch4_32": (32, 32, 8, "bf16"),
    "tf_efficientnet_lite0": (224, 32, 4, "fp32"),
    "deit_tiny_patch16_224": (224, 16, 4, "bf16"),
    "resnet50": (224, 8, 4, "bf16"),
}
SUITE = """
title = "overhead"
description = "for timing"
keep_weights = false
[models]
it = {{ model = "{model}" }}
[[comparison]]
name = "it"
dataset = "{dataset}"
contestants = ["it"]
recipe = "{recipe}"
replicates = {rounds}
input_size = {size}
precision = "{precision}"
[comparison.set]
"budget.epochs" = 1
"budget.min_steps" = {steps}
"budget.batch_size" = {batch}
"val_times" = 1
"""


def images_of(folder: Path, width: int, height: int, count: int) -> Path:
    """A folder of JPEGs in train, val and test: noise that compresses like a photograph."""
    random = np.random.default_rng(0)
    for split, number in (("train", count), ("val", 2 * CLASSES), ("test", 2 * CLASSES)):
        for index in range(number):
            coarse = random.integers(0, 256, (height // BLOCK, width // BLOCK, 3), dtype=np.uint8)
            path = folder / split / f"class{index % CLASSES}" / f"{index}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
            image.save(path, quality=QUALITY)
    return folder


def flowers(folder: Path, data_dir: Path, count: int) -> Path:
    """The same folder of links to Flowers102 images; their classes do not matter here."""
    found = sorted((data_dir / "flowers-102" / "jpg").glob("*.jpg"))
    wanted = count + 4 * CLASSES
    if len(found) < wanted:
        raise SystemExit(f"{data_dir}: {wanted} images of Flowers102 are needed, {len(found)} found")
    splits = ["train"] * count + ["val"] * (2 * CLASSES) + ["test"] * (2 * CLASSES)
    for index, (path, split) in enumerate(zip(found[:wanted], splits, strict=True)):
        link = folder / split / f"class{index % CLASSES}" / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
    return folder


class Trials:
    """Trials of one case, run one at a time."""

    def __init__(self, work: Path, name: str, recipe: str, model: str, data: Path) -> None:
        size, batch, steps, precision = CASES[model]
        path = work / f"{name}.toml"
        path.write_text(
            SUITE.format(
                model=model,
                dataset=f"folder:{data}",
                recipe=recipe,
                rounds=ROUNDS + 1,
                size=size,
                precision=precision,
                steps=steps,
                batch=batch,
            )
        )
        self.workspace = Workspace(
            work, work, work / name, "cpu" if not torch.cuda.is_available() else "cuda"
        )
        RunStore(self.workspace.results).prepare()
        self._todo = iter(
            Resolver(work, work, self.workspace.results).resolve_all(trials_of(load_suite(str(path))))
        )

    def next(self) -> dict:
        """The record of the next trial, with its steady images/s and where its other time went."""
        job = next(self._todo)
        with timed(inputs, "make_model") as creation, timed(train_network, "predict") as evaluation:
            began = time.perf_counter()
            (outcome,) = InProcess().run(Queue([job]), self.workspace, lambda _: Silent())
            wall = time.perf_counter() - began
        record = outcome.record
        history = pd.read_parquet(self.workspace.results / "runs" / job.id / "history.parquet")
        steady = float(history["images_per_s"].iloc[1:].median())
        rest = wall - record.details["train_s"]
        return record.content() | {
            "steady": steady,
            "fixed_s": rest - sum(creation) - sum(evaluation),
            "model_s": sum(creation),
            "evaluation_s": sum(evaluation),
        }


@contextmanager
def timed(module: ModuleType, name: str) -> Iterator[list[float]]:
    """The seconds of every call of a module's function, while the block lasts."""
    spent, original = [], getattr(module, name)

    def call(*args, **kwargs):
        began = time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            spent.append(time.perf_counter() - began)

    setattr(module, name, call)
    try:
        yield spent
    finally:
        setattr(module, name, original)


class Tutorial:
    """The tutorial's loop in a process of its own, which sleeps while the others are measured."""

    def __init__(self, model: str, data: Path) -> None:
        size, batch, self.steps, _ = CASES[model]
        script = str(Path(__file__).with_name("tutorial.py"))
        self.process = subprocess.Popen(
            [sys.executable, script, model, str(size), str(batch), str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.rate()  # waits until it is ready

    def rate(self) -> float:
        """Images/s."""
        self.process.stdin.write(f"{self.steps}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def end(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def network_of(model: str, device: str, work: Path) -> nn.Module:
    card = find_card(model)
    weights = resolve_weights(card, "none", work, download=False)
    network = make_model(card, weights, classes=CLASSES, input_size=CASES[model][0]).to(device)
    return network.to(memory_format=torch.channels_last) if card.kind == "cnn" else network


def bare_step_rate(model: str, device: str, work: Path) -> float:
    """Images/s of the plain training step on tensors that are ready."""
    size, batch, steps, precision = CASES[model]
    network = network_of(model, device, work)
    layout = torch.channels_last if find_card(model).kind == "cnn" else torch.contiguous_format
    images = torch.randn(batch, 3, size, size, device=device).contiguous(memory_format=layout)
    labels = torch.arange(batch, device=device) % CLASSES
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    times = []
    for _ in range(steps):
        began = time.perf_counter()
        with autocast(precision, device):
            output = network(images)
        loss = F.cross_entropy(output.float(), labels, label_smoothing=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        loss.item()
        times.append(time.perf_counter() - began)
    return batch / statistics.median(times[1:])


def evaluation_rates(model: str, work: Path) -> tuple[float, float]:
    """Images/s of the harness's evaluation of decoded images, and of the bare forward pass."""
    size, batch, steps, precision = CASES[model]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network_of(model, device, work).eval()
    card, together = find_card(model), EVALUATION_BATCH[device]
    count = together * (1 if size > 100 else 4)
    stored = Augment().stored_size(size)
    pixels = np.random.default_rng(0).integers(0, 256, (count, stored, stored, 3), dtype=np.uint8)
    pipeline = Pipeline(Augment(), input_size=size, mean=card.mean, std=card.std)
    images = Images(pixels, np.arange(count), device)
    ready = torch.randn(together, 3, size, size, device=device)
    if card.kind == "cnn":
        ready = ready.contiguous(memory_format=torch.channels_last)

    def ours() -> None:
        predict(network, images, pipeline, precision=precision, phase="evaluating", observer=Silent())

    def bare() -> None:
        with torch.inference_mode():
            for _ in range(count // together):
                with autocast(precision, device):
                    network(ready).float().cpu()

    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(ROUNDS + 1):
        for name, run in (("ours", ours), ("bare", bare)):
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return tuple(count / statistics.median(seconds[name][1:]) for name in ("ours", "bare"))


def measure(model: str, work: Path, data_dir: Path | None) -> dict[str, float | str | int]:
    """All figures of one model, with the settings under which they hold."""
    size, batch, steps, precision = CASES[model]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    large = size > 100
    count, folder = batch * 2, work / f"{model}-images"
    if data_dir and large:
        data, jpeg = flowers(folder, data_dir, count), "Flowers102 as given"
    else:
        width, height = LARGE if large else (size, size)
        data, jpeg = images_of(folder, width, height, count), f"{width} x {height} px, made on the spot"
    light = Trials(work, f"{model}-light", "scratch", model, data)
    heavy = None if large else Trials(work, f"{model}-heavy", "vit-strong-aug", model, data)
    light.next()  # builds the cache
    tutorial = Tutorial(model, data)
    rates: dict[str, list[float]] = {"bare": [], "trial": [], "tutorial": [], "heavy": []}
    records = []
    for _ in range(ROUNDS):
        rates["bare"].append(bare_step_rate(model, device, work))
        records.append(light.next())
        rates["trial"].append(records[-1]["steady"])
        rates["tutorial"].append(tutorial.rate())
        if heavy:
            rates["heavy"].append(heavy.next()["steady"])
    tutorial.end()
    middle = {name: statistics.median(found) for name, found in rates.items() if found}
    ours, bare = evaluation_rates(model, work)
    figures = {
        "precision": precision,
        "memory_format": "channels_last" if find_card(model).kind == "cnn" else "contiguous",
        "input_size": size,
        "batch_size": batch,
        "tutorial_jpeg": jpeg,
        "trial_images_per_s": middle["trial"],
        "bare_images_per_s": middle["bare"],
        "tutorial_images_per_s": middle["tutorial"],
        "train_over_bare": middle["trial"] / middle["bare"],
        "evaluation_over_bare": ours / bare,
        "train_over_tutorial": middle["trial"] / middle["tutorial"],
        "evaluated_images": count + 4 * CLASSES,
    }
    for name in ("fixed_s", "model_s", "evaluation_s"):
        figures[name] = statistics.median(record[name] for record in records)
    if heavy:
        figures["heavy_augmentation"] = middle["heavy"] / middle["bare"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--data-dir", type=Path, help="take the larger images from Flowers102 in this folder")
    parser.add_argument("--models", nargs="+", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    found, began, load = {}, time.perf_counter(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VCBENCH_CACHE"] = str(Path(folder) / "cache")
        for model in options.models:
            found[model] = measure(model, Path(folder), options.data_dir)
            if not options.json:
                words = (
                    f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                    for name, value in found[model].items()
                )
                print(f"{model}: {', '.join(words)}", flush=True)
    if options.json:
        print(
            json.dumps(
                {
                    "device": device_name("cuda" if torch.cuda.is_available() else "cpu"),
                    "threads": torch.get_num_threads(),
                    "torch": torch.__version__,
                    "rounds": ROUNDS,
                    "load_before": load,
                    "seconds": round(time.perf_counter() - began, 1),
                    "models": found,
                },
                indent=2,
            )
        )


if __name__ == "__main__":
    main()

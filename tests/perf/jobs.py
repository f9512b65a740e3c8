"""What two processes do in the time of one: python tests/perf/jobs.py [--rounds N] [--steps N]

A suite of eight small trials (ViT-Micro and a quarter ResNet-18 at 32 px) is run on the CPU with --jobs 1 and
with --jobs 2, in stores of their own and in turns. Printed are the seconds of the whole command, starting the
processes included, their medians' ratio, and whether every trial has the same weights and predictions. Of the
ratio only a quiet machine of two cores or more tells anything.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUITE = """
title = "Two processes"
description = "For tests/perf/jobs.py."
[models]
vit = {{ model = "vit_micro_patch4_32" }}
resnet = {{ model = "resnet18_quarter_cifar" }}
[[comparison]]
name = "digits"
dataset = "digits"
contestants = ["vit", "resnet"]
recipe = "scratch"
shots = [20]
replicates = 4
input_size = 32
[comparison.set]
"budget.epochs" = 1
"budget.min_steps" = {steps}
"budget.batch_size" = 64
"augment.flip" = false
"""


def seconds(folder: Path, jobs: int, results: Path) -> float:
    """How long the whole command takes."""
    command = ["run", "two.toml", "--jobs", str(jobs), "--device", "cpu", "--results", str(results)]
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bench", *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


def contents(results: Path) -> dict[str, tuple[str, bytes]]:
    """Of each trial the digest of its weights and its predictions."""
    found = {}
    for record in sorted(results.glob("evaluations/*/record.json")):
        content = json.loads(record.read_text())
        predictions = record.with_name("predictions.parquet").read_bytes()
        found[record.parent.name] = content["weights_sha256"], predictions
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=150, help="of each trial")
    options = parser.parse_args()
    times: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "two.toml").write_text(SUITE.format(steps=options.steps))
        seconds(folder, 1, folder / "first")  # decodes the images
        for number in range(options.rounds):
            for jobs, measured in times.items():
                measured.append(seconds(folder, jobs, folder / f"{number}-{jobs}"))
                print(f"--jobs {jobs}: {measured[-1]:.1f} s", flush=True)
        runs = [contents(folder / f"{number}-{jobs}") for number in range(options.rounds) for jobs in times]
    one, two = (statistics.median(measured) for measured in times.values())
    same = len(runs[0]) == 8 and all(run == runs[0] for run in runs)
    print(f"throughput of two over one: {one / two:.2f}; the same weights and predictions: {same}")


if __name__ == "__main__":
    main()

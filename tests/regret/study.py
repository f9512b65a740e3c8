"""How much accuracy is lost by picking a backbone in one way or another: `nox -s regret`.

On each data set all models of the pool are fine-tuned, each with the learning rate that suits it by the same
search, and probed on frozen features; of the two what is better on val counts. The regret of a way of picking
is the test accuracy of the best model minus that of the picked one. It may be stopped and goes on.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from regret.tasks import Task, tasks, write

import vcbench
from bench.cli.picking import Place, pick_backbone
from bench.cli.progress import Stop
from bench.files import write_json
from bench.networks import find_card
from bench.picking.answer import Answer

POOL = (
    "tf_efficientnet_lite0",
    "tf_efficientnet_lite1",
    "tf_efficientnet_lite2",
    "deit_tiny_patch16_224_lnq",
)
INPUT_SIZE = 64
BATCH, EPOCHS, MIN_STEPS = 16, 10, 150
PICK_S = 3600.0  # enough for all images; how long it took is kept


def main() -> None:
    """Do what is missing of the first tasks, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/regret"), help="images and runs")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("VCBENCH_DATA") or "data"))
    parser.add_argument("--out", type=Path, default=Path("docs/regret.md"))
    parser.add_argument("--tasks", type=int, default=len(tasks()), help="how many")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    done = []
    for task in tasks()[: arguments.tasks]:
        path = arguments.work / f"{task.name}.json"
        if not path.exists():
            study(task, arguments.work, arguments.data_dir)
            print(f"{task.name}: done", flush=True)
        done.append(json.loads(path.read_text()))
    from regret.page import write_page

    write_page(done, arguments.out)


def study(task: Task, work: Path, data_dir: Path) -> None:
    """What each way of picking takes, and what each model comes to, as work/NAME.json."""
    images = write(task, work / "images", data_dir)
    place = Place(work / "results", data_dir, device="cpu")
    began = time.perf_counter()
    answer = pick_backbone(
        str(images),
        place,
        Stop(PICK_S),
        models=POOL,
        input_size=INPUT_SIZE,
        out=work / f"pick-{task.name}.toml",
        quiet=True,
        finetune=False,
    )
    picking_s = time.perf_counter() - began
    began = time.perf_counter()
    results = vcbench.run(
        suite(task, images), place.results, data_dir=data_dir, device="cpu", jobs=1, progress=False
    )
    tuning_s = time.perf_counter() - began
    val, test = counting(results.accuracy, f"regret-{task.name}")
    write_json(
        work / f"{task.name}.json",
        {
            "task": task.name,
            "classes": len(answer.picked.dataset.class_names),
            "train_images": len(answer.picked.dataset.splits["train"]),
            "test_images": len(answer.picked.dataset.splits["test"]),
            "picking_s": round(picking_s, 1),
            "tuning_s": round(tuning_s, 1),
            "val_top1": val,
            "test_top1": test,
            "picked": answer.best,
            "survivors": answer.picked.survivors,
            **_scores(answer),
        },
    )


def counting(accuracy: pd.DataFrame, suite: str) -> tuple[dict[str, float], dict[str, float]]:
    """Accuracy on val and on test by model, of the regime that is better on val."""
    own = accuracy[accuracy["suite"] == suite]
    means = own.groupby(["model", "recipe"])[["val_top1", "top1"]].mean().reset_index()
    best = means.sort_values("val_top1").groupby("model").last()
    return best["val_top1"].to_dict(), best["top1"].to_dict()


def suite(task: Task, images: Path) -> dict[str, Any]:
    """All models of the pool on a task, fine-tuned and probed."""
    shared = {
        "dataset": f"folder:{images.resolve()}",
        "contestants": list(POOL),
        "shots": ["all"],
        "input_size": INPUT_SIZE,
        "precision": "fp32",
        "exploratory": [[POOL[0], POOL[-1]]],
        "unmatched": "models of several sizes",
    }
    return {
        "name": f"regret-{task.name}",
        "title": f"All models on {task.name}",
        "description": "What the regret of a pick is measured against.",
        "models": {name: {"model": name, "title": find_card(name).title, "weights": "card"} for name in POOL},
        "comparison": [
            {"name": f"{task.name}-probe", "recipe": "linear-probe", "replicates": 1, **shared},
            {
                **shared,
                "name": task.name,
                "recipe": "finetune",
                "protocol": "tuned",
                "replicates": 2,
                "set": {
                    "budget.epochs": EPOCHS,
                    "budget.min_steps": MIN_STEPS,
                    "budget.batch_size": BATCH,
                    "val_times": 1,
                },
                "search": {
                    "space": {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "values": 5}},
                    "judge": "val",
                    "rungs": [0.3],
                },
            },
        ],
    }


def _scores(answer: Answer) -> dict[str, dict[str, float]]:
    """Cross-validated accuracy on the largest sample that every model was scored on, by model."""
    standings = answer.picked.race.standings
    common = min(standing.rounds[-1][0] for standing in standings.values())
    last = {
        name: next(score for size, score in standing.rounds if size == common)
        for name, standing in standings.items()
    }
    return {
        "probe_top1": {name: score.top1 for name, score in last.items()},
        "knn_top1": {name: float(np.mean(score.knn)) for name, score in last.items()},
    }


def regrets(studied: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a task and way of picking: the model picked, and `regret`, a fraction.

    "best on the others" takes the model with the highest mean test accuracy over all other tasks.
    """
    known = {name: find_card(name).upstream_top1 or 0.0 for name in POOL}
    rows = []
    for one in studied:
        test, others = one["test_top1"], [other for other in studied if other is not one]
        finetuned = {name: one["val_top1"][name] for name in one["survivors"]}
        ways = {
            "a pick on frozen features": one["picked"],
            "a pick whose judged are trained": max(finetuned, key=lambda name: finetuned[name]),
            "all trained, the best on val": max(one["val_top1"], key=lambda name: one["val_top1"][name]),
            "best cross-validated probe": max(one["probe_top1"], key=lambda name: one["probe_top1"][name]),
            "nearest neighbours": max(one["knn_top1"], key=lambda name: one["knn_top1"][name]),
            "best published ImageNet accuracy": max(POOL, key=lambda name: known[name]),
            **{f"always {find_card(name).title}": name for name in POOL},
        }
        if others:
            means = {name: np.mean([other["test_top1"][name] for other in others]) for name in POOL}
            ways["best on the other data sets"] = max(means, key=lambda name: means[name])
        best = max(test.values())
        rows += [
            {"task": one["task"], "way": way, "model": name, "regret": best - test[name]}
            for way, name in ways.items()
        ]
        rows.append(
            {
                "task": one["task"],
                "way": "one at random",
                "model": "",
                "regret": best - np.mean(list(test.values())),
            }
        )
    return pd.DataFrame(rows)

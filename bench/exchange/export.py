"""Results in the forms of other tools: plain tables, and the result files of timm."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench import frames
from bench.files import slug, staged, within, write_text
from bench.runtimes import TORCH
from bench.spec.job import CLEAN
from bench.tables.tables import build_tables

if TYPE_CHECKING:
    from bench.store.records.trials import Result
    from bench.store.run_store import RunStore

# What a file of speeds has in common: one machine, precision, layout and batch, and images of one size, for
# rows of one file are read as the same work.
ONE_FILE = (
    "mode",
    "device",
    "machine",
    "threads",
    "runtime",
    "runtime_version",
    "precision",
    "memory_format",
    "compiled",
    "batch_size",
    "input_size",
    "classes",
    "torch",
)
LAYOUTS = {"contiguous": "nchw", "channels_last": "nhwc"}


def export_tables(store: "RunStore", kind: str, out: Path) -> list[Path]:
    """Write every table of the store as out/NAME.csv or out/NAME.parquet; returns the files.

    In CSV, text that a spreadsheet would take for a formula begins with an apostrophe.

    Raises:
        StoreError: the store cannot be read or the folder not written.
    """
    written = []
    for name, frame in build_tables(store).items():
        path = out / f"{name}.{kind}"
        if kind == "csv":
            _write(frame, path)
        else:
            with staged(path) as part:
                frame.to_parquet(part, index=False)
        written.append(path)
    return written


def export_timm(store: "RunStore", out: Path) -> list[Path]:
    """Write files with the columns of timm's results; returns them.

    results-DATASET-SPLIT-SUITE-COMPARISON-SHOTS.csv has a row a model and recipe of one cell: means over
    replicates in percent, diverged ones at chance, with what timm has no column for at the end
    (recipe, pretraining, replicates, and top1_sd in points). benchmark-cost.csv has the costs of each model,
    per head (`num_classes`). benchmark-infer-*.csv and benchmark-train-*.csv have the speeds of one machine,
    precision, layout, batch and input size each, which their names and last columns state.

    Raises:
        StoreError: as `export_tables`.
    """
    tables = build_tables(store)
    accuracy = tables["accuracy"].dropna(subset="suite")
    accuracy = accuracy[accuracy["condition"] == CLEAN]
    settings = pd.DataFrame([_settings(record) for record in store.results()], columns=["run", *_SETTINGS])
    accuracy = accuracy.merge(settings, on="run", how="left")
    written = []
    one_file = ["dataset", "split_id", "suite", "comparison", "shots"]
    for key, rows in accuracy.groupby(one_file, dropna=False, sort=True):
        *names, shots = key
        size = "all" if pd.isna(shots) else f"{shots}-shot"
        path = out / f"results-{'-'.join(slug(name) for name in names)}-{size}.csv"
        written.append(_write(_timm_results(rows), path))
    if len(tables["cost"]):
        written.append(_write(_timm_benchmark(tables["cost"]), out / "benchmark-cost.csv"))
    speed = tables["speed"][tables["speed"]["outcome"] == "measured"]
    for key, rows in speed.groupby(list(ONE_FILE), dropna=False, sort=True):
        own = dict(zip(ONE_FILE, key, strict=True))
        written.append(_write(_timm_speed(rows, tables["cost"]), within(out, f"{_speed_name(own)}.csv")))
    return written


def _speed_name(own: dict[str, Any]) -> str:
    """A file's name, from what its rows have in common."""
    exported = own["runtime"] != TORCH
    parts = [
        *([f"{own['runtime']}{own['runtime_version']}"] if exported else []),
        own["precision"],
        LAYOUTS.get(own["memory_format"], "other"),
        *(["compiled"] if own["compiled"] else []),
    ]
    parts += [f"{own['input_size']}px", f"batch{own['batch_size']}", f"{own['classes']}classes"]
    platform = own["machine"] if own["device"] == "cpu" else f"{own['device']} {own['machine']}"
    parts += [slug(platform), f"{own['threads']}threads", f"torch{own['torch']}"]
    return "-".join(["benchmark", own["mode"], *parts])


def _timm_speed(speed: pd.DataFrame, cost: pd.DataFrame) -> pd.DataFrame:
    """Speeds with timm's names and units, fastest first: a step takes ms, counts are in millions.

    Operations and activations are those of a forward pass, and stand only in files of inference, as there.
    """
    network = ["model", "classes", "input_size"]
    rows = speed.merge(cost[[*network, "gmacs", "activations_m", "params"]], on=network, how="left")
    mode = speed["mode"].iloc[0]
    columns = {
        "model": rows["model"],
        f"{mode}_samples_per_sec": rows["images_per_s"].round(2),
        f"{mode}_step_time": rows["latency_ms_median"].round(3),
        f"{mode}_batch_size": rows["batch_size"],
        f"{mode}_img_size": rows["input_size"],
    }
    if mode == "infer":
        columns |= {
            "infer_gmacs": rows["gmacs"].round(4),
            "infer_macts": rows["activations_m"].round(4),
        }
    columns["param_count"] = (rows["params"].astype("Float64") / 1e6).round(4)
    named = ("precision", "memory_format", "compiled", "device", "machine")
    exported = ("runtime", "runtime_version") if (speed["runtime"] != TORCH).any() else ()
    stated = {name: rows[name] for name in (*exported, *named)}
    frame = pd.DataFrame(columns | stated | {name: rows[name] for name in ("unstable", "busy")})
    return frame.sort_values(f"{mode}_samples_per_sec", ascending=False, kind="stable")


_SETTINGS = ("crop_pct", "interpolation")


def _settings(record: "Result") -> dict[str, Any]:
    """How a trial's test images were cropped: the whole image where it is resized without a crop."""
    augment = record.identity.recipe["augment"]
    return {
        "run": record.id,
        "crop_pct": 1.0 if augment["resize"] == "squash" else augment["crop_pct"],
        "interpolation": augment["interpolation"],
    }


def _timm_results(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a contestant, best first."""
    made = []
    for _, own in rows.groupby("contestant", sort=False):
        own = own.drop_duplicates("run")
        top1, top5 = (100 * own[name] for name in ("top1", "top5"))
        first = own.iloc[0]
        made.append(
            {
                "model": first["model"],
                "top1": round(top1.mean(), 3),
                "top1_err": round(100 - top1.mean(), 3),
                "top5": round(top5.mean(), 3),
                "top5_err": round(100 - top5.mean(), 3),
                "param_count": round(first["params"] / 1e6, 2),
                "img_size": first["input_size"],
                "crop_pct": first["crop_pct"],
                "interpolation": first["interpolation"],
                "recipe": first["recipe"],
                "pretraining": first["pretraining"],
                "replicates": len(own),
                "top1_sd": round(top1.std(ddof=1), 3) if len(own) > 1 else None,
            }
        )
    return pd.DataFrame(made).sort_values("top1", ascending=False, kind="stable")


def _timm_benchmark(cost: pd.DataFrame) -> pd.DataFrame:
    """The cost table with timm's names and units: counts in millions, multiply-adds in 10^9."""
    frame = pd.DataFrame(
        {
            "model": cost["model"],
            "infer_img_size": cost["input_size"],
            "infer_gmacs": cost["gmacs"].round(4),
            "infer_macts": cost["activations_m"].round(4),
            "param_count": (cost["params"].astype(float) / 1e6).round(4),
            "num_classes": cost["classes"],
        }
    )
    return frame.dropna(axis="columns", how="all")


def _write(frame: pd.DataFrame, path: Path) -> Path:
    write_text(path, frames.for_csv(frame).to_csv(index=False, lineterminator="\n"))
    return path

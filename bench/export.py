"""Results in the forms of other tools: plain tables, and the result files of timm."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.analysis.tables import build_tables
from bench.files import staged, write_text

if TYPE_CHECKING:
    from bench.store import RunStore

# The columns of results-*.csv and benchmark-infer-*.csv in the folder `results` of timm's repository, in
# order; those that a run store holds no values for (throughput among them) are left out.
TIMM_RESULTS = (
    "model",
    "top1",
    "top1_err",
    "top5",
    "top5_err",
    "param_count",
    "img_size",
    "crop_pct",
    "interpolation",
)
TIMM_BENCHMARK = ("model", "infer_img_size", "infer_gmacs", "infer_macts", "param_count")


def export_tables(store: "RunStore", kind: str, out: Path) -> list[Path]:
    """Write every table of the store as out/NAME.csv or out/NAME.parquet; returns the files.

    Raises:
        StoreError: the store cannot be read or the folder not written.
    """
    written = []
    for name, frame in build_tables(store).items():
        path = out / f"{name}.{kind}"
        if kind == "csv":
            write_text(path, frame.to_csv(index=False, lineterminator="\n"))
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
    per head (`num_classes`).

    Raises:
        StoreError: as `export_tables`.
    """
    from bench.report.text import slug

    tables = build_tables(store)
    accuracy = tables["accuracy"]
    settings = pd.DataFrame([_settings(record) for record in store.trials()], columns=["run", *_SETTINGS])
    accuracy = accuracy[accuracy["suite"].notna()].merge(settings, on="run", how="left")
    written = []
    place = ["dataset", "split_id", "suite", "comparison", "shots"]
    for key, rows in accuracy.groupby(place, dropna=False, sort=True):
        *names, shots = key
        size = "all" if pd.isna(shots) else f"{shots}-shot"
        path = out / f"results-{'-'.join(slug(name) for name in names)}-{size}.csv"
        written.append(_write(_timm_results(rows), path))
    if len(tables["cost"]):
        written.append(_write(_timm_benchmark(tables["cost"]), out / "benchmark-cost.csv"))
    return written


_SETTINGS = ("crop_pct", "interpolation")


def _settings(record: dict[str, Any]) -> dict[str, Any]:
    """How a trial's test images were cropped: the whole image where it is resized without a crop."""
    augment = record["identity"]["recipe"]["augment"]
    return {
        "run": record["id"],
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
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))
    return path

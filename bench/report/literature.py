"""Other people's accuracies: read from `literature.csv` in the run store or in the folder that holds it.

The default store is `results/`, where the file lies; `results/published` is a store inside it. Columns:
model (as its card is titled), pretraining, input_px, dataset, train_images, metric (a column of the accuracy
table), value (in percent), protocol, source, status. Only rows whose status is `confirmed` are used.
"""

from pathlib import Path

import pandas as pd

from bench.errors import InputError

NAME = "literature.csv"
COLUMNS = (
    "model",
    "pretraining",
    "input_px",
    "dataset",
    "train_images",
    "metric",
    "value",
    "protocol",
    "source",
    "status",
)
METRICS = ("top1", "top5", "mean_per_class")
SCRATCH = "none"


def literature_file(store_root: Path) -> Path | None:
    """The file that belongs to a store, if there is one."""
    root = Path(store_root).resolve()
    return next((path for path in (root / NAME, root.parent / NAME) if path.is_file()), None)


def read_literature(path: Path) -> pd.DataFrame:
    """The confirmed rows; `pretraining` is "none" for networks trained from scratch, whatever follows it.

    Raises:
        InputError: the file lacks a column or has a metric or number that cannot be read.
    """
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise InputError(f"{path}: should have the columns {', '.join(missing)} too")
    table = table[table["status"] == "confirmed"].reset_index(drop=True)
    unknown = sorted(set(table["metric"]) - set(METRICS))
    if unknown:
        raise InputError(f'{path}: metric "{unknown[0]}" should be one of {", ".join(METRICS)}')
    try:
        for name in ("input_px", "train_images", "value"):
            table[name] = pd.to_numeric(table[name].where(table[name] != ""))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: column {name} should hold numbers ({error})") from error
    scratch = table["pretraining"].str.startswith(SCRATCH)
    return table.assign(pretraining=table["pretraining"].mask(scratch, SCRATCH))

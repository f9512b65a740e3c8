"""Other people's accuracies: read from `literature.csv` in the run store or in the folder that holds it.

The default store is `results/`, where the file lies; `results/published` is a store inside it. Columns:
model (as its card is titled), pretraining, input_px, dataset, train_images, metric (a column of the accuracy
table), value (in percent), protocol, source, status. Only rows whose status is `confirmed` are used.
"""

from pathlib import Path

import pandas as pd

from bench.errors import InputError, first_line
from bench.escape import visible

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
# The least and the most that a number can be; accuracies are in percent.
LIMITS = {"input_px": (1, 100_000), "train_images": (1, 1e12), "value": (0, 100)}


def literature_file(store_root: Path) -> Path | None:
    """The file that belongs to a store, if there is one."""
    root = Path(store_root).resolve()
    return next((path for path in (root / NAME, root.parent / NAME) if path.is_file()), None)


def read_literature(path: Path) -> pd.DataFrame:
    """The confirmed rows; `pretraining` is "none" for networks trained from scratch, whatever follows it.

    Raises:
        InputError: the file is no CSV in UTF-8, lacks a column, or has a metric or number that cannot be.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8")
    except (ValueError, OSError) as error:  # of pandas' parser and of UTF-8
        raise InputError(f"{path}: not a CSV file in UTF-8: {first_line(error)}") from error
    table = table.map(visible)
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
            table[name].astype(float)  # refuses a whole number of hundreds of digits
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: column {name} should hold numbers ({error})") from error
    for name, (low, high) in LIMITS.items():
        given = table[name].dropna().astype(float)
        wrong = given[~given.between(low, high)]
        if len(wrong):
            row = table.loc[wrong.index[0]]
            raise InputError(
                f"{path}: {name} of {row['model']} on {row['dataset']} is {wrong.iloc[0]:g}; "
                f"should be from {low:g} to {high:g}"
            )
    scratch = table["pretraining"].str.startswith(SCRATCH)
    return table.assign(pretraining=table["pretraining"].mask(scratch, SCRATCH))

"""Other people's accuracies: read from `literature.csv` in the run store or in the folder that holds it.

The default store is `results/`, where the file lies; `results/published` is a store inside it.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bench.errors import InputError, first_line
from bench.escape import visible

NAME = "literature.csv"
SCRATCH = "none"


class Row(BaseModel):
    """A published accuracy: `model` as its card is titled, `value` in percent; only confirmed rows count."""

    model_config = ConfigDict(allow_inf_nan=False)

    model: str
    pretraining: str
    input_px: Annotated[int, Field(ge=1, le=100_000)]
    dataset: str
    train_images: Annotated[
        Annotated[float, Field(ge=1, le=1e12)] | None, BeforeValidator(lambda given: given or None)
    ]
    metric: Literal["top1", "top5", "mean_per_class"]
    value: Annotated[float, Field(ge=0, le=100)]
    protocol: str
    source: str
    status: str


COLUMNS = tuple(Row.model_fields)


def literature_file(store_root: Path) -> Path | None:
    """The file that belongs to a store, if there is one."""
    root = Path(store_root).resolve()
    return next((path for path in (root / NAME, root.parent / NAME) if path.is_file()), None)


def read_literature(path: Path) -> list[dict[str, Any]]:
    """The confirmed rows; `pretraining` is "none" for networks trained from scratch, whatever follows it.

    Raises:
        InputError: the file is no CSV in UTF-8, lacks a column, or has a metric or number that cannot be.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8")
    except (ValueError, OSError) as error:  # of pandas' parser and of UTF-8
        raise InputError(f"{path}: not a CSV file in UTF-8: {first_line(error)}") from error
    if missing := [name for name in COLUMNS if name not in table]:
        raise InputError(f"{path}: should have the columns {', '.join(missing)} too")
    rows = []
    for line, given in enumerate(table.map(visible).to_dict("records"), start=2):
        if given["status"] != "confirmed":
            continue
        try:
            row = Row.model_validate(given).model_dump()
        except ValidationError as error:
            first = error.errors()[0]
            name, said = first["loc"][0], first["msg"]
            raise InputError(f'{path}, line {line}: {name} "{given[name]}": {said.lower()}') from error
        scratch = row["pretraining"].startswith(SCRATCH)
        rows.append(row | ({"pretraining": SCRATCH} if scratch else {}))
    return rows

"""Images of one's own that a CSV or Parquet file lists, named as "table:FILE"."""

import hashlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.base import Dataset, Facts, Folders
from bench.data.images import largest_sides, read_image
from bench.data.own import SPLIT_IDS, Listed, files_of, own_dataset
from bench.data.rows import as_text, rows_of
from bench.errors import DataError, StoreError, did_you_mean
from bench.escape import text_of_csv
from bench.files import relative_names
from bench.store.parquet import read_parquet

if TYPE_CHECKING:
    import pandas as pd

FACTS = Facts(
    name="table",
    title="A table of images",
    classes=None,
    splits=SPLIT_IDS,
    image="files of any size, of the kinds that a folder may hold",
    source="your own images: a CSV or Parquet file with path and label, and split and group as needed",
    takes_path=True,
)
NEEDED, OPTIONAL = ("path", "label"), ("split", "group")
ENDINGS = (".csv", ".tsv", ".parquet")


def load(split_id: str | None, folders: Folders) -> Dataset:
    """The images that a table lists by path (as seen from its folder) and label; split and group as needed.

    Labels are names or whole numbers, and classes come in the order of their names as text. The order of the
    rows means nothing.

    Raises:
        InputError: the split id does not fit the table.
        DataError: the table or one of its files is missing, a column is not clear, or as `rows_of`.
    """
    asked = folders.images
    assert asked is not None  # as of every dataset that takes one
    file = asked.resolve()
    frame = _read(file)
    listed_paths = [Path(os.path.abspath(file.parent / path)) for path in frame["path"]]
    _refuse_missing(file, listed_paths)
    base = Path(os.path.commonpath([path.parent for path in listed_paths]))
    frame = frame.assign(path=relative_names(listed_paths, base)).sort_values("path")
    keys = frame["path"].tolist()
    twice = frame["path"].duplicated()
    if twice.any():
        raise DataError(f"{file}: {keys[int(twice.argmax())]} is in more than one row; keep one of them")
    paths = [base / key for key in keys]
    splits, groups = (frame[name].tolist() if name in frame else None for name in OPTIONAL)
    rows = rows_of(file, keys, frame["label"].tolist(), splits, groups)
    content, equal, states = files_of(paths, base)
    listed = Listed(
        asked=f"table:{asked}",
        name=file.stem,
        root=file,
        class_names=rows.class_names,
        labels=rows.labels,
        keys=keys,
        fingerprint=hashlib.sha256(f"{content}\n{rows.text}\n".encode()).hexdigest(),
        equal=equal,
        read=lambda i: read_image(paths[i], states[i]),
        source=lambda i: str(paths[i]),
        largest=lambda limit: largest_sides(paths, content, limit, states),
        folder=base,
        given=rows.given,
        groups=rows.groups,
        spellings=rows.alike,
    )
    return own_dataset(listed, split_id, folders.store)


def _read(file: Path) -> "pd.DataFrame":
    """The columns of a table that are known here, as text; gaps are empty.

    Raises:
        DataError: it is missing, of another kind or empty, lacks a column, or one holds neither text nor
            whole numbers.
    """
    import pandas as pd

    if file.suffix.lower() not in ENDINGS:
        raise DataError(f"{file}: should end in one of {', '.join(ENDINGS)}")
    try:
        if file.suffix.lower() == ".parquet":
            read = read_parquet(file, file.read_bytes()).replace_schema_metadata(None)
            frame = read.to_pandas(integer_object_nulls=True)  # whole numbers stay whole beside gaps
        else:
            separator = "\t" if file.suffix.lower() == ".tsv" else ","
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
                text: dict[str, Any] = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
                frame = pd.read_csv(file, sep=separator, index_col=False, **text)
            if "label" in frame:
                frame["label"] = frame["label"].map(text_of_csv, na_action="ignore")
    except FileNotFoundError as error:
        raise DataError(f"{file}: is missing") from error
    except StoreError as error:
        raise DataError(str(error)) from error
    except pd.errors.ParserWarning as error:
        raise DataError(f"{file}: has rows with more fields than its first line names") from error
    except (OSError, ValueError) as error:  # pandas' and pyarrow's own errors are ValueErrors
        raise DataError(f"{file}: cannot be read as a table ({' '.join(str(error).split())})") from error
    columns = list(map(str, frame.columns))
    for name in NEEDED:
        if name not in columns:
            raise DataError(
                f"{file}: has no column {name!r}{did_you_mean(name, columns)} (its columns: "
                f"{', '.join(columns)}); needed are path and label, and read are split and group as well"
            )
    for name in (name for name in columns if name not in (*NEEDED, *OPTIONAL)):
        if name.rpartition(".")[0] in (*NEEDED, *OPTIONAL) and name.rpartition(".")[2].isdecimal():
            raise DataError(f"{file}: has two columns {name.rpartition('.')[0]!r}; keep one of them")
        meant = name.strip().lower().removesuffix("s")
        if meant in OPTIONAL and meant not in columns:
            raise DataError(f"{file}: column {name!r} would not be read; name it {meant!r}, or leave it out")
    if frame.empty:
        raise DataError(f"{file}: has no rows")
    known = [name for name in (*NEEDED, *OPTIONAL) if name in columns]
    filled = frame[known].astype(object).where(frame[known].notna(), "")
    return pd.DataFrame({name: as_text(file, name, filled[name].tolist()) for name in known})


def _refuse_missing(file: Path, paths: list[Path]) -> None:
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{file}: {len(missing)} of {len(paths)} paths are no files (first: {missing[0]}); "
            f"paths count from the table's folder, {file.parent}"
        )

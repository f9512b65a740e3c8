"""Reading Parquet files, which somebody else may have written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.errors import StoreError, first_line
from bench.files import read_regular

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["whole", "number", "text", "yes or no"]
MOST_VALUES = 100_000_000
# A few hundred bytes can hold a value a billion times, or a page that is unpacked to gigabytes.
BYTES_A_VALUE = 16


def read_parquet(
    path: Path, content: bytes, wanted: Sequence[str] | None = None, most: int = MOST_VALUES
) -> "pa.Table":
    """The content of a Parquet file, which came from `path`.

    Args:
        wanted: columns to read as far as they are there; None reads all.
        most: a file that says that it holds more values than this is not unpacked.

    Raises:
        StoreError: it is damaged, or too large when unpacked.
    """
    import pyarrow as pa
    import pyarrow.parquet

    try:
        # Unlike `read_table` this loads nothing that reads folders of files, which takes half a second.
        file = pa.parquet.ParquetFile(pa.BufferReader(content))
        _check_size(file.metadata, most)
        names = file.schema_arrow.names
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f'two columns are named "{min(twice)}"')
        here = None if wanted is None else [name for name in wanted if name in names]
        return file.read(here, use_threads=False)
    except (pa.ArrowException, OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise StoreError(f"{path}: cannot be read ({first_line(error)})") from error


def columns_of(
    path: Path, content: bytes, needed: Mapping[str, Kind], others: Mapping[str, Kind] | None = None
) -> "pa.Table":
    """Columns of the content of a Parquet file of a run store.

    Args:
        needed, others: what each column holds, of those that have to be there and of those that may be.

    Raises:
        StoreError: as `read_parquet`; a column is missing or holds something else.
    """
    kinds = {**needed, **(others or {})}
    table = read_parquet(path, content, list(kinds))
    for name, kind in kinds.items():
        if name in table.column_names:
            _check_kind(path, table, name, kind)
        elif name in needed:
            raise StoreError(f'{path}: has no column "{name}"')
    # What the file says to pandas goes wrong in many ways where it is damaged, and is not needed.
    return table.replace_schema_metadata(None)


def read_columns(
    path: Path, needed: Mapping[str, Kind], others: Mapping[str, Kind] | None = None
) -> "pa.Table | None":
    """As `columns_of`, of a file that is read at once, as another process may put a new one in its place;
    None where it is not there."""
    try:
        content = read_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    return columns_of(path, content, needed, others)


def _check_size(metadata: "pa.parquet.FileMetaData", most: int) -> None:
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    chunks = [group.column(k) for group in groups for k in range(group.num_columns)]
    values = max(metadata.num_rows, sum(chunk.num_values for chunk in chunks))
    unpacked = sum(chunk.total_uncompressed_size for chunk in chunks)
    if values > most or unpacked > BYTES_A_VALUE * most:
        raise ValueError(
            f"it says that it holds {values} values in {unpacked} bytes; at most {most} values are read"
        )


def _check_kind(path: Path, table: "pa.Table", name: str, kind: Kind) -> None:
    import pyarrow as pa

    column = table[name]
    is_whole, is_float = pa.types.is_integer(column.type), pa.types.is_floating(column.type)
    fits = {
        "whole": is_whole and not column.null_count,
        "number": is_whole or is_float,
        "text": pa.types.is_string(column.type) or pa.types.is_large_string(column.type),
        "yes or no": pa.types.is_boolean(column.type) and not column.null_count,
    }
    if not fits[kind]:
        raise StoreError(f'{path}: column "{name}" should be {kind} in every row, not {column.type}')

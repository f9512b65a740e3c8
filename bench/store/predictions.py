"""The predictions of a network on a test split, as the store keeps them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.files import staged

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1


def save_predictions(columns: "Mapping[str, np.ndarray]", path: Path) -> None:
    """Write the columns of `bench.metrics.accuracy.compact` as Parquet, in about 5 bytes an image.

    Raises:
        StoreError: it cannot be written.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False)
    table = table.replace_schema_metadata({**table.schema.metadata, "format": str(FORMAT)})
    with staged(path) as part:
        pq.write_table(
            table,
            part,
            compression="zstd",
            compression_level=19,
            use_dictionary=["predicted", "rank"],
            # Splitting the two bytes of a float16 puts its slowly changing half beside its like.
            use_byte_stream_split=["confidence", "log_prob"],
            write_statistics=False,
        )

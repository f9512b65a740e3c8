"""The true labels of the test splits of a run store, and the names of the classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import StoreError, warn
from bench.escape import visible
from bench.files import staged, write_json
from bench.store.layout import Layout
from bench.store.parquet import read_columns
from bench.store.reading import read
from bench.store.records.base import FORMAT, Data
from bench.store.records.notes import ClassNames

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa


class Labels(Layout):
    """One file a dataset, split and content."""

    def labels(self, data: Data) -> "pd.DataFrame":
        """The true label of each test image; where somebody has looked, whether it is a duplicate; and where
        some belong together, as images of one patient, the number of its group.

        Raises:
            StoreError: the file cannot be read.
        """
        path = self.labels_of(data.key)
        table = read_labels(path)
        if len(table) != data.test_images:
            raise StoreError(f"{path}: {len(table)} labels for {data.test_images} test images")
        return table.to_pandas(use_threads=False)

    def class_names(self, data: Data) -> list[str] | None:
        """The names of the classes; None where the store has none."""
        path = self.class_names_of(data.key)
        return read(path, ClassNames).classes if path.exists() else None

    def write_labels(
        self,
        dataset: str,
        split_id: str,
        fingerprint: str,
        labels: "np.ndarray",
        duplicates: "np.ndarray | None",
        class_names: Sequence[str] = (),
        groups: "np.ndarray | None" = None,
    ) -> None:
        """Store the test labels of a split; `duplicates` are positions within it, `groups` int64 (n,).

        The names of the classes lie beside them, if given: they are for readers, no number depends on them.
        What is there already stays as far as it agrees. What came from another store may be wrong: then it is
        replaced, with a warning, as whoever calls this has the data.
        """
        import numpy as np
        import pandas as pd

        data = (dataset, split_id, fingerprint)
        if class_names:
            self._write_class_names(self.class_names_of(data), class_names)
        path = self.labels_of(data)
        own: dict[str, np.ndarray] = {"label": labels.astype(np.uint16)}
        if duplicates is not None:
            own["duplicate"] = np.isin(np.arange(len(labels)), duplicates)
        if groups is not None:
            own["group"] = np.unique(groups, return_inverse=True)[1].astype(np.int32)
        try:
            table = read_labels(path) if path.exists() else None
        except StoreError as error:
            warn(f"{error}; written anew")
            table = None
        known = {name: table[name].to_numpy() for name in table.column_names} if table is not None else {}
        wrong = [name for name in own if name in known and not np.array_equal(known[name], own[name])]
        if wrong:
            warn(f"{path}: {' and '.join(wrong)} of others than the test images that are here; written anew")
        elif own.keys() <= known.keys():
            return
        with staged(path) as part:
            pd.DataFrame(own if "label" in wrong else known | own).to_parquet(
                part, compression="zstd", index=False
            )

    @staticmethod
    def _write_class_names(path: Path, names: Sequence[str]) -> None:
        try:
            if path.exists():
                if read(path, ClassNames).classes == list(map(visible, names)):
                    return
                warn(f"{path}: not the classes of the images that are here; written anew")
        except StoreError as error:
            warn(f"{error}; written anew")
        write_json(path, {"format": FORMAT, "classes": list(names)})


def read_labels(path: Path) -> "pa.Table":
    """A file of labels: columns label, and duplicate and group where they are known.

    Raises:
        StoreError: it is not there, or is something else.
    """
    table = read_columns(path, {"label": "whole"}, {"duplicate": "yes or no", "group": "whole"})
    if table is None:
        raise StoreError(f"{path}: cannot be read (it is not there)")
    return table

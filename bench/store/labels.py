"""The true labels of the test splits of a run store, and the names of the classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import StoreError
from bench.files import staged, write_json
from bench.store.layout import Layout
from bench.store.parquet import read_columns
from bench.store.reading import read
from bench.store.records.base import FORMAT, Data
from bench.store.records.notes import ClassNames

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Labels(Layout):
    """One file a dataset, split and content."""

    def labels(self, data: Data) -> "pd.DataFrame":
        """The true label of each test image; where somebody has looked, whether it is a duplicate; and where
        some belong together, as images of one patient, the number of its group.

        Raises:
            StoreError: the file cannot be read.
        """
        path = self.labels_of(data.key)
        table = read_columns(path, {"label": "whole"}, {"duplicate": "yes or no", "group": "whole"})
        if table is None:
            raise StoreError(f"{path}: cannot be read (it is not there)")
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
        """Store the test labels of a split once; `duplicates` are positions within it, `groups` int64 (n,).

        The names of the classes lie beside them, if given: they are for readers, no number depends on them.
        """
        import numpy as np
        import pandas as pd

        data = (dataset, split_id, fingerprint)
        names = self.class_names_of(data)
        if class_names and not names.exists():
            write_json(names, {"format": FORMAT, "classes": list(class_names)})
        path = self.labels_of(data)
        if path.exists() and (groups is None or self._has_groups(path)):
            return
        frame = pd.DataFrame({"label": labels.astype(np.uint16)})
        if duplicates is not None:
            frame["duplicate"] = np.isin(np.arange(len(labels)), duplicates)
        if groups is not None:
            frame["group"] = np.unique(groups, return_inverse=True)[1].astype(np.int32)
        with staged(path) as part:
            frame.to_parquet(part, compression="zstd", index=False)

    @staticmethod
    def _has_groups(path: Path) -> bool:
        """Whether a file of labels says which images belong together; earlier versions did not write it."""
        table = read_columns(path, {"label": "whole"}, {"group": "whole"})
        return table is not None and "group" in table.column_names

"""What lies beside the records of a run store: predictions, probabilities, learning curves, tables."""

from collections.abc import Callable, Mapping
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING

from bench.errors import StoreError, first_line
from bench.files import require_regular, staged
from bench.spec.job import CLEAN, evaluation_id
from bench.store.job_files import JobFiles
from bench.store.layout import Layout
from bench.store.parquet import Kind, read_columns
from bench.store.predictions import save_predictions
from bench.store.records.external import ExternalRecord
from bench.store.records.trials import Result

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

PREDICTIONS: dict[str, Kind] = {"predicted": "whole", "rank": "whole"}
PREDICTIONS |= dict.fromkeys(("confidence", "log_prob"), "number")
LOGGED: dict[str, Kind] = dict.fromkeys(("epoch", "lr", "images_per_s", "val_top1", "val_nll"), "number")
AVERAGES: dict[str, Kind] = {"run_a": "text", "run_b": "text", "top1": "number"}
WEIGHTS: dict[str, Kind] = {"weights_a": "text", "weights_b": "text"}
REACH: dict[str, Kind] = {"run": "text", "layer": "whole"}
REACH |= dict.fromkeys(("depth", "gradient", "attention"), "number")


class Artefacts(Layout):
    """Arrays and tables, each written whole or not at all."""

    def predictions(self, record: Result | ExternalRecord) -> "pd.DataFrame | None":
        """One row a test image (`bench.metrics.accuracy.compact`); None where they are not there.

        External predictions may have the column `predicted` alone.
        """
        if isinstance(record, ExternalRecord):
            path = self.predictions_of("brought", record.id)
            return _frame(read_columns(path, {"predicted": "whole"}, PREDICTIONS))
        return _frame(
            read_columns(self.evaluation_files(record.id, record.condition).predictions, PREDICTIONS)
        )

    def prediction_columns(self, record: Result) -> "dict[str, np.ndarray] | None":
        """The columns of `predictions`, for whoever reads those of many trials: it takes half as long."""
        table = read_columns(self.evaluation_files(record.id, record.condition).predictions, PREDICTIONS)
        return None if table is None else {name: table[name].to_numpy() for name in table.column_names}

    def history(self, run: str) -> "pd.DataFrame | None":
        """The learning curve of a trial, one row a logged step; None where it has none.

        Raises:
            StoreError: the file is damaged.
        """
        return _frame(read_columns(self.files(run).history, {"step": "whole", "loss": "number"}, LOGGED))

    def evaluation_files(self, run: str, condition: str = CLEAN) -> JobFiles:
        """Where predictions of a trial lie; those of format 1 lie beside the trial."""
        files = self.evaluation_folder(run, condition)
        return self.files(run) if condition == CLEAN and not files.record.exists() else files

    def evaluation_folder(self, run: str, condition: str) -> JobFiles:
        """Where the files of an evaluation of a trial lie, once it is there."""
        return JobFiles(self.folder_of("evaluations", evaluation_id(run, condition)))

    def has_probabilities(self, run: str) -> bool:
        """Whether the probabilities of a trial are there; they are large, and not committed."""
        return self.evaluation_files(run).probabilities.exists()

    def probabilities(self, run: str) -> "np.ndarray":
        """The probabilities of a trial, float32 (test images, classes).

        Raises:
            StoreError: the file cannot be read.
        """
        import numpy as np

        path = self.evaluation_files(run).probabilities
        try:
            require_regular(path)
            # Mapped, as the header may promise more than is there; objects, which are pickled, are refused.
            return np.lib.format.open_memmap(path, mode="r").astype(np.float32)
        # NumPy reads the header as it would Python.
        except (OSError, ValueError, TypeError, OverflowError, SyntaxError, TokenError) as error:
            raise StoreError(f"{path}: cannot be read ({first_line(error)})") from error

    def averages(self) -> "pd.DataFrame | None":
        """Accuracies of averages of two networks (run_a, run_b, top1), and the checksums of their weights
        where they are kept (weights_a, weights_b); None where there are none.

        Raises:
            StoreError: the file is damaged.
        """
        path = self.averages_file
        # Earlier versions kept them in the table alone.
        path = path if path.exists() else self.table_of("ensembles", ".parquet")
        return _frame(read_columns(path, AVERAGES, WEIGHTS))

    def write_averages(self, averages: "pd.DataFrame") -> None:
        """Store the accuracies of averages of two networks, in place of those that were there."""
        _write(averages, self.averages_file)

    def reach(self) -> "pd.DataFrame | None":
        """How far the layers of trained networks look (see `bench.analysis.claims.contestants`); None where
        nobody has measured it.

        Raises:
            StoreError: the file is damaged.
        """
        return _frame(read_columns(self.reach_file, REACH, {"weights": "text"}))

    def write_reach(self, reach: "pd.DataFrame") -> None:
        """Store how far layers look, in place of what was there."""
        _write(reach, self.reach_file)

    def write_predictions(
        self, files: JobFiles, predictions: "Mapping[str, np.ndarray]", probabilities: "np.ndarray | None"
    ) -> None:
        """Store what an evaluation predicts; `probabilities` are float16 (test images, classes), where they
        are known."""
        import numpy as np

        save_predictions(predictions, files.predictions)
        if probabilities is None:
            return
        with staged(files.probabilities) as part, part.open("wb") as file:
            np.save(file, probabilities)

    def write_samples(self, profile: str, samples: list[list[float]] | None) -> None:
        """Store the ms of every step of a profile (process, step, ms); None where it is not timed."""
        if samples is None:
            self.samples_of(profile).unlink(missing_ok=True)
            return
        import pandas as pd

        steps = [(p, s, ms) for p, process in enumerate(samples) for s, ms in enumerate(process)]
        frame = pd.DataFrame(steps, columns=["process", "step", "ms"])
        _write(frame.astype({"process": "int16", "step": "int32"}), self.samples_of(profile))

    def write_table(self, name: str, suffix: str, write: Callable[[Path], None]) -> Path:
        """Have `write` write a table to the path it is given; returns where it then lies."""
        path = self.table_of(name, suffix)
        with staged(path) as part:
            write(part)
        return path


def _write(frame: "pd.DataFrame", path: Path) -> None:
    with staged(path) as part:
        frame.to_parquet(part, compression="zstd", index=False)


def _frame(table: "pa.Table | None") -> "pd.DataFrame | None":
    return None if table is None else table.to_pandas(use_threads=False)

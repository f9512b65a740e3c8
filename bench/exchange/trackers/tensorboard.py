"""TensorBoard: event files in FOLDER/SUITE/CELL/REPLICATE; `tensorboard --logdir FOLDER` shows them."""

import shutil
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from bench.exchange.trackers import Run


def open_tracker(folder: Path) -> "TensorBoard":
    """TensorBoard's event files in a folder."""
    return TensorBoard(folder)


class TensorBoard:
    """See `bench.exchange.trackers.Tracker`. A report lies in SUITE/report, and is shown as text."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, run: Run) -> bool:
        """Whether the run has a folder."""
        return self._of(run).exists()

    def write(self, run: Run) -> None:
        """Scalars of the history, the final metrics beside the configuration, and the tags as text."""
        with SummaryWriter(str(self._of(run))) as writer:
            for step, row in run.history:
                for name, value in row.items():
                    writer.add_scalar(f"history/{name}", value, step)
            metrics = {f"final/{name}": value for name, value in run.metrics.items()}
            writer.add_hparams(run.config | run.tags, metrics, run_name=".")
            writer.add_text("tags", "\n".join(f"- {name}: {value}" for name, value in run.tags.items()))

    def attach(self, project: str, report: Path) -> None:
        """A copy of the report, and its text."""
        folder = self._folder / project / "report"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(report, folder)
        with SummaryWriter(str(folder)) as writer:
            writer.add_text("report", (report / "report.md").read_text(encoding="utf-8"))

    def _of(self, run: Run) -> Path:
        return self._folder / run.project / run.group / run.name

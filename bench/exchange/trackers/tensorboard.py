"""TensorBoard: event files in FOLDER/SUITE/CELL/REPLICATE; `tensorboard --logdir FOLDER` shows them."""

import shutil
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from bench.exchange.trackers import Log, Run


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

    def remove(self, run: Run) -> None:
        """Its folder."""
        shutil.rmtree(self._of(run))

    def begin(self, run: Run) -> Log:
        """Its folder."""
        return Events(self._of(run), run)

    def attach(self, project: str, report: Path) -> None:
        """A copy of the report, and its text."""
        folder = self._folder / project / "report"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(report, folder)
        with SummaryWriter(str(folder)) as writer:
            writer.add_text("report", (report / "report.md").read_text(encoding="utf-8"))

    def _of(self, run: Run) -> Path:
        return self._folder / run.project / run.group / run.name


class Events:
    """See `bench.exchange.trackers.Log`."""

    def __init__(self, folder: Path, run: Run) -> None:
        self._run, self._writer = run, SummaryWriter(str(folder))
        self._writer.add_text("tags", "\n".join(f"- {name}: {value}" for name, value in run.tags.items()))

    def row(self, step: int, numbers: dict[str, float]) -> None:
        """Scalars, which are on the disk when this returns."""
        for name, value in numbers.items():
            self._writer.add_scalar(f"history/{name}", value, step)
        self._writer.flush()

    def finish(self, metrics: dict[str, float], outcome: str) -> None:
        """The final metrics beside configuration and tags."""
        final = {f"final/{name}": value for name, value in metrics.items()}
        settings = self._run.config | self._run.tags | {"outcome": outcome}
        self._writer.add_hparams(settings, final, run_name=".")
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

"""The files of a trial or an evaluation: what it leaves, and what only an unfinished one has."""

from pathlib import Path

UNFINISHED = (
    "checkpoint.*",
    "training.json",
    "logits-*.pt",
    "error.*",
    "looks.json",
    "elapsed.json",
    ".*.part*",
)


class JobFiles:
    """Where the files of a job lie, whether they are there or not.

    Attributes:
        record: written last; it makes the job count.
        error, traceback: what went wrong when it was last tried.
        elapsed: how long earlier processes were at it.
        history: the learning curve of a trained network.
        weights: of the network or probe, safetensors.
        checkpoint: from which training goes on.
        training: what training came to, from its end until there is the record.
        predictions, probabilities: on the test split, of an evaluation.
        looks: how often it has looked at the test set.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = folder / "record.json"
        self.error = folder / "error.json"
        self.traceback = folder / "error.txt"
        self.elapsed = folder / "elapsed.json"
        self.history = folder / "history.parquet"
        self.weights = folder / "weights.safetensors"
        self.checkpoint = folder / "checkpoint.pt"
        self.training = folder / "training.json"
        self.predictions = folder / "predictions.parquet"
        self.probabilities = folder / "probabilities.npy"
        self.looks = folder / "looks.json"

    def logits(self, split: str) -> Path:
        """Logits of the first images of a split, where evaluating it was stopped."""
        return self.folder / f"logits-{split}.pt"

    def unfinished(self) -> list[Path]:
        """What is there that only an unfinished job needs."""
        there = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        return [path for path in there if any(path.match(pattern) for pattern in UNFINISHED)]

    def tidy(self) -> None:
        """Remove it."""
        for path in self.unfinished():
            path.unlink(missing_ok=True)

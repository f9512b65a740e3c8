"""The files of one run: what it leaves, and what only an unfinished one has."""

from pathlib import Path

UNFINISHED = (
    "checkpoint.*",
    "training.json",
    "logits-*.pt",
    "error.*",
    "evaluations.json",
    "elapsed.json",
    ".*.part*",
)


class RunFiles:
    """Where the files of a run lie, whether they are there or not.

    Attributes:
        record: written last; it makes the run count.
        history: the learning curve of a trained network.
        weights: of the network or probe, safetensors.
        predictions, probabilities: on the test split.
        checkpoint: from which training goes on.
        training: what training came to, from its end until the run is finished.
        error, traceback: what went wrong when it was last tried.
        elapsed: how long earlier processes were at it.
        evaluations: how often it has looked at the test set.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = folder / "record.json"
        self.history = folder / "history.parquet"
        self.weights = folder / "weights.safetensors"
        self.predictions = folder / "predictions.parquet"
        self.probabilities = folder / "probabilities.npy"
        self.checkpoint = folder / "checkpoint.pt"
        self.training = folder / "training.json"
        self.error = folder / "error.json"
        self.traceback = folder / "error.txt"
        self.elapsed = folder / "elapsed.json"
        self.evaluations = folder / "evaluations.json"

    def logits(self, split: str) -> Path:
        """Logits of the first images of a split, where evaluating it was stopped."""
        return self.folder / f"logits-{split}.pt"

    def tidy(self) -> None:
        """Remove what only an unfinished run needs."""
        for path in self.folder.iterdir():
            if any(path.match(pattern) for pattern in UNFINISHED):
                path.unlink(missing_ok=True)

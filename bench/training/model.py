"""What training ends with: a model that predicts, and what training came to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from torch import Tensor

from bench.files import staged

HISTORY = ("step", "epoch", "loss", "lr", "images_per_s", "val_top1", "val_nll")


class Model(Protocol):
    """A trained network, or what reads frozen features."""

    def logits(self, split: str) -> np.ndarray:
        """Logits of the images of a split that are in use, float32, shape (n, outputs).

        Raises:
            Stopped: the observer asked for it; what was done is not done again.
        """

    def by_head(self, split: str) -> dict[str, np.ndarray]:
        """As `logits`, by head: "all" is what `logits` gives, beside it each where there are more.

        Of a network with a distillation token they are "class" and "distillation"; beside what reads frozen
        features there is "class_mean", the class whose mean feature is nearest.
        """

    def tensors(self) -> Mapping[str, Tensor]:
        """The weights to store."""

    def details(self) -> dict[str, Any]:
        """Circumstances for the record."""


@dataclass(frozen=True)
class Training:
    """What training came to.

    Attributes:
        weights_sha256: of the file in which the weights are stored, once they are.
        images_per_s: without the warming up; None where the network was not trained.
        seconds: spent on training steps, in all processes; `earlier_seconds`, before this one.
        metrics: val_top1 and val_nll of the weights that count, where training has looked at val.
        details: whatever else the record is to tell.
    """

    images_seen: int
    weights_sha256: str = ""
    steps: int | None = None
    epochs: int | None = None
    images_per_s: float | None = None
    seconds: float = 0.0
    earlier_seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


def write_history(history: list[dict[str, float]], path: Path) -> None:
    """Store the learning curve, a row for each of `bench.training.loop.Trained.history`.

    Raises:
        StoreError: it cannot be written.
    """
    with staged(path) as part:
        pd.DataFrame(history, columns=list(HISTORY)).to_parquet(part, compression="zstd", index=False)

"""A trial: what a suite asks for, and what it is once its data and weights are known."""

from dataclasses import dataclass, field
from typing import Any

from bench.errors import BenchError
from bench.spec.recipe import Recipe

# Raised when the meaning of a trial's number changes: the same fields would then give another result.
# 2: random crops are resampled by Pillow's kernel, antialiased, as the images of evaluation are.
TRIAL_FORMAT = 2


@dataclass(frozen=True)
class Trial:
    """One training run as the suite asks for it, before data and weights are looked at."""

    suite: str
    comparison: str
    contestant: str
    title: str
    model: str
    weights: str
    dataset: str
    split_id: str | None
    shots: int | None
    replicate: int
    recipe: Recipe
    input_size: int
    precision: str
    keep_weights: bool = True

    @property
    def where(self) -> str:
        """The trial's place in its suite, for messages."""
        shots = "all images" if self.shots is None else f"{self.shots} per class"
        return f"{self.comparison}: {self.title}, {shots}, replicate {self.replicate}"


@dataclass(frozen=True)
class Resolved:
    """A trial whose data and weights are known: plain data from which it can be run anywhere."""

    id: str
    trial: Trial
    identity: dict[str, Any] = field(hash=False)
    dataset: str
    train_images: int
    classes: int


@dataclass(frozen=True)
class Unresolved:
    """A trial whose data or weights are not here, and why.

    `sketch` is what is known of it where only the weights are missing: its id is not the trial's.
    """

    trial: Trial
    reason: BenchError
    sketch: Resolved | None = None

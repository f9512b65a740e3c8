"""Jobs: units of work, as plain data from which each can be done anywhere."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

from bench.errors import BenchError
from bench.files import digest
from bench.spec.kfold import read_kfold
from bench.spec.recipe import Recipe

# Raised when the meaning of a trial's number changes: the same fields would then give another result.
# 2: random crops are resampled by Pillow's kernel, antialiased, as the images of evaluation are.
TRIAL_FORMAT = 2
# The same for an evaluation of one trial.
EVALUATION_FORMAT = 1
# The condition of a test split as it is.
CLEAN = "clean"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One unit of work.

    Attributes:
        kind: what is done; jobs of a kind are stored alike.
        identity: everything that decides the result.
        id: the digest of the identity, under which the result is stored.
        needs: ids of the jobs that have to be finished before.
        purpose: "search" for a job that only serves to choose a value; it never sees the test split.
    """

    kind: ClassVar[Literal["train", "evaluate", "profile"]]
    identity: dict[str, Any] = field(hash=False)
    needs: tuple[str, ...] = ()
    purpose: Literal["report", "search"] = "report"

    @cached_property
    def id(self) -> str:
        """See the class."""
        return digest(self.identity)


@dataclass(frozen=True)
class Trial:
    """One training run as the suite asks for it, before data and weights are looked at.

    Attributes:
        tuned: values of its recipe are still to be chosen by the search of its comparison.
        optional: it is run only if a contrast of its cell is undecided without it.
        teacher: the trial of the same subset and replicate that it learns from, if its recipe distils.
        tried: of a search, the values that it is trained with, in words.
    """

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
    conditions: tuple[str, ...] = (CLEAN,)
    tuned: bool = False
    optional: bool = field(default=False, compare=False)
    teacher: "Trial | None" = None
    tried: str = ""

    @property
    def key(self) -> tuple[str, int | None, str]:
        """Its cell: comparison, images per class and contestant."""
        return self.comparison, self.shots, self.contestant

    @property
    def where(self) -> str:
        """The trial's place in its suite, for messages."""
        shots = "all images" if self.shots is None else f"{self.shots} per class"
        at = read_kfold(self.split_id)
        fold = "" if at is None or at.fold is None else f" fold {at.fold}"
        return f"{self.comparison}: {self.title}, {shots}, replicate {self.replicate}{fold}"


@dataclass(frozen=True, kw_only=True)
class TrainJob(Job):
    """A trial whose data and weights are known.

    Attributes:
        dataset: the name that its results carry.
        held_out: of a search job, how many images of the subset are not trained on but judge it; None where
            val does.
        teacher: whose outputs it learns from; of a search job one that was trained on the same images.
        students: planned jobs that learn from it.
    """

    kind = "train"
    trial: Trial
    dataset: str
    train_images: int
    classes: int
    held_out: int | None = None
    teacher: "TrainJob | None" = None
    students: "tuple[TrainJob, ...]" = ()

    @property
    def where(self) -> str:
        """Its place in its suite, for messages."""
        how = self.identity.get("search")
        if how is None:
            return self.trial.where
        fold = f", fold {how['fold'] + 1} of {how['folds']}" if "fold" in how else ""
        return f"{self.trial.where.rpartition(',')[0]}, search: {self.trial.tried}{fold}"

    @property
    def training(self) -> "TrainJob":
        """Itself: the training that a trial begins with."""
        return self


@dataclass(frozen=True, kw_only=True)
class EvaluateJob(Job):
    """Looking at the test split under one condition with the model of a finished trial."""

    kind = "evaluate"
    training: TrainJob
    condition: str

    def __post_init__(self) -> None:
        if self.training.purpose != "report":
            raise ValueError("a search job never sees the test split")


def evaluations(training: TrainJob) -> list[EvaluateJob]:
    """The jobs of evaluating a trial under each of its conditions, "clean" first."""
    return [
        EvaluateJob(
            identity=evaluation_identity(training.id, condition),
            needs=(training.id,),
            training=training,
            condition=condition,
        )
        for condition in training.trial.conditions
    ]


def evaluation_identity(trial: str, condition: str) -> dict[str, Any]:
    """Everything that decides the result of an evaluation; `trial` is the id of the trial."""
    return {"evaluation_format": EVALUATION_FORMAT, "trial": trial, "condition": condition}


def evaluation_id(trial: str, condition: str) -> str:
    """The id of the evaluation of a trial, by the trial's id."""
    return digest(evaluation_identity(trial, condition))


@dataclass(frozen=True)
class Unresolved:
    """A trial whose data or weights are not here, and why; or one whose recipe is still being chosen.

    `sketch` is what is known of it where only the weights or the choice are missing: its id is not the
    trial's. `waiting`: it is known once other jobs are done.
    """

    trial: Trial
    reason: BenchError
    sketch: TrainJob | None = None
    waiting: bool = False

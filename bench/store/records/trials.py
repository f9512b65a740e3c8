"""Trials, their evaluations, and the two joined."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from bench.metrics.accuracy import at_chance
from bench.store.records.base import Amount, Circumstances, Count, Data, Id, Share, Stored, SubsetData


class TrialData(SubsetData):
    """With the val images; `overlap` counts what is wrong with one's own images."""

    val_images: Count
    overlap: dict[str, Count] = {}


class Identity(Stored):
    """The fields that make the id of a trial: everything that decides its result."""

    recipe: dict[str, Any]
    input_size: Count
    precision: str
    shots: Count | None
    draw_seed: Count | None
    seed: Count | None
    model: dict[str, Any] = {}
    weights: str | None = None
    dataset: str | None = None
    split_id: str | None = None
    teacher: Id | None = None


class TrialModel(Stored):
    """The network of a trial."""

    name: str
    title: str
    family: str
    pretraining: str
    params: Count
    kind: str | None = None
    carded: bool = True
    upstream_top1: Share | None = None
    weights: str | None = None
    weights_source: str | None = None


class TestMetrics(Stored):
    """On the test split: shares of images, NLL in nats, and other numbers by name; None if not measured."""

    __pydantic_extra__: dict[str, float | None] = Field(init=False)
    top1: Share | None = None
    top5: Share | None = None
    mean_per_class: Share | None = None
    nll: Amount | None = None
    ece: Share | None = None
    top1_deduplicated: Share | None = None
    class_mean_top1: Share | None = None


class TrainMetrics(Stored):
    """The same on what may be looked at while choosing: val, and the training subset."""

    val_top1: Share | None = None
    val_nll: Amount | None = None
    train_top1: Share | None = None
    train_nll: Amount | None = None


class Metrics(TestMetrics, TrainMetrics):
    """All of a trial."""


class EvaluationRecord(Circumstances):
    """What the model of a trial gave on the test split under one condition; `wall_s` in seconds.

    `test_evaluations` counts how often outputs met the labels for it: a process may have been killed between
    that and its record. The outcome is "diverged" where outputs are not all finite.
    """

    kind: Literal["evaluation"] = "evaluation"
    id: Id
    trial: Id
    condition: str
    outcome: Literal["finished", "diverged"]
    reason: str | None = None
    data: Data
    metrics: TestMetrics
    details: dict[str, Any] = {}
    test_evaluations: Count | None = None
    wall_s: Amount
    weights_sha256: str | None = None
    predictions_sha256: str | None = None

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if self.outcome == "finished":
            needed = ("top1", "top5", "mean_per_class", "nll")
            if lacking := [name for name in needed if getattr(self.metrics, name) is None]:
                raise ValueError(f"metrics.{lacking[0]} is missing")
        return self


class TrialRecord(Circumstances):
    """A trained model; `wall_s` in seconds.

    `stored_side` is the side in px at which images were stored, before what is cut or scaled as they are
    used; records of before it was kept lack it. `evaluation` is the one that format 1 stored with the trial,
    and its predictions beside it.
    """

    kind: Literal["trial"] = "trial"
    id: Id
    outcome: Literal["finished", "diverged"]
    reason: str | None = None
    identity: Identity
    model: TrialModel
    recipe: str
    protocol: str
    selection: str | None = None
    data: TrialData
    stored_side: Count | None = None
    metrics: TrainMetrics
    images_seen: Count | None = None
    steps: Count | None = None
    epochs: Amount | None = None
    train_images_per_s: Amount | None = None
    weights_sha256: str | None = None
    details: dict[str, Any] = {}
    wall_s: Amount
    versions: dict[str, str | None]
    evaluation: EvaluationRecord | None = None


class Result(TrialRecord):
    """A trial with its evaluation under one condition, which a trial that diverged while it trained lacks.

    It is not stored: the store joins it. Outcome, reason and metrics are those of both, and `wall_s` is
    their sum.
    """

    condition: str
    metrics: Metrics

    @staticmethod
    def of(trial: TrialRecord, evaluation: EvaluationRecord | None, condition: str) -> "Result":
        """The two joined."""
        values = _given(trial) | {"evaluation": evaluation, "condition": condition}
        metrics = _given(trial.metrics)
        if evaluation is not None:
            metrics |= _given(evaluation.metrics)
            values |= {
                "outcome": evaluation.outcome,
                "reason": evaluation.reason,
                "wall_s": round(trial.wall_s + evaluation.wall_s, 3),
            }
        values["metrics"] = Metrics.model_construct(**metrics)
        return Result.model_construct(**values)

    def content(self) -> dict[str, Any]:
        """As plain data; of the evaluation only its id, as all else of it is there."""
        own = self.model_dump(by_alias=True, exclude_unset=True, exclude={"evaluation"})
        looks = {"test_evaluations": self.test_evaluations}
        return own | ({"evaluation": self.evaluation.id} | looks if self.evaluation else looks)

    @property
    def top1(self) -> float:
        """Test accuracy; that of guessing where the trial diverged."""
        top1 = self.metrics.top1 if self.outcome == "finished" else None
        return at_chance(self.data.classes)["top1"] if top1 is None else top1

    @property
    def test_evaluations(self) -> int | None:
        """How often the test split was looked at."""
        return self.evaluation.test_evaluations if self.evaluation else 0


def _given(stored: Stored) -> dict[str, Any]:
    """The fields that a record has of its own, without defaults."""
    return {name: getattr(stored, name) for name in stored.model_fields_set}

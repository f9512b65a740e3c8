"""Training the network of a trial."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import TrialError
from bench.metrics.accuracy import score
from bench.spec.job import CLEAN
from bench.training.evaluate import both_heads, predict
from bench.training.group import Group
from bench.training.inputs import Inputs
from bench.training.loop import Diverged, Trained, Trainer
from bench.training.memory import is_out_of_memory, largest_fitting_batch
from bench.training.model import Training, write_history


@dataclass(frozen=True)
class NetworkModel:
    """A trained network and the images it is for."""

    network: nn.Module
    inputs: Inputs

    def logits(self, split: str) -> np.ndarray:
        """See `bench.training.model.Model`."""
        return self.by_head(split)["all"]

    def by_head(self, split: str) -> dict[str, np.ndarray]:
        """See `bench.training.model.Model`."""
        two = hasattr(self.network, "head_dist")
        rows = predict(
            self.network,
            self.inputs.images(split),
            self.inputs.pipeline,
            precision=self.inputs.trial.precision,
            phase=f"evaluating {split}" + f", {self.inputs.condition}" * (self.inputs.condition != CLEAN),
            observer=self.inputs.observer,
            forward=partial(both_heads, self.network) if two else None,
            unfinished=self.inputs.scratch.logits(split),
        )
        heads = ("all", "class", "distillation")
        return dict(zip(heads, rows.swapaxes(0, 1), strict=True)) if two else {"all": rows}

    def tensors(self) -> Mapping[str, Tensor]:
        """See `bench.training.model.Model`."""
        return self.network.state_dict()

    def details(self) -> dict[str, Any]:
        """See `bench.training.model.Model`."""
        on_gpu = self.inputs.device != "cpu"
        return {
            "memory_format": self.inputs.card.memory_format,
            "cudnn_benchmark": torch.backends.cudnn.benchmark if on_gpu else None,
        }


def train_network(inputs: Inputs) -> tuple[NetworkModel, Training]:
    """Train, or go on from the checkpoint; the learning curve is stored.

    Raises:
        Diverged, Stopped: see `bench.training.loop.Trainer.run`; Diverged also where the teacher did.
        TrialError: out of memory.
    """
    with inputs.group() as group:
        model, trained, facts = _train(inputs, group)
    write_history(trained.history, inputs.files.history)
    return model, Training(
        images_seen=trained.images_seen,
        steps=trained.steps,
        epochs=trained.epochs,
        images_per_s=_steady_rate(trained),
        seconds=trained.seconds,
        earlier_seconds=trained.earlier_seconds,
        metrics=_val_metrics(trained),
        details={
            "kept_step": trained.kept_step,
            "train_s": round(trained.seconds, 3),
            **({"teacher": facts} if facts else {}),
            **({"processes": group.size} if group.size > 1 else {}),
        },
    )


def take_part(inputs: Inputs, group: Group) -> None:
    """Do the steps of a training together with the first process of a group, which tells what it came to.

    Raises:
        Diverged, Stopped, TrialError: as `train_network`.
    """
    _train(inputs, group)


def _train(inputs: Inputs, group: Group) -> tuple[NetworkModel, Trained, dict[str, Any] | None]:
    """Model and training, and what is to be told of the teacher."""
    trial = inputs.trial
    teacher = inputs.teacher() if inputs.teacher else None
    model = NetworkModel(inputs.network(), inputs)
    val_labels = inputs.labels("val")

    def validate() -> dict[str, float]:
        logits = model.logits("val")
        if not np.isfinite(logits).all():
            raise Diverged("outputs on val are not all finite")
        return score(logits, val_labels)

    trainer = Trainer(
        model.network,
        inputs.images("train"),
        inputs.labels("train"),
        trial.recipe,
        inputs.pipeline,
        outputs=inputs.outputs,
        seed=inputs.job.identity["seed"],
        precision=trial.precision,
        saved=inputs.files.checkpoint,
        validate=validate if len(val_labels) and group.is_first else None,
        observer=inputs.observer,
        teacher=teacher,
        group=group,
    )
    trained = _run(trainer)
    if trained is None:
        raise TrialError(_advice(trainer, trial.input_size))
    return model, trained, teacher.facts if teacher else None


def _run(trainer: Trainer) -> Trained | None:
    """What training came to; None where memory was not enough.

    The exception, which keeps the memory of the step that failed, is gone by then.
    """
    try:
        return trainer.run()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    return None


def _advice(trainer: Trainer, input_size: int) -> str:
    """Which batch size would have fit; nobody looks for it where other processes would have to take part."""
    count = trainer.group.size
    if count > 1:
        return f"out of memory at batch size {trainer.batch_size} on {count} GPUs; try more of them"
    largest = largest_fitting_batch(trainer.step, trainer.batch_size, input_size)
    advice = (
        f"{largest} would fit: --set recipe.budget.batch_size={largest}" if largest else "not even 1 fits"
    )
    return f"out of memory at batch size {trainer.batch_size}; {advice}"


def _val_metrics(trained: Trained) -> dict[str, float]:
    """Accuracy and NLL on val of the weights that count, if val was looked at: when they were reached."""
    (row,) = [row for row in trained.history if row["step"] == trained.kept_step]
    return {name: row[name] for name in ("val_top1", "val_nll") if not np.isnan(row[name])}


def _steady_rate(trained: Trained) -> float:
    """Images trained in a second, without the first row of the history, which holds the warming up."""
    each = trained.images_seen / trained.steps
    steps = np.diff([0, *(row["step"] for row in trained.history)])
    seconds = steps * each / np.array([row["images_per_s"] for row in trained.history])
    later = slice(1, None) if len(steps) > 1 else slice(None)
    return float(steps[later].sum() * each / seconds[later].sum())

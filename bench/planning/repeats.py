"""Repeats of k-fold: the trials of all folds, and what they come to together."""

from collections.abc import Iterable, Sequence
from typing import Any

from bench.spec.job import TrainJob, Trial, Unresolved
from bench.spec.kfold import KFold, read_kfold


def fold_at(trial: Trial) -> KFold | None:
    """Which fold of which repeat a trial is tested on; None where its images are not in folds."""
    at = read_kfold(trial.split_id)
    return None if at is None or at.fold is None else at


def in_folds(trial: Trial) -> bool:
    """Whether a trial is tested on one fold."""
    return fold_at(trial) is not None


def by_repeat(items: Iterable[TrainJob | Unresolved]) -> list[list[TrainJob | Unresolved]]:
    """Trials, those on the folds of one repeat together and in the order of the folds, others each alone."""
    groups: dict[object, list[TrainJob | Unresolved]] = {}
    for number, item in enumerate(items):
        trial = item.trial
        key = (*trial.key, trial.replicate) if in_folds(trial) else number
        groups.setdefault(key, []).append(item)
    return list(groups.values())


def whole_repeats(jobs: Iterable[TrainJob]) -> list[list[TrainJob]]:
    """The trials of each repeat all of whose folds are among some trials."""
    repeats = []
    for own in by_repeat(jobs):
        trained = [item for item in own if isinstance(item, TrainJob)]
        at = fold_at(trained[0].trial)
        if at is not None and len(trained) == at.folds:
            repeats.append(trained)
    return repeats


def repeat_identity(folds: Sequence[TrainJob]) -> dict[str, Any]:
    """What decides the result of a repeat: that of its folds, by their ids.

    Args:
        folds: the trials of all folds of one repeat, in order.
    """
    first, at = folds[0].identity, fold_at(folds[0].trial)
    assert at is not None
    whole = all(job.identity["shots"] is None for job in folds)
    return {name: value for name, value in first.items() if name != "teacher"} | {
        "split_id": KFold(at.folds).split_id,
        "shots": None if whole else folds[0].trial.shots,
        "seed": None if first["seed"] is None else at.repeat,
        "folds": [job.id for job in folds],
    }

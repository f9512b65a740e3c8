"""Learning rate and momentum as closed forms of the step: nothing to save, nothing to restore."""

import math

from bench.spec.recipe import Schedule

# Smith and Topin (2018), with the constants of torch.optim.lr_scheduler.OneCycleLR.
RISE, START, END, MOMENTUM_HIGH, MOMENTUM_LOW = 0.3, 1 / 25, 1 / 25 / 1e4, 0.95, 0.85


def position(schedule: Schedule, step: int, steps_per_epoch: int) -> int:
    """Where the schedule stands at a step; with `step_per_epoch` it moves on once an epoch only."""
    return step // steps_per_epoch if schedule.step_per_epoch else step


def lr_factor(schedule: Schedule, place: int, total: int) -> float:
    """The learning rate at `place` of `total`, as a fraction of the recipe's."""
    if schedule.name == "constant":
        return 1.0
    if schedule.name == "onecycle":
        return _one_cycle(place, total, START, 1.0, END)
    warmup = round(schedule.warmup * total)
    if place < warmup:
        return (place + 1) / (warmup + 1)
    progress = (place - warmup) / max(1, total - warmup)
    return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * progress)) / 2


def momentum(schedule: Schedule, place: int, total: int) -> float | None:
    """The momentum (Adam's first beta) where the schedule moves it, else None."""
    if schedule.name != "onecycle":
        return None
    return _one_cycle(place, total, MOMENTUM_HIGH, MOMENTUM_LOW, MOMENTUM_HIGH)


def _one_cycle(place: int, total: int, first: float, middle: float, last: float) -> float:
    """Half a cosine from `first` to `middle`, and one from there to `last`."""
    peak, end = RISE * total - 1, total - 1
    if place <= peak:
        return _half_cosine(first, middle, place / peak)
    return _half_cosine(middle, last, (place - peak) / (end - peak))


def _half_cosine(begin: float, end: float, share: float) -> float:
    return end + (begin - end) / 2 * (1 + math.cos(math.pi * share))

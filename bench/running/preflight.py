"""What can be known to fail before the first trial: weights that do not fit, inputs that are too small."""

from collections.abc import Iterable
from functools import partial

import torch

from bench.data.conditions import find_condition
from bench.errors import REFUSALS, InputError, first_line
from bench.networks import make_model
from bench.networks.build import train_both_heads
from bench.planning.plan import Resolver
from bench.spec.job import TrainJob


def check_networks(trials: Iterable[TrainJob], resolver: Resolver) -> None:
    """Make every network of some trials once and pass an image through it, without values, at each size that
    it is to take.

    Raises:
        WeightsError: a weights file is damaged or does not fit.
        InputError: a network cannot be made so, has no token to distil by, does not fit a condition, or its
            input is too small for it.
    """
    seen = set()
    jobs = [job for one in trials for job in (one.teacher, one) if job]
    for job, size in ((one, size) for one in jobs for size in _sizes(one)):
        trial, distill = job.trial, job.trial.recipe.distill
        by_token = distill is not None and distill.by == "token"
        rate, conditions = trial.recipe.drop_path, trial.conditions
        key = (trial.model, trial.weights, size, rate, job.classes, by_token, conditions)
        if key in seen:
            continue
        seen.add(key)
        card, weights = resolver.weights(trial)
        make = partial(
            make_model,
            card,
            weights,
            classes=job.classes,
            input_size=size,
            drop_path=rate,
        )
        if weights.path is None:
            with torch.device("meta"):
                network = make()
        else:
            network = make().to("meta")
        for condition in conditions:
            if problem := find_condition(condition).network_misfit(network):
                raise InputError(
                    f'{trial.suite}: {trial.comparison}: condition "{condition}" does not fit {card.name}: '
                    f"{problem}"
                )
        if by_token:
            train_both_heads(card, network)
        try:
            network.eval()(torch.empty(1, 3, size, size, device="meta"))
        except REFUSALS as error:
            raise InputError(
                f"{trial.suite}: {trial.comparison}: {card.name} takes no input of {size} px "
                f"({first_line(error)})"
            ) from error


def _sizes(job: TrainJob) -> list[int]:
    """The input sizes in px of a trial under all of its conditions, each once."""
    own = job.trial.input_size
    others = (find_condition(one).input_size(own) for one in job.trial.conditions)
    return list(dict.fromkeys((own, *others)))

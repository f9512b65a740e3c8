"""What a model costs, from its card."""

from pathlib import Path
from typing import Any

from bench.errors import REFUSALS, InputError, first_line
from bench.networks import make_model, resolve_weights
from bench.profiling.flops import count
from bench.spec.card import Card


def cost(card: Card, *, classes: int = 1000, input_size: int | None = None) -> dict[str, Any]:
    """Parameters and operations of a model with a head of `classes` outputs, for one image.

    Args:
        card: the model.
        classes: outputs of its head.
        input_size: in px; the card's own where it is None.

    Returns:
        The fields of `bench.profiling.flops.count`, and model, title, family, pretraining, classes and
        input_size.

    Raises:
        InputError: the network cannot be made so, or takes no images of this size.
        CountMismatch: the counters disagree.
    """
    size = input_size or card.input_size
    weights = resolve_weights(card, "none", Path(), download=False)
    network = make_model(card, weights, classes=classes, input_size=size)
    try:
        counted = count(network, size)
    except REFUSALS as error:
        raise InputError(
            f"{card.name}: takes no images of {size} px ({first_line(error)}); its own size is "
            f"{card.input_size} px"
        ) from error
    return {
        "model": card.name,
        "title": card.title,
        "family": card.family,
        "pretraining": card.pretraining,
        "classes": classes,
        "input_size": size,
        **counted,
    }

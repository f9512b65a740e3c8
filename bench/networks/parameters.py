"""How many parameters a model has."""

from functools import cache
from pathlib import Path

import torch

from bench.networks import find_card, make_model, resolve_weights


@cache
def count_parameters(model: str, outputs: int, input_size: int) -> int:
    """Number of parameters of a model with `outputs` classes at an input size in px."""
    card = find_card(model)
    weights = resolve_weights(card, "none", Path(), download=False)
    with torch.device("meta"):
        network = make_model(card, weights, classes=outputs, input_size=input_size)
    return sum(parameter.numel() for parameter in network.parameters())

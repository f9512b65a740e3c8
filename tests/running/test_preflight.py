"""Networks that cannot take a trial's images are found before anything is trained."""

from types import SimpleNamespace

import pytest

from bench.errors import InputError
from bench.networks import find_card, resolve_weights
from bench.running.preflight import check_networks


@pytest.mark.parametrize(
    ("model", "size", "reason"),
    [("densenet121", 8, "too small"), ("halonet26t", 100, "AssertionError")],
)
def test_an_input_that_a_network_refuses_is_one_line(model, size, reason):
    card = find_card(model)
    weights = resolve_weights(card, "none", None, download=False)
    trial = SimpleNamespace(
        model=model,
        weights="none",
        input_size=size,
        recipe=SimpleNamespace(drop_path=0.0, distill=None),
        suite="mine",
        comparison="all",
        conditions=("clean",),
    )
    resolved = SimpleNamespace(trial=trial, classes=10, teacher=None)
    with pytest.raises(InputError, match=f"mine: all: {model} takes no input of {size} px .*{reason}"):
        check_networks([resolved], SimpleNamespace(weights=lambda trial: (card, weights)))

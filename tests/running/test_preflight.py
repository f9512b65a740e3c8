"""Networks that cannot take a trial's images, or a condition, are found before anything is trained."""

from types import SimpleNamespace

import pytest

from bench.errors import InputError
from bench.networks import find_card, resolve_weights
from bench.running.preflight import check_networks


def check(model, size, *conditions):
    card = find_card(model)
    weights = resolve_weights(card, "none", None, download=False)
    trial = SimpleNamespace(
        model=model,
        weights="none",
        input_size=size,
        recipe=SimpleNamespace(drop_path=0.0, distill=None),
        suite="mine",
        comparison="all",
        conditions=("clean", *conditions),
    )
    resolved = SimpleNamespace(trial=trial, classes=10, teacher=None)
    check_networks([resolved], SimpleNamespace(weights=lambda trial: (card, weights)))


@pytest.mark.parametrize(
    ("model", "size", "reason"),
    [("densenet121", 8, "too small"), ("halonet26t", 100, "AssertionError")],
)
def test_an_input_that_a_network_refuses_is_one_line(model, size, reason):
    with pytest.raises(InputError, match=f"mine: all: {model} takes no input of {size} px .*{reason}"):
        check(model, size)


@pytest.mark.parametrize(
    ("model", "tensor"),
    [
        ("crossvit_tiny_240", "pos_embed_0"),
        ("tnt_s_patch16_224", "patch_pos"),
        ("swin_tiny_patch4_window7_224", "relative_position"),
        ("beit_base_patch16_224", "relative_position"),
        ("xcit_nano_12_p16_224", "pos_embed.token_projection"),
        ("eva02_tiny_patch14_224", "rope"),
    ],
)
def test_positions_that_are_not_in_one_tensor_cannot_be_removed(model, tensor):
    message = f'mine: all: condition "no_position" does not fit {model}: positions are in .*{tensor}'
    with pytest.raises(InputError, match=message):
        check(model, 240 if "240" in model else 224, "no_position")


@pytest.mark.parametrize(
    "model", ["vit_micro_nopos_patch4_32", "resnet18", "deit_tiny_distilled_patch16_224"]
)
def test_one_tensor_or_none_is_all_that_removing_positions_takes(model):
    check(model, 32 if "micro" in model else 224, "no_position")

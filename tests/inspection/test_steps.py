"""The steps add up to what `vcbench profile --what cost` counts, and follow the image."""

from pathlib import Path

import pytest
import timm
import torch

from bench.inspection.steps import steps_of
from bench.networks import find_card, make_model, resolve_weights
from bench.profiling.cost import cost
from bench.profiling.flops import count

MODELS = {
    "vit_micro_patch4_32": 100,
    "vit_micro_distilled_patch4_32": 100,
    "resnet18_quarter_cifar": 100,
    "tf_efficientnet_lite0": 1000,
}
OTHERS = {"cait_xxs24_224": {"depth": 2}, "swin_tiny_patch4_window7_224": {"depths": (1, 1, 1, 1)}}


@pytest.mark.parametrize("name", MODELS)
def test_steps_add_up_to_the_cost(name):
    card, classes = find_card(name), MODELS[name]
    size = 64 if name == "tf_efficientnet_lite0" else card.input_size
    network = make_model(
        card, resolve_weights(card, "none", Path(), download=False), classes=classes, input_size=size
    ).eval()
    steps, whole = steps_of(network, size), cost(card, classes=classes, input_size=size)
    assert sum(step.flops for step in steps) == whole["flops"]
    assert sum(step.params for step in steps) == whole["params"]


@pytest.mark.parametrize("name", OTHERS)
def test_steps_of_networks_of_other_forms_add_up(name):
    network = timm.create_model(name, **OTHERS[name]).eval()
    steps, whole = steps_of(network, 224), count(network, 224)
    assert sum(step.flops for step in steps) == whole["flops"]
    assert sum(step.params for step in steps) == whole["params"]


def test_steps_of_a_vit_follow_its_tokens():
    network = timm.create_model("vit_tiny_patch16_224", num_classes=7, depth=2).eval()
    steps = steps_of(network, 224)
    assert [step.part for step in steps] == ["first", "tokens", "block", "block", "end", "head"]
    assert [step.output for step in steps] == [(196, 192), (197, 192), (197, 192), (197, 192), (192,), (7,)]
    assert steps[0].params == 16 * 16 * 3 * 192 + 192 and steps[1].params == 198 * 192
    assert steps[0].flops == 2 * 196 * 768 * 192
    # Q, K, V and output; scores and their products with V; two layers of the MLP.
    assert steps[2].flops == 2 * (4 * 197 * 192**2 + 2 * 197**2 * 192 + 8 * 197 * 192**2)


def test_no_hook_is_left_behind():
    network = timm.create_model("resnet10t").eval()
    steps_of(network, 64)
    assert not any(module._forward_hooks for module in network.modules())
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)

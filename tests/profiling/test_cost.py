"""Costs of the models that have cards, against published figures."""

import pytest
import torch

from bench.networks import find_card, make_model, resolve_weights
from bench.profiling.cost import cost
from bench.profiling.flops_by_module import PARTS

# Parameters with 1000, 100 and 102 classes, and FLOPs (2 x multiply-adds) with 1000, all at 224 px.
# GMACs of ViT-B/16, ViT-L/32 and the ResNets are torchvision's, those of DeiT what its authors print.
PUBLISHED = {
    "vit_base_patch16_224": (86567656, 85875556, 85877094, 35127656448),
    "vit_large_patch32_224": (306535400, 305612900, 305614950, 30755078144),
    "deit_small_patch16_224": (22050664, 21704164, 21704934, 9197764608),
    "deit_tiny_patch16_224": (5717416, 5543716, 5544102, 2507366400),
    "deit_base_patch16_224": (86567656, 85875556, 85877094, 35127656448),
    "deit_base_distilled_patch16_224": (87338192, 85953992, 85957068, 35313623040),
    "resnet50": (25557032, 23712932, 23717030, 8178368512),
    "resnet18": (11689512, 11227812, 11228838, 3628146688),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_flops(name):
    card = find_card(name)
    found = cost(card, classes=1000, input_size=224)
    assert found["params"] == found["trainable_params"] == PUBLISHED[name][0]
    assert found["flops"] == PUBLISHED[name][3]
    assert tuple(found["by_part"]) == PARTS and sum(found["by_part"].values()) == found["flops"]
    attention = found["by_part"]["attention_matrices"]
    assert (attention > 0) == (card.kind == "transformer")
    assert found["by_part"]["other"] == 0


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("classes, column", [(100, 1), (102, 2)])
def test_published_parameters_with_other_heads(name, classes, column):
    card = find_card(name)
    weights = resolve_weights(card, "none", None, download=False)
    with torch.device("meta"):
        network = make_model(card, weights, classes=classes, input_size=224)
    assert sum(p.numel() for p in network.parameters()) == PUBLISHED[name][column]


def test_a_record_says_what_was_counted():
    card = find_card("resnet18")
    found = cost(card, classes=100, input_size=32)
    assert {
        key: found[key] for key in ("model", "title", "family", "pretraining", "classes", "input_size")
    } == {
        "model": "resnet18",
        "title": card.title,
        "family": card.family,
        "pretraining": card.pretraining,
        "classes": 100,
        "input_size": 32,
    }
    assert found["params"] == PUBLISHED["resnet18"][1]
    assert found["counter"].startswith("FlopCounterMode of torch 2.") and "fvcore 0.1.5" in found["counter"]


def test_the_cards_own_input_size_is_the_default():
    card = find_card("resnet18_cifar")
    assert cost(card, classes=10)["input_size"] == card.input_size

"""Models that have no card: timm's own configuration, judged by what the network computes."""

import pytest
import torch

from bench.errors import InputError
from bench.networks import Weights, find_card, make_model

NONE = Weights("none", "none", None, "none (random initialisation)")


def test_the_tag_of_a_card_finds_the_card():
    assert find_card("resnet50.a1_in1k") == find_card("resnet50")


def test_another_tag_is_another_model():
    card = find_card("resnet50.tv_in1k")
    assert (card.name, card.architecture, card.tag) == ("resnet50.tv_in1k", "resnet50", "tv_in1k")
    assert (card.family, card.kind, card.carded, card.licence) == ("ResNet", "cnn", False, "bsd-3-clause")
    assert card.upstream_top1 is None


@pytest.mark.parametrize(
    ("name", "kind", "patch"),
    [
        ("swin_tiny_patch4_window7_224", "transformer", 4),
        ("beit_base_patch16_224", "transformer", 16),
        ("test_resnet", "cnn", None),
        ("mobilenetv3_small_050", "cnn", None),
        ("convnextv2_atto", "cnn", None),
        ("coatnet_nano_rw_224", "unknown", None),  # convolution and attention
        ("mixer_s16_224", "unknown", 16),  # neither
        ("poolformer_s12", "unknown", None),
    ],
)
def test_kind_is_what_the_network_computes(name, kind, patch):
    card = find_card(name)
    assert (card.kind, card.patch, card.carded) == (kind, patch, False)


def test_family_is_the_module_of_timm():
    assert find_card("swin_tiny_patch4_window7_224").family == "swin_transformer"
    assert find_card("deit3_small_patch16_224").family == "DeiT"


def test_another_tag_has_its_own_classes():
    card = find_card("vit_tiny_patch16_224.augreg_in21k")
    with torch.device("meta"):
        assert make_model(card, NONE, classes=None, input_size=224).head.out_features == 21843


def test_without_weights():
    card = find_card("coatnet_0_224")
    assert (card.tag, card.pretraining) == (None, "none")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("vit_bas_patch16_224", 'did you mean "vit_base_patch16_224"?'),
        ("resnet_digit", 'did you mean "resnet_digits"?'),
        ("swin_tinny_patch4_window7_224", 'did you mean "swin_tiny_patch4_window7_224"?'),
        ("convnext_tinny.fb_in1k", 'did you mean "convnext_tiny.fb_in1k"?'),
        ("resnet50.a9_in1k", 'resnet50 has no tag "a9_in1k" in timm; it has a1_in1k'),
        ("../models/resnet50", "neither a card"),
        ("", "neither a card"),
    ],
)
def test_an_unknown_name_gives_the_nearest(name, says):
    with pytest.raises(InputError) as error:
        find_card(name)
    assert says in str(error.value) and f'"{name}"' in str(error.value) and "\n" not in str(error.value)

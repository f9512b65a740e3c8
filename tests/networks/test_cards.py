"""Cards against timm's own configuration, and how a name becomes a card."""

import subprocess
import sys

import pytest
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.errors import InputError
from bench.networks import Weights, find_card, make_model
from bench.networks.from_timm import network_kind
from bench.spec.card import CARDS, Card, list_cards

NONE = Weights("none", "none", None, "none (random initialisation)")

MODELS = [
    "vit_base_patch16_224",
    "vit_small_patch16_224",
    "vit_large_patch32_224",
    "deit_tiny_patch16_224",
    "deit_small_patch16_224",
    "deit_base_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "deit_small_distilled_patch16_224",
    "deit_base_distilled_patch16_224",
    "resnet50",
    "resnet18",
    "convnext_tiny",
    "convnext_base",
    "tf_efficientnet_lite0",
    "tf_efficientnet_lite1",
    "tf_efficientnet_lite2",
    "deit_tiny_patch16_224_lnq",
    "vit_tiny_patch4_32",
    "vit_base_patch4_32",
    "deit_tiny_patch4_32",
    "vit_micro_patch4_32",
    "resnet18_cifar",
    "resnet18_quarter_cifar",
    "resnet50_cifar",
    "vit_depth6_heads12_patch16_224",
    "vit_digits",
    "resnet_digits",
]


def on_meta(card: Card, classes: int | None) -> torch.nn.Module:
    with torch.device("meta"):
        return make_model(card, NONE, classes=classes, input_size=card.input_size)


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_every_model_has_a_card():
    assert set(MODELS) <= set(list_cards())
    assert list_cards() == sorted(list_cards())


@pytest.mark.parametrize("name", list_cards())
def test_card_agrees_with_timm(name):
    card = find_card(name)
    assert card.name == name and card.carded
    settings = timm.get_pretrained_cfg(f"{card.architecture}.{card.tag}" if card.tag else card.architecture)
    assert card.licence == settings.license
    if card.tag:
        assert (card.mean, card.std) == (settings.mean, settings.std)
        assert (3, card.input_size, card.input_size) == settings.input_size
        assert f"timm/{card.architecture}.{card.tag}" == settings.hf_hub_id
        sets = {"in1k": "ImageNet-1k", "in21k": "ImageNet-21k"}
        trained_on = [sets[part] for part in card.tag.split("_") if part in sets]
        assert card.pretraining == ", then ".join(trained_on)
    if card.pretraining == "none":
        assert card.tag is None and card.upstream_top1 is None
    assert (card.upstream_top1 is None) == (card.upstream_source == "")


@pytest.mark.parametrize("name", list_cards())
def test_card_makes_what_it_says(name):
    card = find_card(name)
    network = on_meta(card, 7)
    assert network_kind_on_meta(network, card.input_size) == card.kind
    patches = getattr(network, "patch_embed", None)
    assert (patches.patch_size[0] if patches else None) == card.patch
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert network(torch.empty(2, 3, card.input_size, card.input_size, device="meta")).shape == (2, 7)


def network_kind_on_meta(network: torch.nn.Module, input_size: int) -> str:
    with torch.device("meta"):
        return network_kind(network, input_size)


# For 1000, 100 and 102 classes: published with the models, and equal to torchvision's for vit_b_16, vit_l_32,
# resnet50 and resnet18.
PUBLISHED = {
    "vit_base_patch16_224": (86567656, 85875556, 85877094),
    "vit_large_patch32_224": (306535400, 305612900, 305614950),
    "deit_small_patch16_224": (22050664, 21704164, 21704934),
    "deit_tiny_patch16_224": (5717416, 5543716, 5544102),
    "deit_base_patch16_224": (86567656, 85875556, 85877094),
    "deit_base_distilled_patch16_224": (87338192, 85953992, 85957068),
    "resnet50": (25557032, 23712932, 23717030),
    "resnet18": (11689512, 11227812, 11228838),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_published(name):
    card = find_card(name)
    assert tuple(parameters(on_meta(card, classes)) for classes in (1000, 100, 102)) == PUBLISHED[name]


def test_small_variants_have_their_sizes():
    # kuangliu/pytorch-cifar's ResNet-18 and ResNet-50 for 10 classes.
    assert parameters(on_meta(find_card("resnet18_cifar"), 10)) == 11173962
    assert parameters(on_meta(find_card("resnet50_cifar"), 10)) == 23520842
    tokens, width = 8 * 8 + 1, 192
    vit = on_meta(find_card("vit_tiny_patch4_32"), 10)
    assert vit.pos_embed.shape == (1, tokens, width)
    deit = on_meta(find_card("deit_tiny_patch4_32"), 10)
    assert {k: v.shape for k, v in vit.state_dict().items()} == {
        k: v.shape for k, v in deit.state_dict().items()
    }
    halved = on_meta(find_card("vit_depth6_heads12_patch16_224"), 102)
    assert (len(halved.blocks), halved.blocks[0].attn.num_heads, halved.embed_dim) == (6, 12, 768)
    digits = [parameters(on_meta(find_card(name), 10)) for name in ("vit_digits", "resnet_digits")]
    assert all(count < 600_000 for count in digits)


# Millions of parameters and of multiply-adds at the card's own size, of the networks' authors (README.md of
# models/official/efficientnet/lite in tensorflow/tpu, which counts batch normalisation as well).
@pytest.mark.parametrize(
    ("name", "parameters_m", "mmacs"),
    [
        ("tf_efficientnet_lite0", 4.7, 407),
        ("tf_efficientnet_lite1", 5.4, 631),
        ("tf_efficientnet_lite2", 6.1, 899),
    ],
)
def test_lites_cost_what_their_authors_say(name, parameters_m, mmacs):
    card = find_card(name)
    network = on_meta(card, 1000)
    with FlopCounterMode(display=False) as counter:
        network.eval()(torch.empty(1, 3, card.input_size, card.input_size, device="meta"))
    assert parameters(network) / 1e6 == pytest.approx(parameters_m, abs=0.05)
    assert counter.get_total_flops() / 2e6 == pytest.approx(mmacs, rel=0.06)


def test_the_two_smallest_networks_for_32_px_cost_the_same():
    flops = []
    for name in ("vit_micro_patch4_32", "resnet18_quarter_cifar"):
        with FlopCounterMode(display=False) as counter:
            on_meta(find_card(name), 100)(torch.empty(1, 3, 32, 32, device="meta"))
        flops.append(counter.get_total_flops())
    assert flops[0] == pytest.approx(flops[1], rel=0.05)


def test_cifar_stem_keeps_the_resolution():
    network = on_meta(find_card("resnet18_cifar"), 10)
    seen = {}
    network.layer1.register_forward_hook(lambda module, given, out: seen.update(shape=out.shape))
    network(torch.empty(2, 3, 32, 32, device="meta"))
    assert seen["shape"] == (2, 64, 32, 32)


TOY = """
title = "Toy"
architecture = "resnet18"
family = "ResNet"
kind = "cnn"
input_size = 32
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
pretraining = "none"
licence = "apache-2.0"
[options]
layers = [1, 1, 1, 1]
"""


def test_a_model_is_one_file(tmp_path):
    (tmp_path / "toy.toml").write_text(TOY)
    assert list_cards(tmp_path) == ["toy"]
    card = find_card("toy", tmp_path)
    assert len(on_meta(card, 3).layer1) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (TOY.replace("family", "famly"), 'unknown key "famly"; did you mean "family"?'),
        (TOY.replace('"cnn"', '"vision"'), 'key "kind"'),
        (TOY.replace("input_size = 32", 'input_size = "32"'), 'key "input_size"'),
        (TOY.replace("licence", "upstream_top1 = 81.2\nlicence"), 'key "upstream_top1"'),
        (TOY.replace('licence = "apache-2.0"\n', ""), 'key "licence" is missing'),
        (TOY.replace("licence", 'upstream_top1 = 0.7\ncopy_of = "resnet18"\nlicence'), "of other weights"),
        (TOY.replace("licence", 'copy_of = "resnet18"\nlicence'), "should say what was changed"),
    ],
)
def test_a_bad_card_is_named(tmp_path, text, says):
    (tmp_path / "toy.toml").write_text(text)
    with pytest.raises(InputError) as error:
        find_card("toy", tmp_path)
    assert says in str(error.value) and "toy.toml" in str(error.value) and "\n" not in str(error.value)


def test_an_option_that_timm_does_not_have_is_named(tmp_path):
    (tmp_path / "toy.toml").write_text(TOY.replace("layers", "layerz"))
    with pytest.raises(InputError, match="toy: timm cannot make resnet18 with layerz=.*'layerz'"):
        on_meta(find_card("toy", tmp_path), 3)


def test_cifar_stem_is_for_resnets(tmp_path):
    text = TOY.replace('"resnet18"', '"convnext_atto"\nstem = "cifar"').partition("[options]")[0]
    (tmp_path / "toy.toml").write_text(text)
    with pytest.raises(InputError, match='stem "cifar" is for ResNets'):
        on_meta(find_card("toy", tmp_path), 3)


def test_names_without_torch():
    code = (
        "import sys; from bench.networks import find_card, resolve_weights\n"
        "from bench.spec.card import CARDS, list_cards\n"
        "[find_card(name) for name in list_cards()]; find_card('resnet50.a1_in1k')\n"
        "resolve_weights(find_card('resnet50'), 'none', CARDS, download=False)\n"
        "assert not {'torch', 'timm', 'torchvision'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CARDS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_other_attributes():
    from bench import networks

    with pytest.raises(AttributeError, match="make_modle"):
        networks.make_modle  # noqa: B018

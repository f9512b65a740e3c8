"""Costs against published figures, torchvision's metadata, and pencil and paper."""

import math

import pytest
import timm
import torch
import torchvision
from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis
from torch import nn

from bench.profiling import fvcore_counter
from bench.profiling.flops import CountMismatch, count
from bench.profiling.flops_by_module import PARTS

SHALLOW = {"depth": 2, "num_classes": 10}


@pytest.fixture(params=[True, False], ids=["fused", "unfused"])
def fused(request):
    before = timm.layers.use_fused_attn()
    timm.layers.set_fused_attn(request.param)
    yield request.param
    timm.layers.set_fused_attn(before)


def vit_flops(size: int, patch: int, width: int, depth: int, classes: int, tokens: int = 1) -> dict[str, int]:
    """2 x multiply-adds of a plain ViT, from its definition."""
    patches = (size // patch) ** 2
    n = patches + tokens
    return {
        "patch_embedding_or_stem": 2 * patches * 3 * patch**2 * width,
        "attention_projections": 2 * depth * n * 4 * width**2,
        "attention_matrices": 2 * depth * 2 * n**2 * width,
        "linear_and_1x1": 2 * depth * n * 8 * width**2,
        "convolutions": 0,
        "head": 2 * width * classes,
        "other": 0,
    }


@pytest.mark.parametrize("training", [True, False])
def test_a_vit_costs_what_its_definition_says(fused, training):
    network = timm.create_model("vit_tiny_patch16_224", img_size=64, **SHALLOW).train(training)
    found = count(network, 64)
    expected = vit_flops(64, 16, 192, 2, 10)
    assert found["by_part"] == expected
    assert found["flops"] == sum(expected.values()) and isinstance(found["flops"], int)
    assert found["gmacs"] == found["flops"] / 2e9
    n, heads = 17, 3
    assert found["elementwise"] == {
        "norms": 5 * 5 * n * 192,
        "softmax": 2 * 3 * heads * n * n,
        "pooling": 0,
        "resampling": 0,
    }
    assert found["gmacs_all"] == pytest.approx(found["gmacs"] + sum(found["elementwise"].values()) / 1e9)
    # In each block: qkv, attention matrix, its output, projection, and both layers of the MLP.
    per_block = n * (3 + 1 + 1 + 4 + 1) * 192 + heads * n * n
    assert found["activations_m"] == pytest.approx((16 * 192 + 2 * per_block + 10) / 1e6)
    # Backward: two products for each of the forward pass, save the gradient of the image.
    assert found["flops_train_step"] == 3 * found["flops"] - expected["patch_embedding_or_stem"]
    assert network.training == training


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "vit_b_16"])
def test_torchvisions_own_figures(name):
    network = torchvision.models.get_model(name, weights=None)
    meta = torchvision.models.get_weight(
        f"{torchvision.models.get_model_weights(name).__name__}.IMAGENET1K_V1"
    ).meta
    found = count(network, 224)
    assert found["params"] == found["trainable_params"] == meta["num_params"]
    assert round(found["gmacs"], 3) == meta["_ops"]
    assert found["by_part"]["patch_embedding_or_stem"] > 0 and found["by_part"]["head"] > 0
    if name == "vit_b_16":
        assert found["by_part"] == vit_flops(224, 16, 768, 12, 1000)


def test_fvcore_agrees_where_it_knows_every_operation():
    network = timm.create_model("resnet18").eval()
    image = torch.zeros(1, 3, 64, 64)
    found = count(network, 64)
    expected = FlopCountAnalysis(network, image).unsupported_ops_warnings(False)
    max_pool = 64 * 32 * 32
    assert found["gmacs_all"] * 1e9 == pytest.approx(expected.total() + max_pool)
    activations = ActivationCountAnalysis(network, image).unsupported_ops_warnings(False)
    assert found["activations_m"] * 1e6 == pytest.approx(activations.total())
    assert found["not_counted"] == {"aten::add_": 8}
    stem = found["by_part"]["patch_embedding_or_stem"]
    assert stem == 2 * 3 * 49 * 64 * 32 * 32
    assert found["by_part"]["head"] == 2 * 512 * 1000
    assert sum(found["by_part"].values()) == found["flops"]
    assert found["flops_train_step"] == 3 * found["flops"] - stem


SELF_ATTENTION = {"attention_matrices", "attention_projections", "linear_and_1x1"}
CONVOLVING = {"linear_and_1x1", "convolutions"}


@pytest.mark.parametrize(
    "name, size, options, parts",
    [
        ("swin_tiny_patch4_window7_224", 224, {}, SELF_ATTENTION),
        ("vit_small_patch14_reg4_dinov2", 56, {"depth": 2, "img_size": 56}, SELF_ATTENTION),
        ("mobilevit_xxs", 128, {}, SELF_ATTENTION | {"convolutions"}),
        ("convnext_atto", 64, {}, CONVOLVING),
        ("efficientnet_b0", 64, {}, CONVOLVING),
        # Attention in name only: it weighs channels.
        ("resnest14d", 64, {}, CONVOLVING),
        ("mixer_s32_224", 224, {}, {"linear_and_1x1"}),
    ],
)
def test_any_model_of_timm(name, size, options, parts):
    network = timm.create_model(name, num_classes=10, **options)
    found = count(network, size)
    assert tuple(found["by_part"]) == PARTS
    assert sum(found["by_part"].values()) == found["flops"]
    nonzero = {part for part, value in found["by_part"].items() if value}
    assert nonzero == parts | {"patch_embedding_or_stem", "head"}


@pytest.mark.parametrize("name", ["convnext_atto", "convnextv2_atto"])
def test_a_linear_layer_and_a_convolution_of_the_same_product_are_one_part(name):
    """timm makes ConvNeXt's blocks of either; its tensors and its operations are the same."""
    linear, convolved = (timm.create_model(name, conv_mlp=conv, num_classes=10) for conv in (False, True))
    found = count(linear, 64)["by_part"]
    assert found == count(convolved, 64)["by_part"]
    depthwise = [m for m in linear.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert len(depthwise) == sum(len(stage.blocks) for stage in linear.stages)
    # What sees neighbours: the depthwise convolutions, and those of 2 x 2 px between the stages.
    sides = {40: 16, 80: 8, 160: 4, 320: 2}
    expected = sum(49 * m.out_channels * sides[m.out_channels] ** 2 for m in depthwise)
    expected += sum(4 * a * b * sides[b] ** 2 for a, b in ((40, 80), (80, 160), (160, 320)))
    assert found["convolutions"] == 2 * expected


def test_backward_costs_twice_the_forward_with_any_grouping():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding="same"),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 12, 3, stride=2, groups=4),
        nn.ConvTranspose2d(12, 6, 2, stride=2, groups=3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 5),
    )
    first = 3 * 8 * 9 * 16**2
    macs = first + 8 * 9 * 16**2 + 12 * 2 * 9 * 7**2 + 12 * 2 * 4 * 7**2 + 6 * 5
    found = count(network, 16)
    assert found["flops"] == 2 * macs
    assert found["flops_train_step"] == 2 * (3 * macs - first)


def test_frozen_parameters_are_told_apart_and_the_network_is_left_alone():
    network = timm.create_model("resnet18", num_classes=10).train()
    network.bn1.eval()
    for parameter in network.layer1.parameters():
        parameter.requires_grad = False
    state = {name: value.clone() for name, value in network.state_dict().items()}
    found = count(network, 32)
    frozen = sum(p.numel() for p in network.layer1.parameters())
    assert found["params"] - found["trainable_params"] == frozen > 0
    assert (
        found["flops_train_step"]
        == count(timm.create_model("resnet18", num_classes=10), 32)["flops_train_step"]
    )
    assert network.training and not network.bn1.training and network.layer1.training
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


class Products(nn.Module):
    """Every way of writing a product that counters have been seen to miss."""

    def __init__(self, forward) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 5))
        self._forward = forward

    def forward(self, image):
        return self._forward(image, self.weight)


@pytest.mark.parametrize(
    "forward, macs",
    [
        (lambda x, w: torch.einsum("bchw,cd->bdhw", x, w), 4 * 4 * 3 * 5),
        (lambda x, w: x.flatten(2).transpose(1, 2) @ w, 4 * 4 * 3 * 5),
        (lambda x, w: w.t() @ x.flatten(2), 4 * 4 * 3 * 5),
        (lambda x, w: torch.baddbmm(w.sum() + x[:, :1, 0], x[:, 0], x[:, 1]), 4 * 4 * 4),
        (lambda x, w: nn.functional.conv_transpose2d(x, w[:, :, None, None]), 4 * 4 * 3 * 5),
        (lambda x, w: nn.functional.scaled_dot_product_attention(x, x, x[..., :2]) * w.sum(), 3 * 4 * 4 * 6),
    ],
)
def test_products_in_every_spelling(forward, macs):
    assert count(Products(forward), 4)["flops"] == 2 * macs


class Recurrent(nn.Module):
    def __init__(self, **options) -> None:
        super().__init__()
        self.layers = nn.LSTM(3, 5, batch_first=True, **options)

    def forward(self, image):
        return self.layers(image.flatten(2).transpose(1, 2))[0]


@pytest.mark.parametrize(
    "options, macs",
    [
        ({}, 4 * 5 * (3 + 5)),
        ({"bidirectional": True}, 2 * 4 * 5 * (3 + 5)),
        ({"num_layers": 2}, 4 * 5 * (3 + 5) + 4 * 5 * (5 + 5)),
        ({"proj_size": 4}, 4 * 5 * (3 + 4) + 5 * 4),
    ],
)
def test_recurrent_layers(options, macs):
    """Four gates of the image's pixels in turn, each from the input and the last output."""
    assert count(Recurrent(**options), 4)["flops"] == 2 * 16 * macs


def test_counters_that_disagree_are_an_error(monkeypatch):
    network = timm.create_model("vit_tiny_patch16_224", img_size=32, **SHALLOW)
    monkeypatch.setattr(fvcore_counter, "_attention", None)
    with pytest.raises(CountMismatch, match="VisionTransformer at 32 px: .* fvcore 10,030,848"):
        count(network, 32)


def test_frozen_encoder_layers_do_not_hide_in_a_fused_kernel():
    network = torchvision.models.VisionTransformer(32, 16, 2, 4, 64, 128, num_classes=10).eval()
    expected = count(network, 32)["flops"]
    assert count(network.requires_grad_(False), 32)["flops"] == expected
    assert torch.backends.mha.get_fastpath_enabled()
    assert math.isclose(expected, sum(count(network, 32)["by_part"].values()))

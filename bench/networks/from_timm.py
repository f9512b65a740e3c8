"""Cards for the models of timm that have no file here, made from timm's own configuration."""

import timm
import torch
from timm.layers import PatchEmbed
from timm.models import get_arch_pretrained_cfgs, get_pretrained_cfg, model_entrypoint
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench.errors import InputError
from bench.spec.card import Card, Channels, ModelKind

# timm's modules whose family has a name of its own here; any other family is the module's name.
FAMILIES = {
    "vision_transformer": "ViT",
    "deit": "DeiT",
    "resnet": "ResNet",
    "convnext": "ConvNeXt",
    "efficientnet": "EfficientNet",
}

# A patch embedding and the down-sampling between stages take up to this many spatial convolutions in
# networks that mix positions by other means (pooling, MLPs, recurrence).
STEM_CONVOLUTIONS = 5


def card_from_timm(name: str) -> Card | None:
    """A card for an architecture of timm, with or without a tag; None when timm does not have it.

    Raises:
        InputError: timm has the architecture but not the tag, or it does not take square RGB images.
    """
    architecture, dot, tag = name.partition(".")
    if dot and not tag:
        raise InputError(f'model "{name}": ends in a dot, which a tag should follow; leave it out')
    if not timm.is_model(architecture):
        return None
    tags = [full.partition(".")[2] for full in get_arch_pretrained_cfgs(architecture)]
    if tag and tag not in tags:
        raise InputError(
            f'model "{name}": {architecture} has no tag "{tag}" in timm; it has {", ".join(tags)}'
        )
    settings = get_pretrained_cfg(name)
    if settings is None:
        raise InputError(
            f'model "{name}": timm has no configuration for it; a card in models/ would give one'
        )
    channels, height, width = settings.input_size
    if channels != 3 or height != width:
        raise InputError(
            f'model "{name}": takes images of shape {settings.input_size}, not square RGB images'
        )
    with torch.device("meta"):
        network = timm.create_model(name)
        kind = network_kind(network, height)
    module = model_entrypoint(architecture).__module__.rpartition(".")[2]
    return Card(
        name=name,
        title=name,
        architecture=architecture,
        family=FAMILIES.get(module, module),
        kind=kind,
        input_size=height,
        patch=_patch(network),
        mean=_channels(settings.mean),
        std=_channels(settings.std),
        tag=settings.tag if settings.has_weights else None,
        pretraining=f"see timm's tag {settings.tag}" if settings.has_weights else "none",
        licence=settings.license or "not stated",
        carded=False,
    )


def timm_names(like: str) -> list[str]:
    """The architectures of timm; with their tags, when `like` has one."""
    return timm.list_pretrained() if "." in like else timm.list_models()


def network_kind(network: nn.Module, input_size: int) -> ModelKind:
    """ "transformer" or "cnn" by what the network computes, "unknown" for hybrids and everything else.

    A transformer mixes positions by products of activations (attention) and has no spatial convolution
    but its patch embedding; a CNN has no attention and convolves throughout. `network` and the image
    that goes through it are on the device of the caller's context, best the meta device.
    """
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(2, 3, input_size, input_size))
    operations = {str(operation) for operation in counter.get_flop_counts()["Global"]}
    attends = any("bmm" in name or "dot_product" in name for name in operations) or any(
        "Attention" in type(module).__name__ for module in network.modules()
    )
    convolutions = sum(
        isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1 for module in network.modules()
    )
    if attends and convolutions <= 1:
        return "transformer"
    if not attends and convolutions > STEM_CONVOLUTIONS:
        return "cnn"
    return "unknown"


def _channels(values: tuple[float, ...]) -> Channels:
    red, green, blue = values
    return red, green, blue


def _patch(network: nn.Module) -> int | None:
    sides = [module.patch_size for module in network.modules() if isinstance(module, PatchEmbed)]
    return sides[0][0] if len(sides) == 1 and sides[0][0] == sides[0][1] else None

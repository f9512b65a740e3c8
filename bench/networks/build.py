"""The one door that makes a network."""

import timm
import torch
from timm.models import get_pretrained_cfg
from torch import nn

from bench.errors import InputError, first_line
from bench.networks.checkpoint import check_tensors, load_tensors, read_tensors
from bench.networks.weights import Weights
from bench.spec.card import Card


def make_model(
    card: Card,
    weights: Weights,
    *,
    classes: int | None,
    input_size: int,
    drop_path: float = 0.0,
    seed: int = 0,
) -> nn.Module:
    """The network of a card in float32, in training mode, taking (n, 3, input_size, input_size).

    The head is always a new one of `classes` outputs, initialised from `seed` as everything else that
    the weights do not give; `classes=None` keeps the head of the weights. Position embeddings are
    resampled to `input_size`. The random state of the caller is not touched. Within
    `torch.device("meta")` the network has shapes and no values.

    Raises:
        InputError: the input size, the stochastic depth or an option does not fit the network.
        WeightsError: the file of the weights is damaged or does not fit the card.
    """
    _check_arguments(card, classes=classes, input_size=input_size, drop_path=drop_path)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = _bare(card, classes=classes, input_size=input_size, drop_path=drop_path)
    if weights.path is not None:
        tensors = read_tensors(weights.path)
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            native = _bare(card, classes=None, input_size=card.input_size, drop_path=0.0)
        check_tensors(card, weights.path, tensors, native, head=classes is None)
        load_tensors(card, weights.path, tensors, network, head=classes is None)
    return network


def _check_arguments(card: Card, *, classes: int | None, input_size: int, drop_path: float) -> None:
    if classes is not None and classes < 1:
        raise InputError(f"{card.name}: classes is {classes}; must be at least 1")
    if input_size < 1:
        raise InputError(f"{card.name}: input_size is {input_size}; must be at least 1")
    if card.patch is not None and input_size % card.patch:
        raise InputError(
            f"{card.name}: input_size {input_size} is not a multiple of its patches of {card.patch} px; "
            f"{max(round(input_size / card.patch), 1) * card.patch} is"
        )
    if not 0 <= drop_path < 1:
        raise InputError(f"{card.name}: drop_path is {drop_path}; must be from 0 to below 1")


def _bare(card: Card, *, classes: int | None, input_size: int, drop_path: float) -> nn.Module:
    """The network before any weights are loaded; `classes=None` is as many as the pretrained weights have."""
    full_name = f"{card.architecture}.{card.tag}" if card.tag else card.architecture
    settings = get_pretrained_cfg(full_name)
    # CNNs take any size as they are; timm makes the others for the size that they are told.
    sized = settings is not None and settings.fixed_input_size and input_size != settings.input_size[-1]
    given = {
        **card.options,
        **({"img_size": input_size} if sized else {}),
        **({"num_classes": classes} if classes is not None else {}),
        **({"drop_path_rate": drop_path} if drop_path else {}),
    }
    try:
        network = timm.create_model(full_name, **given)
    except (TypeError, AssertionError, ValueError) as error:
        settable = ", ".join(f"{key}={value}" for key, value in given.items())
        raise InputError(
            f"{card.name}: timm cannot make {card.architecture} with {settable}: {first_line(error)}"
        ) from error
    if card.stem == "cifar":
        _use_cifar_stem(card, network)
    return network


def _use_cifar_stem(card: Card, network: nn.Module) -> None:
    """The stem of ResNets for 32x32 images: see He et al. 2016 (arXiv 1512.03385), section 4.2."""
    old = getattr(network, "conv1", None)
    if not isinstance(old, nn.Conv2d) or not hasattr(network, "maxpool"):
        raise InputError(f'{card.name}: stem "cifar" is for ResNets, not for {card.architecture}')
    network.conv1 = nn.Conv2d(
        old.in_channels, old.out_channels, kernel_size=3, stride=1, padding=1, bias=False
    )
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")  # as timm's ResNets
    network.maxpool = nn.Identity()

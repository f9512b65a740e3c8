"""The one door that makes a network."""

from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg, load_pretrained
from torch import nn

from bench.errors import InputError, WeightsError, first_line
from bench.networks.weight_file import check_finite, check_shapes, head_names, read_shapes
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
    path, head = weights.path, classes is None
    with torch.random.fork_rng(devices=[]):
        if path is not None:
            _check_file(card, path, head=head)
        torch.default_generator.manual_seed(seed)
        network = _create(card, classes, input_size, drop_path, path=path, head=head)
    if path is not None:
        check_finite(path, network.state_dict())
    return network


def train_both_heads(card: Card, network: Any) -> None:
    """Have a network with a distillation token give the outputs of each of its two heads while it is trained.

    Raises:
        InputError: it has no such token.
    """
    if not hasattr(network, "set_distilled_training"):
        raise InputError(
            f'{card.name}: has no distillation token, as [distill] with by = "token" needs; '
            'take a model that has one, or by = "class"'
        )
    network.set_distilled_training(True)


def _check_file(card: Card, path: Path, *, head: bool) -> None:
    """Refuse a file that is not of the network as the card describes it, at its own size.

    Raises:
        WeightsError: names the file and what does not fit.
    """
    shapes = read_shapes(path)
    with torch.device("meta"):
        native = _create(card, None, card.input_size)
    check_shapes(card, path, shapes, native, head=head)
    if not card.carded:
        # timm knows the names of its authors, and misses no tensor where the classes are those of the file.
        rows = [shapes[f"{name}.weight"][0] for name in head_names(native) if f"{name}.weight" in shapes]
        _create(card, rows[0] if rows else None, card.input_size, path=path, head=True)


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


def _create(
    card: Card,
    classes: int | None,
    input_size: int,
    drop_path: float = 0.0,
    *,
    path: Path | None = None,
    head: bool = False,
) -> nn.Module:
    """The network as timm makes it; with `path` it has the weights of a file, those of its head if `head`.

    `classes=None` is as many as the pretrained weights of timm have.

    Raises:
        InputError: timm cannot make the network so.
        WeightsError: timm cannot load the file into it.
    """
    full_name = f"{card.architecture}.{card.tag}" if card.tag else card.architecture
    settings = get_pretrained_cfg(full_name)
    # CNNs take any size as they are; timm makes the others for the size that they are told.
    sized = settings is not None and settings.fixed_input_size and input_size != settings.input_size[-1]
    arguments: dict[str, Any] = {
        **card.options,
        **({"img_size": input_size} if sized else {}),
        **({"num_classes": classes} if classes is not None else {}),
        **({"drop_path_rate": drop_path} if drop_path else {}),
    }
    # timm leaves out the head of a file whose number of classes is not the network's; where it is the same,
    # the file has to have every tensor.
    source: dict[str, Any] = {"file": str(path), "custom_load": False}
    if classes is not None:
        source["num_classes"] = classes if head else -1
    by_timm = path is not None and card.stem is None
    try:
        network: Any = timm.create_model(
            full_name,
            pretrained=by_timm,
            pretrained_cfg_overlay=source if by_timm else None,
            **arguments,
        )
        if card.stem == "cifar":
            _use_cifar_stem(card, network)
        if path is not None and not by_timm:
            load_pretrained(network, network.pretrained_cfg | source, network.num_classes)
    except (TypeError, AssertionError, ValueError) as error:
        settable = ", ".join(f"{key}={value}" for key, value in arguments.items())
        raise InputError(
            f"{card.name}: timm cannot make {card.architecture} with {settable}: {first_line(error)}"
        ) from error
    except RuntimeError as error:
        heading, *tensors = str(error).splitlines()
        if "loading state_dict" not in heading:
            raise
        raise WeightsError(
            f"{path}: does not fit {card.name} at {input_size} px: {tensors[0].strip()}"
        ) from error
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

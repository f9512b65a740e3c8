"""The network of a config, ready to be timed, and the check that it computes the right thing."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from bench.networks import find_card, make_model, resolve_weights
from bench.profiling.config import NetworkConfig
from bench.spec.recipe import load_recipe
from bench.training.loss import CrossEntropy
from bench.training.optimizer import make_optimizer
from bench.training.step import FORMATS, HALF, TrainingStep, autocast, set_backends, trained_form

# Distance of the outputs from those in fp32, over the length of the latter. Eager and compiled, contiguous
# and channels_last add up in another order; the others round to 11 (TF32, fp16) and 8 bits (bf16).
# int8 rounds every activation of a network whose random weights give images almost the same logits: it is
# told from another network, and its accuracy is a question to trained weights.
TOLERANCE = {"fp32": 1e-3, "tf32": 2e-2, "fp16": 2e-2, "bf16": 5e-2, "int8": 0.25}
CHECKED_IMAGES = 8
# The recipe whose optimizer, groups of parameters and clipping a training step has, and the rate of its
# steps, so small that hundreds of them on the same images stay finite.
RECIPE, LEARNING_RATE = "finetune", 1e-6


class BadOutput(RuntimeError):
    """The network's outputs are not what fp32 gives: its speed would be that of something else."""


def prepare(config: NetworkConfig) -> tuple[Callable[[], torch.Tensor], float]:
    """One step of the config, on random images that already lie on the device, and its error.

    The weights are random, from seed 0. The error is the distance of the outputs from those in fp32
    (eager, contiguous) over the length of the latter, at most `TOLERANCE`.

    Raises:
        BadOutput: outputs are not finite, of the wrong shape, or far from those in fp32.
        InputError: the network cannot be made so.
    """
    if config.mode == "train":
        network, images, expected = _network_and_images(config)
        # No optimizer has been near the weights yet: what autocast gives is checked in evaluation mode.
        with torch.no_grad(), autocast(config.precision, config.device):
            error = check(network(images), expected, config)
        return _training(config, network.train(), images), error
    infer, images, error = inference(config)
    return lambda: infer(images), error


def inference(config: NetworkConfig) -> tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor, float]:
    """The forward pass of the config, random images in its type and layout, and its error on them.

    Raises:
        BadOutput, InputError: as `prepare`.
    """
    network, images, expected = _network_and_images(config)
    dtype = HALF.get(config.precision, torch.float32)
    network, images = network.to(dtype), images.to(dtype)
    forward = torch.compile(network) if config.compiled else network

    def infer(batch: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return forward(batch)

    return infer, images, check(infer(images), expected, config)


def _network_and_images(config: NetworkConfig) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Network and images in fp32 in the config's layout, and the outputs of the first images before that."""
    set_backends(config.device)
    network = make_network(config)
    images = make_images(config)
    with torch.inference_mode():
        expected = network(images[:CHECKED_IMAGES]).float()
    _backends(config)
    layout = FORMATS[config.memory_format]
    # What training does beside the layout spares it a copy, and would cost inference one.
    in_training = config.mode == "train"
    network = trained_form(network, config.memory_format) if in_training else network.to(memory_format=layout)
    return network, images.contiguous(memory_format=layout), expected


def _backends(config: NetworkConfig) -> None:
    set_backends(config.device, tf32=config.precision == "tf32")
    torch.backends.cudnn.benchmark = config.cudnn_benchmark


def make_network(config: NetworkConfig) -> nn.Module:
    """The network in fp32 and evaluation mode on its device."""
    card = find_card(config.model)
    weights = resolve_weights(card, "none", Path(), download=False)
    network = make_model(card, weights, classes=config.classes, input_size=config.input_size)
    return network.eval().to(config.device)


def make_images(config: NetworkConfig) -> torch.Tensor:
    """Normally distributed images in fp32 on the device, shape (n, 3, size, size)."""
    generator = torch.Generator().manual_seed(0)
    shape = (config.batch_size, 3, config.input_size, config.input_size)
    return torch.randn(shape, generator=generator).to(config.device)


def check(outputs: torch.Tensor, expected: torch.Tensor, config: NetworkConfig) -> float:
    """The relative error of the first rows of `outputs`, which `expected` holds in fp32.

    Raises:
        BadOutput: they are not finite, of the wrong shape, or the error is above the tolerance.
    """
    shape = (config.batch_size, config.classes)
    if outputs.shape != shape:
        raise BadOutput(f"the outputs have the shape {tuple(outputs.shape)}, not {shape}")
    if not torch.isfinite(expected).all():
        raise BadOutput("outputs in fp32 are not all finite")
    outputs = outputs.float()
    if not torch.isfinite(outputs).all():
        raise BadOutput(f"outputs in {config.precision} are not all finite")
    length = expected.norm().clamp_min(torch.finfo(torch.float32).tiny)
    error = float((outputs[: len(expected)] - expected).norm() / length)
    if error > TOLERANCE[config.precision]:
        raise BadOutput(
            f"outputs in {config.precision} are {error:.2g} away from those in fp32, relative to their "
            f"length; at most {TOLERANCE[config.precision]:g} would do"
        )
    return error


def _training(config: NetworkConfig, network: nn.Module, images: torch.Tensor) -> Callable[[], torch.Tensor]:
    """The training step of trials, always on the same images; one was taken, and its loss was finite."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(config.classes, (len(images),), generator=generator).to(config.device)
    _, recipe = load_recipe(RECIPE).training
    optimizer = make_optimizer(network, recipe.model_copy(update={"lr": LEARNING_RATE}))
    step = TrainingStep(
        network,
        optimizer,
        CrossEntropy(),
        precision=config.precision,
        clip_grad=recipe.clip_grad,
        compiled=config.compiled,
    )
    if not torch.isfinite(step(images, labels)).item():
        raise BadOutput(f"the loss of a training step in {config.precision} is not finite")
    return lambda: step(images, labels)


def describe_optimizer() -> str:
    """What a training step updates the weights with."""
    _, recipe = load_recipe(RECIPE).training
    return f"{recipe.name}, fused, gradient norm clipped to {recipe.clip_grad:g}, as in the recipe {RECIPE}"

"""The network of a setting, ready to be timed, and the check that it computes the right thing."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from bench.networks import find_card, make_model, resolve_weights
from bench.profiling.config import TRAINED_PRECISIONS, Setting
from bench.spec.recipe import load_recipe
from bench.training.optimizer import make_optimizer
from bench.training.step import FORMATS, set_backends, trained_form, training_step

# Distance of the outputs from those in fp32, over the length of the latter. Eager and compiled, contiguous
# and channels_last add up in another order; the others round to 11 (TF32, fp16) and 8 bits (bf16).
TOLERANCE = {"fp32": 1e-3, "tf32": 2e-2, "fp16": 2e-2, "bf16": 5e-2}
CHECKED_IMAGES = 8
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
# The recipe whose optimizer, groups of parameters and clipping a training step has, and the rate of its
# steps, so small that hundreds of them on the same images stay finite.
RECIPE, LEARNING_RATE = "finetune", 1e-6


class BadOutput(RuntimeError):
    """The network's outputs are not what fp32 gives: its speed would be that of something else."""


def prepare(setting: Setting) -> tuple[Callable[[], torch.Tensor], float]:
    """One step of the setting, on random images that already lie on the device, and its error.

    The weights are random, from seed 0. The error is the distance of the outputs from those in fp32
    (eager, contiguous) over the length of the latter, at most `TOLERANCE`.

    Raises:
        BadOutput: outputs are not finite, of the wrong shape, or far from those in fp32.
        InputError: the network cannot be made so.
    """
    if setting.mode == "train":
        network, images, expected = _placed(setting)
        # No optimizer has been near the weights yet: what autocast gives is checked in evaluation mode.
        with torch.no_grad(), autocast(setting):
            error = check(network(images), expected, setting)
        return _training(setting, network.train(), images), error
    infer, images, error = inference(setting)
    return lambda: infer(images), error


def inference(setting: Setting) -> tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor, float]:
    """The forward pass of the setting, random images in its type and layout, and its error on them.

    Raises:
        BadOutput, InputError: as `prepare`.
    """
    network, images, expected = _placed(setting)
    dtype = HALF.get(setting.precision, torch.float32)
    network, images = network.to(dtype), images.to(dtype)
    forward = torch.compile(network) if setting.compiled else network

    def infer(batch: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return forward(batch)

    return infer, images, check(infer(images), expected, setting)


def _placed(setting: Setting) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Network and images in fp32 in the setting's layout, and the outputs of the first images before that."""
    set_backends(setting.device)
    network = make_network(setting)
    images = make_images(setting)
    with torch.inference_mode():
        expected = network(images[:CHECKED_IMAGES]).float()
    _backends(setting)
    network = trained_form(network, setting.memory_format)
    return network, images.contiguous(memory_format=FORMATS[setting.memory_format]), expected


def _backends(setting: Setting) -> None:
    set_backends(setting.device, tf32=setting.precision == "tf32")
    torch.backends.cudnn.benchmark = setting.cudnn_benchmark


def make_network(setting: Setting) -> nn.Module:
    """The network in fp32 and evaluation mode on its device."""
    card = find_card(setting.model)
    weights = resolve_weights(card, "none", Path(), download=False)
    network = make_model(card, weights, classes=setting.classes, input_size=setting.input_size)
    return network.eval().to(setting.device)


def make_images(setting: Setting) -> torch.Tensor:
    """Normally distributed images in fp32 on the device, shape (n, 3, size, size)."""
    generator = torch.Generator().manual_seed(0)
    shape = (setting.batch_size, 3, setting.input_size, setting.input_size)
    return torch.randn(shape, generator=generator).to(setting.device)


def check(outputs: torch.Tensor, expected: torch.Tensor, setting: Setting) -> float:
    """The relative error of the first rows of `outputs`, which `expected` holds in fp32.

    Raises:
        BadOutput: they are not finite, of the wrong shape, or the error is above the tolerance.
    """
    shape = (setting.batch_size, setting.classes)
    if outputs.shape != shape:
        raise BadOutput(f"the outputs have the shape {tuple(outputs.shape)}, not {shape}")
    if not torch.isfinite(expected).all():
        raise BadOutput("outputs in fp32 are not all finite")
    outputs = outputs.float()
    if not torch.isfinite(outputs).all():
        raise BadOutput(f"outputs in {setting.precision} are not all finite")
    length = expected.norm().clamp_min(torch.finfo(torch.float32).tiny)
    error = float((outputs[: len(expected)] - expected).norm() / length)
    if error > TOLERANCE[setting.precision]:
        raise BadOutput(
            f"outputs in {setting.precision} are {error:.2g} away from those in fp32, relative to their "
            f"length; at most {TOLERANCE[setting.precision]:g} would do"
        )
    return error


def autocast(setting: Setting) -> AbstractContextManager:
    """Mixed precision as training uses it."""
    half = HALF.get(setting.precision)
    return torch.autocast(setting.device, half) if half else nullcontext()


def _training(setting: Setting, network: nn.Module, images: torch.Tensor) -> Callable[[], torch.Tensor]:
    """The training step of trials, always on the same images; one was taken, and its loss was finite."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(setting.classes, (len(images),), generator=generator).to(setting.device)
    recipe = load_recipe(RECIPE).optimizer
    clip_grad = recipe.clip_grad
    optimizer = make_optimizer(network, recipe.model_copy(update={"lr": LEARNING_RATE}))
    scaler = torch.amp.GradScaler(setting.device, enabled=setting.precision == "fp16")
    forward = torch.compile(network) if setting.compiled else network

    def trained() -> torch.Tensor:
        return training_step(
            network,
            images,
            labels,
            optimizer,
            precision=setting.precision,
            clip_grad=clip_grad,
            forward=forward,
        )

    def other() -> torch.Tensor:
        """In a precision that no trial has."""
        with autocast(setting):
            output = forward(images)
        loss = F.cross_entropy(output.float(), labels)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(network.parameters(), clip_grad)
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    step = trained if setting.precision in TRAINED_PRECISIONS else other

    if not torch.isfinite(step()).item():
        raise BadOutput(f"the loss of a training step in {setting.precision} is not finite")
    return step


def optimizer_words() -> str:
    """What a training step updates the weights with."""
    recipe = load_recipe(RECIPE).optimizer
    return f"{recipe.name}, fused, gradient norm clipped to {recipe.clip_grad:g}, as in the recipe {RECIPE}"


def fits(setting: Setting) -> dict[str, bool]:
    """Whether two steps of the setting can be taken at all; out of memory is raised."""
    step, _ = prepare(replace(setting, compiled=False))
    step()
    return {"fits": True}

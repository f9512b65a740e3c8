"""From pixels to logits: the steps of a network, with shapes, and with parameters and FLOPs that add up."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.networks.weight_file import head_names
from bench.profiling.flops import products_of

Part = Literal["first", "tokens", "block", "end", "head"]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        part: the first layer, the tokens that are put in front and the positions, a block or stage, what
            comes after the last of them, or the classifier.
        modules: their names in the network; none for what hangs on the network itself.
        input, output: shapes for one image, without the batch.
        params: parameters that lie in it.
        flops: 2 x multiply-adds for one image, as `bench.profiling.flops.count` counts them.
    """

    part: Part
    title: str
    modules: tuple[str, ...]
    input: Shape
    output: Shape
    params: int
    flops: int


@dataclass(frozen=True)
class _Unit:
    name: str
    module: nn.Module
    block: bool
    input: Shape
    output: Shape


def steps_of(network: Any, size: int) -> list[Step]:
    """The steps in the order in which an image passes them; their sums are those of the whole network.

    Args:
        size: side of the image in px.
    """
    products, _ = products_of(network, size)
    flops = {name: sum(own.values()) for name, own in products.items() if name}
    units = _units(network, size)
    is_head = {
        unit.name: any(f"{head}.".startswith(f"{unit.name}.") for head in head_names(network))
        for unit in units
    }
    blocks = [k for k, unit in enumerate(units) if unit.block]
    first, last = (blocks[0], blocks[-1]) if blocks else (1, 0)
    own_params = sum(parameter.numel() for parameter in network.parameters(recurse=False))
    word = "Block" if hasattr(network, "patch_embed") and hasattr(network, "blocks") else "Stage"

    def step(part: Part, title: str, some: list[_Unit], into: Shape, out: Shape, extra: int = 0) -> Step:
        return Step(
            part,
            title,
            tuple(unit.name for unit in some),
            into,
            out,
            extra + sum(parameter.numel() for unit in some for parameter in unit.module.parameters()),
            sum(flops.get(unit.name, 0) for unit in some),
        )

    before = 1 if own_params else first
    opening = "Patch embedding" if hasattr(network, "patch_embed") else "Stem"
    steps = []
    if before:
        steps.append(step("first", opening, units[:before], units[0].input, units[before - 1].output))
    if own_params:
        tokens = units[before:first]
        steps.append(
            step("tokens", "Tokens and positions", tokens, units[0].output, units[first].input, own_params)
        )
    for number, unit in enumerate(units[first : last + 1], start=1):
        steps.append(step("block", f"{word} {number}", [unit], unit.input, unit.output))
    after = [unit for unit in units[last + 1 :] if not is_head[unit.name]]
    heads = [unit for unit in units[last + 1 :] if is_head[unit.name]]
    if after:
        out = heads[0].input if heads else after[-1].output
        steps.append(step("end", "Last norm and pooling", after, after[0].input, out))
    if heads:
        steps.append(step("head", "Classifier", heads, heads[0].input, heads[-1].output))
    params = sum(parameter.numel() for parameter in network.parameters()) - sum(one.params for one in steps)
    operations = sum(products[""].values()) - sum(one.flops for one in steps)
    if params or operations:  # in modules that are called from elsewhere than directly below the network
        out = steps[-1].output
        steps.append(Step("end", "Other layers", (), out, out, params, operations))
    return steps


def _units(network: nn.Module, size: int) -> list[_Unit]:
    """The modules directly below the network, a series of blocks taken apart, in the order of their calls."""
    shapes: dict[str, tuple[Shape, Shape]] = {}
    modules = dict(_named_units(network))
    handles = []
    for name, (module, _) in modules.items():

        def note(_: nn.Module, inputs: tuple[Any, ...], output: Any, name: str = name) -> None:
            if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
                shapes.setdefault(name, (tuple(inputs[0].shape[1:]), tuple(output.shape[1:])))

        handles.append(module.register_forward_hook(note))
    try:
        with torch.no_grad():
            network(torch.zeros(1, 3, size, size, device=next(network.parameters()).device))
    finally:
        for handle in handles:
            handle.remove()
    return [_Unit(name, *modules[name], *both) for name, both in shapes.items()]


def _named_units(network: Any) -> Iterator[tuple[str, tuple[nn.Module, bool]]]:
    """Names and modules, and whether each is a block or stage, by timm's `feature_info`."""
    features = [info["module"] for info in network.feature_info]
    for name, child in network.named_children():
        below = any(feature.startswith(f"{name}.") for feature in features)
        if isinstance(child, nn.Sequential | nn.ModuleList) and below and name not in features:
            for inner, module in child.named_children():
                yield f"{name}.{inner}", (module, True)
        else:
            is_stage = (name in features or below) and any(True for _ in child.children())
            yield name, (child, is_stage)

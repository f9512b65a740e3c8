"""What one image costs a network: multiply-adds, other operations, activations, and where they arise.

PyTorch's FlopCounterMode counts; fvcore, which works in another way, has to find the same matrix products and
convolutions.
"""

import math
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from importlib.metadata import version
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench.errors import BenchError
from bench.profiling.flops_by_module import by_part
from bench.profiling.fvcore_counter import analyse, evaluating


class CountMismatch(BenchError):
    """Two counters disagree about the matrix products and convolutions of a network."""


def count(network: nn.Module, input_size: int) -> dict[str, Any]:
    """The cost of one RGB image, in evaluation mode whatever mode the network is in.

    Args:
        network: takes (1, 3, input_size, input_size); left as it is.
        input_size: in px.

    Returns:
        params, trainable_params
        flops: 2 x multiply-adds of matrix products and convolutions, both products of attention
            included; additions of biases are not.
        gmacs: flops / 2e9.
        gmacs_all: with every operation of norms, softmax, pooling and resampling counted as one more.
        elementwise: those operations, by kind.
        activations_m: values that matrix products and convolutions put out, in millions, the attention
            matrix included.
        by_part: flops by part of the network; they sum to flops.
        not_counted: how often each other operation was called (fvcore passes over ReLU, clamping, dropout
            and moves of data without a word); none is a matrix product, or the counters would disagree.
        flops_train_step: forward and backward with all parameters trained; nothing computed twice.
        counter: what counted, and what it was checked against.

    Raises:
        CountMismatch: fvcore and FlopCounterMode disagree.
    """
    products, train_step = products_of(network, input_size)
    flops = sum(products[""].values())
    second = analyse(network, input_size)
    if flops != 2 * second["macs"]:
        raise CountMismatch(
            f"{type(network).__name__} at {input_size} px: in matrix products and convolutions "
            f"FlopCounterMode finds {flops:,} FLOPs, fvcore {2 * second['macs']:,}; "
            "one of them misses an operation"
        )
    return {
        "params": sum(p.numel() for p in network.parameters()),
        "trainable_params": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "flops": flops,
        "gmacs": flops / 2e9,
        "gmacs_all": (flops // 2 + sum(second["elementwise"].values())) / 1e9,
        "elementwise": second["elementwise"],
        "activations_m": second["activations"] / 1e6,
        "by_part": by_part(network, products),
        "not_counted": second["not_counted"],
        "flops_train_step": train_step,
        "counter": f"FlopCounterMode of torch {version('torch')}; checked against fvcore "
        f"{version('fvcore')}, with a handle for scaled_dot_product_attention",
    }


def products_of(network: nn.Module, input_size: int) -> tuple[dict[str, Counter[str]], int]:
    """FLOPs of the forward pass by module and operation, and FLOPs of forward and backward together.

    A module's include those of its submodules; "" is the network. Counted on the meta device, where nothing
    is computed and no fused kernel hides the products of attention.
    """
    parameters = {id(p): nn.Parameter(torch.empty_like(p, device="meta")) for p in network.parameters()}
    buffers = {id(b): torch.empty_like(b, device="meta") for b in network.buffers()}
    shapes = deepcopy(network, parameters | buffers)
    image = torch.empty(1, 3, input_size, input_size, device="meta", dtype=next(network.parameters()).dtype)
    corrected = {torch.ops.aten.convolution_backward: _convolution_backward}
    with evaluating(shapes), FlopCounterMode(display=False, custom_mapping=corrected) as counter:
        output = shapes(image)
        forward = counter.get_flop_counts()
        output.sum().backward()
    root = type(network).__name__
    products: dict[str, Counter[str]] = {"": Counter()}
    for module, counts in forward.items():
        if module != root:  # it has the same counts as "Global"
            name = "" if module == "Global" else module.removeprefix(f"{root}.")
            products[name] = Counter({operation.__name__: value for operation, value in counts.items()})
    return products, counter.get_total_flops()


def _convolution_backward(
    grad: Sequence[int],
    image: Sequence[int],
    weight: Sequence[int],
    bias: Sequence[int] | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
    wanted: list[bool],
    **_: Any,
) -> int:
    """FLOPs of the gradients of image and weight: each is as many multiply-adds as the forward pass.

    PyTorch's own formula takes no account of groups: depthwise convolutions come out many times too high.
    """
    positions = (image if transposed else grad)[2:]
    return 2 * grad[0] * math.prod(weight) * math.prod(positions) * sum(wanted[:2])

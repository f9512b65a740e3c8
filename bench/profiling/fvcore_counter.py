"""The second opinion on what a network costs, by fvcore, which counts in a trace of one image.

It also counts what PyTorch's own counter does not: operations element by element, and activations.
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import (
    addmm_flop_jit,
    conv_flop_count,
    conv_flop_jit,
    einsum_flop_jit,
    elementwise_flop_counter,
    get_shape,
    linear_flop_jit,
)
from torch import nn

Handle = Callable[[list[Any], list[Any]], Any]

# Operations per element of what is no matrix product; as fvcore counts, or, where it does not, one for each
# exponential, sum and division of a softmax and for each value that a pooling or mean reads.
NORM, NORM_AFFINE, SOFTMAX, POOL = 4, 5, 3, 1
ELEMENTWISE = {
    "norms": ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm"),
    "softmax": ("softmax", "log_softmax"),
    "pooling": (
        *(f"{kind}_pool2d" for kind in ("adaptive_avg", "adaptive_max", "avg", "max")),
        "mean",
        "amax",
    ),
    "resampling": ("upsample_nearest2d", "upsample_bilinear2d", "grid_sampler"),
}
ACTIVATIONS = "activations"


def analyse(network: nn.Module, input_size: int) -> dict[str, Any]:
    """Counts of one RGB image of `input_size` px, in evaluation mode; the network is left as it is.

    Returns:
        macs: multiply-adds of matrix products and convolutions.
        elementwise: operations of norms, softmax, pooling and resampling, by kind.
        activations: values that matrix products and convolutions put out, the attention matrix included.
        not_counted: how often each other operation was called: additions, activation functions and the like.
    """
    like = next(network.parameters())
    image = torch.zeros(1, 3, input_size, input_size, device=like.device, dtype=like.dtype)
    analysis = FlopCountAnalysis(network, image)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    analysis.set_op_handle(**_handles())
    with evaluating(network), torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        counts = {op: int(value) for op, value in analysis.by_operator().items()}
        calls = analysis.unsupported_ops()
    activations = counts.pop(ACTIVATIONS, 0)
    elementwise = {kind: sum(counts.pop(op, 0) for op in ops) for kind, ops in ELEMENTWISE.items()}
    return {
        "macs": sum(counts.values()),
        "elementwise": elementwise,
        "activations": activations,
        "not_counted": dict(sorted(calls.items())),
    }


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, without the fused encoder layers that PyTorch takes then, opaque to counters."""
    modes = [(module, module.training) for module in network.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    network.eval()
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, training in modes:
            module.training = training


def _handles() -> dict[str, Handle]:
    """What fvcore lacks or counts only in the common case; products also count their outputs."""
    products: dict[str, Handle] = {
        "addmm": addmm_flop_jit,
        "baddbmm": lambda inputs, outputs: _contracted(inputs[1], outputs[0]),
        "bmm": lambda inputs, outputs: _contracted(inputs[0], outputs[0]),
        "_convolution": conv_flop_jit,
        "_convolution_mode": _convolution_mode,
        "einsum": _einsum,
        "linear": linear_flop_jit,
        "matmul": lambda inputs, outputs: _contracted(inputs[0], outputs[0]),
        "mm": lambda inputs, outputs: _contracted(inputs[0], outputs[0]),
    }
    handles = {f"aten::{name}": _with_activations(name, handle) for name, handle in products.items()}
    handles["aten::scaled_dot_product_attention"] = _attention
    handles["aten::lstm"] = _lstm
    handles["aten::rms_norm"] = _rms_norm
    handles |= {f"aten::{op}": elementwise_flop_counter(SOFTMAX) for op in ELEMENTWISE["softmax"]}
    handles |= {f"aten::{op}": elementwise_flop_counter(POOL) for op in ELEMENTWISE["pooling"]}
    return handles


def _with_activations(name: str, handle: Handle) -> Handle:
    def counted(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        macs = handle(inputs, outputs)
        macs = Counter(macs) if isinstance(macs, dict) else Counter({name: macs})
        return macs + Counter({ACTIVATIONS: math.prod(get_shape(outputs[0]))})

    return counted


def _convolution_mode(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """A convolution whose padding is a word."""
    shapes = [get_shape(value) for value in (*inputs[:2], outputs[0])]
    return Counter({"conv": conv_flop_count(*shapes)})


def _contracted(left: Any, output: Any) -> int:
    """Multiply-adds of a product over the last dimension of `left`, other dimensions broadcast or not."""
    return math.prod(get_shape(output)) * get_shape(left)[-1]


def _attention(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """Query times key, softmax, and that times value, counted as these three in turn."""
    *batch, queries, width = get_shape(inputs[0])
    keys, value_width = get_shape(inputs[1])[-2], get_shape(inputs[2])[-1]
    rows = math.prod(batch) * queries
    return Counter(
        {
            "attention": rows * keys * (width + value_width),
            "softmax": SOFTMAX * rows * keys,
            ACTIVATIONS: rows * (keys + value_width),
        }
    )


def _einsum(inputs: list[Any], outputs: list[Any]) -> int:
    """Two operands: the product of the sizes of all indices; more: fvcore's count of the best order."""
    shapes = [get_shape(value) for value in inputs[1].node().inputs()]
    equation = inputs[0].toIValue().replace(" ", "")
    if len(shapes) != 2 or "." in equation:
        return int(einsum_flop_jit(inputs, outputs))
    sizes: dict[str, int] = {}
    for indices, shape in zip(equation.split("->")[0].split(","), shapes, strict=True):
        for index, size in zip(indices, shape, strict=True):
            sizes[index] = max(size, sizes.get(index, 1))
    return math.prod(sizes.values())


def _lstm(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """Every matrix of weights, of all layers and directions, once a step of the sequence."""
    steps = math.prod(get_shape(inputs[0])[:-1])
    shapes = [get_shape(value) for value in inputs[2].node().inputs()]
    matrices = [shape for shape in shapes if len(shape) == 2]
    return Counter(
        {
            "lstm": steps * sum(math.prod(shape) for shape in matrices),
            ACTIVATIONS: steps * sum(shape[0] for shape in matrices),
        }
    )


def _rms_norm(inputs: list[Any], outputs: list[Any]) -> int:
    affine = get_shape(inputs[2]) is not None
    return math.prod(get_shape(inputs[0])) * (NORM_AFFINE if affine else NORM)

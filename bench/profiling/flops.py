"""What one image costs a network: multiply-adds, other operations, activations, and where they arise.

fvcore counts in a trace of the network; torch's FlopCounterMode, which works in another way, has to find
the same matrix products and convolutions.
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from importlib.metadata import version
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
from torch.utils.flop_counter import FlopCounterMode

from bench.errors import BenchError
from bench.profiling.flops_by_module import by_part

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
        not_counted: calls of other operations, and why each is left out (fvcore passes over ReLU,
            clamping, dropout and moves of data without a word).
        flops_train_step: forward and backward with all parameters trained; nothing computed twice.
        counter: what counted.

    Raises:
        CountMismatch: fvcore and FlopCounterMode disagree.
    """
    analysis = _analyse(network, input_size)
    found = analysis.by_operator()
    others = {
        kind: sum(_whole(found.get(op, 0)) for op in operations) for kind, operations in ELEMENTWISE.items()
    }
    counted = {op for operations in ELEMENTWISE.values() for op in operations} | {ACTIVATIONS}
    products = {
        module: Counter({op: _whole(value) for op, value in counts.items() if op not in counted})
        for module, counts in analysis.by_module_and_operator().items()
    }
    macs = sum(products[""].values())
    forward, train_step = _reference(network, input_size)
    if forward != 2 * macs:
        raise CountMismatch(
            f"{type(network).__name__} at {input_size} px: in matrix products and convolutions fvcore finds "
            f"{2 * macs:,} FLOPs, FlopCounterMode {forward:,}; one of them misses an operation"
        )
    return {
        "params": sum(p.numel() for p in network.parameters()),
        "trainable_params": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "flops": 2 * macs,
        "gmacs": macs / 1e9,
        "gmacs_all": (macs + sum(others.values())) / 1e9,
        "elementwise": others,
        "activations_m": _whole(found[ACTIVATIONS]) / 1e6,
        "by_part": {part: 2 * value for part, value in by_part(network, products).items()},
        "not_counted": [
            {"op": op, "calls": calls, "why": _why(op)}
            for op, calls in sorted(analysis.unsupported_ops().items())
        ],
        "flops_train_step": train_step,
        "counter": f"fvcore {version('fvcore')}, with a handle for scaled_dot_product_attention; "
        f"checked against FlopCounterMode of torch {version('torch')}",
    }


def _analyse(network: nn.Module, input_size: int) -> FlopCountAnalysis:
    """The finished analysis of one image; adds a count of "activations" to those of every module."""
    like = next(network.parameters())
    image = torch.zeros(1, 3, input_size, input_size, device=like.device, dtype=like.dtype)
    analysis = FlopCountAnalysis(network, image)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    analysis.set_op_handle(**_handles())
    with _evaluating(network), torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        analysis.total()
    return analysis


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
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


def _reference(network: nn.Module, input_size: int) -> tuple[int, int]:
    """FLOPs of the forward pass, and of forward and backward, by FlopCounterMode on the meta device.

    There no fused kernel hides the products of attention from it.
    """
    parameters = {id(p): nn.Parameter(torch.empty_like(p, device="meta")) for p in network.parameters()}
    buffers = {id(b): torch.empty_like(b, device="meta") for b in network.buffers()}
    shapes = deepcopy(network, parameters | buffers)
    image = torch.empty(1, 3, input_size, input_size, device="meta", dtype=next(network.parameters()).dtype)
    corrected = {torch.ops.aten.convolution_backward: _convolution_backward}
    with _evaluating(shapes), FlopCounterMode(display=False, custom_mapping=corrected) as counter:
        output = shapes(image)
        forward = counter.get_total_flops()
        output.sum().backward()
    return forward, counter.get_total_flops()


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
        return _whole(einsum_flop_jit(inputs, outputs))
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


def _whole(value: float) -> int:
    """A count that fvcore may hold as a float."""
    if value != int(value):
        raise CountMismatch(f"a count of operations is not a whole number: {value}")
    return int(value)


ADDITIONS = {"add", "sub", "rsub", "sum", "cumsum"}
SCALINGS = {"mul", "div", "neg", "pow", "sqrt", "rsqrt", "norm", "linalg_vector_norm", "reciprocal"}
FUNCTIONS = {
    *("gelu", "silu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "hardtanh", "leaky_relu", "elu", "mish"),
    *("relu6", "prelu", "softplus", "exp", "log", "erf", "sin", "cos"),
}


def _why(op: str) -> str:
    """Why an operation that has no count is none of the counted kinds."""
    name = op.removeprefix("aten::").rstrip("_")
    if name in ADDITIONS:
        return "additions, one an element"
    if name in SCALINGS:
        return "scaling, a few operations an element"
    if name in FUNCTIONS:
        return "activation function, element by element"
    return "no matrix product: FlopCounterMode finds the same total without it"

"""Which part of a network a multiply-add belongs to, told by the names of its modules.

A 1 x 1 convolution and a linear layer do the same product, at every position on its own, and are one part:
otherwise the blocks of ConvNeXt (linear layers) and EfficientNet (1 x 1 convolutions) would seem to differ.
"""

from collections import Counter

from torch import nn

PARTS = (
    "patch_embedding_or_stem",
    "attention_projections",
    "attention_matrices",
    "linear_and_1x1",
    "convolutions",
    "head",
    "other",
)
# Names of a network's direct children, in timm and torchvision.
STEMS = {"patch_embed", "stem", "conv_stem", "conv1", "conv_proj"}
HEADS = {"head", "heads", "head_dist", "fc", "classifier", "last_linear"}
# Products of activations with activations; the others have a weight for a factor.
LINEAR = {"linear", "addmm", "mm"}
MATRICES = {"attention", "matmul", "bmm", "baddbmm", "einsum"}


def by_part(network: nn.Module, products: dict[str, Counter[str]]) -> dict[str, int]:
    """Multiply-adds of every part.

    Args:
        network: whose modules they are.
        products: multiply-adds by module and kind of product; a module's include those of its submodules.

    Returns:
        One entry for each of `PARTS`, in its order; they sum to the network's multiply-adds.
    """
    blocks = {
        name: block for name, module in network.named_modules() if (block := _block(name, module, products))
    }
    own = {name: Counter(counts) for name, counts in products.items()}
    for name, counts in products.items():
        if name:
            own[name.rpartition(".")[0]].subtract(counts)
    pointwise = {name for name, module in network.named_modules() if _is_pointwise(module)}
    first = next((name for name, counts in own.items() if name and any(counts.values())), "")
    parts = dict.fromkeys(PARTS, 0)
    for name, counts in own.items():
        for op, value in counts.items():
            if value:
                parts[_part(name, op, blocks, first, pointwise)] += value
    return parts


def _is_pointwise(module: nn.Module) -> bool:
    """Whether a module is a convolution that sees one position at a time, and all of its channels."""
    kernel = getattr(module, "kernel_size", None)
    return (
        isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        and all(side == 1 for side in kernel)
        and module.groups == 1
    )


def _part(name: str, op: str, blocks: dict[str, str], first: str, pointwise: set[str]) -> str:
    module, top = name, name.partition(".")[0]
    if top in STEMS or name == first:
        return "patch_embedding_or_stem"
    if top in HEADS and op != "conv":
        return "head"
    while name and name not in blocks:
        name = name.rpartition(".")[0]
    block = blocks.get(name)
    if op in MATRICES:
        return "attention_matrices" if block == "attention" else "other"
    if block == "attention":
        return "attention_projections"
    if op == "conv":
        return "linear_and_1x1" if module in pointwise else "convolutions"
    return "linear_and_1x1" if block == "mlp" or op in LINEAR else "other"


def _block(name: str, module: nn.Module, products: dict[str, Counter[str]]) -> str | None:
    """The kind of block that a module is, by the names of its attribute and class; the network is none.

    Attention multiplies activations with activations; what is called so in CNNs seldom does.
    """
    words = f"{name.rpartition('.')[2]} {type(module).__name__}".lower()
    if name and any(word in words for word in ("mlp", "ffn", "feedforward")):
        return "mlp"
    if name and ("attn" in words or "attention" in words) and products.get(name, Counter()).keys() & MATRICES:
        return "attention"
    return None

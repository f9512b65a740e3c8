"""Which part of a network a FLOP belongs to, by the names of its modules.

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
# PyTorch's names of products with a weight for a factor, and of those of activations with activations.
LINEAR = {"addmm", "mm"}
MATRICES = {"bmm", "baddbmm"}


def by_part(network: nn.Module, products: dict[str, Counter[str]]) -> dict[str, int]:
    """FLOPs of every part.

    Args:
        network: whose modules they are.
        products: FLOPs by module and operation; a module's include those of its submodules, "" has all.

    Returns:
        One entry for each of `PARTS`, in its order; they sum to the network's FLOPs.
    """
    blocks = {
        name: block for name, module in network.named_modules() if (block := _block(name, module, products))
    }
    own = {name: Counter(counts) for name, counts in products.items()}
    for name, counts in products.items():
        if name:
            own[_parent(name, products)].subtract(counts)
    pointwise = {name for name, module in network.named_modules() if _is_pointwise(module)}
    first = next(
        (name for name, _ in network.named_modules() if name and any(own.get(name, Counter()).values())), ""
    )
    parts = dict.fromkeys(PARTS, 0)
    for name, counts in own.items():
        for op, value in counts.items():
            if value:
                parts[_part(name, op, blocks, first, pointwise)] += value
    return parts


def _parent(name: str, products: dict[str, Counter[str]]) -> str:
    """The module above that was called; containers such as ModuleList are not."""
    name = name.rpartition(".")[0]
    while name not in products:
        name = name.rpartition(".")[0]
    return name


def _is_pointwise(module: nn.Module) -> bool:
    """Whether a module is a convolution that sees one position at a time, and all of its channels."""
    return (
        isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        and all(side == 1 for side in module.kernel_size)
        and module.groups == 1
    )


def _part(name: str, op: str, blocks: dict[str, str], first: str, pointwise: set[str]) -> str:
    module, top = name, name.partition(".")[0]
    if top in STEMS or name == first:
        return "patch_embedding_or_stem"
    if top in HEADS and op != "convolution":
        return "head"
    while name and name not in blocks:
        name = name.rpartition(".")[0]
    block = blocks.get(name)
    if op in MATRICES:
        return "attention_matrices" if block == "attention" else "other"
    if block == "attention":
        return "attention_projections"
    if op == "convolution":
        return "linear_and_1x1" if module in pointwise else "convolutions"
    return "linear_and_1x1" if block == "mlp" or op in LINEAR else "other"


def _block(name: str, module: nn.Module, products: dict[str, Counter[str]]) -> str | None:
    """The kind of block that a module is, by the names of its attribute and class; the network is none.

    Attention multiplies activations with activations; what is called so in CNNs seldom does.
    """
    names = f"{name.rpartition('.')[2]} {type(module).__name__}".lower()
    if name and any(part in names for part in ("mlp", "ffn", "feedforward")):
        return "mlp"
    if name and ("attn" in names or "attention" in names) and products.get(name, Counter()).keys() & MATRICES:
        return "attention"
    return None

"""Attention of a timm network: read beside the forward pass, followed through depth, measured in pixels."""

from copy import deepcopy
from typing import Any

import torch
from timm.utils import AttentionExtract
from torch import Tensor, nn

from bench.inspection.tokens import NotShown, Tokens


class AttentionReader:
    """Gives logits and the attention of every block, of a copy: the network itself is left as it is.

    Fused kernels never hold the matrix softmax(Q K^T / sqrt(d)), so that the copy is set to timm's explicit
    form, in which timm's `AttentionExtract` reads what comes out of each module `attn_drop`.
    """

    def __init__(self, network: nn.Module, tokens: Tokens) -> None:
        copy: Any = deepcopy(network).eval()
        module: Any
        for module in copy.modules():
            if hasattr(module, "fused_attn"):
                module.fused_attn = False
        self.tokens = tokens
        self._extract = AttentionExtract(copy, method="hook")

    def __call__(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits (n, classes), and for each block softmax(Q K^T / sqrt(d)), (n, heads, tokens, tokens).

        Rows are queries and sum to 1. Both carry gradients where they are enabled.

        Raises:
            NotShown: what is read is not what each block attends by.
        """
        network: Any = self._extract.model
        logits = network(images)
        assert self._extract.hooks is not None
        every: dict[str, Tensor] = self._extract.hooks.get_output(device=images.device)
        square = 2 * (self.tokens.count,)
        read = {name: one for name, one in every.items() if one.ndim == 4 and one.shape[-2:] == square}
        if len(read) > len(network.blocks):
            raise NotShown("its blocks attend several times side by side, and not in a sequence of matrices")
        for name, one in read.items():
            heads = getattr(network.get_submodule(name.rpartition(".")[0]), "num_heads", one.shape[1])
            if one.shape[1] != heads:
                raise NotShown(
                    f"{one.shape[1]} matrices are read for {heads} heads, each of which attends by what it "
                    "makes of several (differential attention)"
                )
        return logits, list(read.values())


def rollout(attention: Tensor) -> Tensor:
    """Attention rollout (Abnar and Zuidema, 2020): what every token is mixed of after each block.

    Heads are averaged, and the residual connection counts as half: A' = (A + I) / 2, multiplied over depth.

    Args:
        attention: (blocks, heads, tokens, tokens).

    Returns:
        (blocks, tokens, tokens); rows sum to 1.
    """
    mixed = (attention.mean(1) + torch.eye(attention.shape[-1], device=attention.device)) / 2
    products = [mixed[0]]
    for one in mixed[1:]:
        products.append(one @ products[-1])
    return torch.stack(products)


def distances(grid: tuple[int, int], patch: tuple[int, int]) -> Tensor:
    """Distance between the centres of every two patches in px, shape (patches, patches).

    Args:
        grid: rows and columns of patches.
        patch: height and width of one in px.
    """
    rows, columns = (torch.arange(count) * side for count, side in zip(grid, patch, strict=True))
    centres = torch.cartesian_prod(rows, columns).double()
    return torch.cdist(centres, centres)


def mean_distance(attention: Tensor, tokens: Tokens) -> Tensor:
    """How far away what a head attends to lies, in px (Dosovitskiy et al., 2021, figure 7 right).

    Averaged over all patches that attend, weighted by their attention to patches; class and other extra
    tokens have no position and are left out.

    Args:
        attention: (blocks, heads, tokens, tokens).

    Returns:
        (blocks, heads).
    """
    between = attention[..., tokens.prefix :, tokens.prefix :].double()
    far = distances(tokens.grid, tokens.patch).to(between.device)
    return ((between * far).sum(-1) / between.sum(-1)).mean(-1)


def uniform_distance(tokens: Tokens) -> float:
    """The mean distance in px where every patch attends to all patches alike."""
    return float(distances(tokens.grid, tokens.patch).mean())


def by_gradient(reader: AttentionReader, image: Tensor, target: int) -> Tensor:
    """Which tokens each token is made of, as far as it speaks for a class.

    Chefer et al. (2021, arXiv 2103.15679): in every block attention times its gradient, where positive,
    averaged over the heads; added up over depth as R <- R + A R, beginning with the identity. The identity
    is left out of what is returned: each token would speak for itself, more than all that it attends to.

    Args:
        image: (1, 3, h, w).
        target: the class.

    Returns:
        (tokens, tokens), not normalised.
    """
    with torch.enable_grad():
        logits, attention = reader(image)
        gradients = torch.autograd.grad(logits[0, target], attention, allow_unused=True)
    relevance = torch.zeros(2 * (reader.tokens.count,), device=image.device)  # R without the identity
    for weights, gradient in zip(attention, gradients, strict=True):
        if gradient is not None:
            positive = (weights * gradient).clamp(min=0)[0].mean(0).detach()
            relevance = relevance + positive + positive @ relevance
    return relevance

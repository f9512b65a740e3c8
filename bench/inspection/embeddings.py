"""The first layer of a network and its position embeddings, as they were learned."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.inspection.tokens import NotShown, Tokens


def first_convolution(network: nn.Module) -> nn.Conv2d:
    """The convolution that reads the image: of a transformer, the projection of its patches.

    Raises:
        NotShown: the image is read otherwise.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            if module.in_channels == 3 and module.groups == 1:
                return module
            break
    raise NotShown("its first layer is no convolution of the three colours")


def cuts_the_image(network: Any) -> bool:
    """Whether patches are cut from the image itself, and not from the maps of a convolutional stem."""
    first = next((one for one in network.modules() if isinstance(one, nn.Conv2d)), None)
    return first is not None and first is getattr(getattr(network, "patch_embed", None), "proj", None)


def principal_filters(weight: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first principal components of filters (Dosovitskiy et al., 2021, figure 7 left).

    Args:
        weight: (filters, 3, h, w).

    Returns:
        Components, (count or fewer, 3, h, w), each of length 1, and their shares of the variance.
    """
    flat = weight.detach().cpu().flatten(1).double()
    _, values, axes = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    shares = values.square() / values.square().sum()
    return axes[:count].reshape(-1, *weight.shape[1:]), shares[:count]


def position_similarity(network: Any, tokens: Tokens) -> Tensor:
    """Cosine similarity of the position embeddings of all patches, (rows, columns, rows, columns).

    Raises:
        NotShown: the network has none, or none that stand for a position alone.
    """
    embedding = getattr(network, "pos_embed", None)
    if not isinstance(embedding, Tensor):
        raise NotShown("it has no learned position embeddings that are added to the tokens")
    flat = embedding.detach().cpu().flatten(0, -2)
    if len(flat) < tokens.patches:
        raise NotShown(f"it has {len(flat)} position embeddings for {tokens.patches} patches")
    unit = functional.normalize(flat[-tokens.patches :].double(), dim=1)
    return (unit @ unit.T).reshape(*tokens.grid, *tokens.grid)

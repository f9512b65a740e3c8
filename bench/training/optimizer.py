"""Optimizers with the usual parameter groups."""

import torch
from timm.optim import param_groups_weight_decay
from torch import nn

from bench.spec.recipe import Optimizer


def make_optimizer(network: nn.Module, recipe: Optimizer) -> torch.optim.Optimizer:
    """The recipe's optimizer in its fused form.

    Vectors (norms and biases) and what the network itself names (position embeddings, class tokens)
    are not decayed.
    """
    undecayed: set[str] = getattr(network, "no_weight_decay", set)()
    groups = param_groups_weight_decay(network, recipe.weight_decay, no_weight_decay_list=undecayed)
    if recipe.name == "sgd":
        nesterov = recipe.momentum > 0
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov, fused=True)
    kind = torch.optim.AdamW if recipe.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=recipe.lr, betas=recipe.betas, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, lr: float, momentum: float | None) -> None:
    """Set the learning rate of all groups and, where given, their momentum."""
    for group in optimizer.param_groups:
        group["lr"] = lr
        if momentum is not None and "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        elif momentum is not None:
            group["momentum"] = momentum

"""The sequence that a transformer of timm works on: which tokens there are, and where they lie."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

PREFIXES = (("cls_token", "class token"), ("dist_token", "distillation token"), ("reg_token", "register"))


class NotShown(Exception):
    """A picture that a network does not have; the message says why, as the end of a sentence."""


@dataclass(frozen=True)
class Tokens:
    """A sequence of tokens: `prefix` ones without a position (class, distillation, registers), then patches.

    Attributes:
        names: of the tokens in front, such as "class token" and "register 1".
        grid: rows and columns of patches.
        patch: height and width in px of a patch of the image, of a stem by how much its maps are smaller.
        pooled: whether the class is read from the patches, not from tokens in front.
    """

    names: tuple[str, ...]
    grid: tuple[int, int]
    patch: tuple[int, int]
    pooled: bool

    @property
    def prefix(self) -> int:
        """How many tokens stand before the patches."""
        return len(self.names)

    @property
    def patches(self) -> int:
        """How many patches there are."""
        return self.grid[0] * self.grid[1]

    @property
    def count(self) -> int:
        """How many tokens there are."""
        return self.prefix + self.patches

    @property
    def deciding(self) -> int:
        """How many of the tokens in front the class is read from: with a distillation token both."""
        return 0 if self.pooled else 1 + ("distillation token" in self.names)

    @property
    def reader(self) -> str:
        """From which tokens the class is read, in words."""
        return " and ".join(self.names[: self.deciding]) or "pooled patches"

    def on_grid(self, values: Tensor) -> Tensor:
        """The last dimension (tokens) as rows and columns of patches, without the tokens in front."""
        return values[..., self.prefix :].unflatten(-1, self.grid)

    def read(self, values: Tensor) -> Tensor:
        """The mean of the rows (..., tokens, n) of the tokens from which the class is read, (..., n)."""
        rows = slice(self.deciding) if self.deciding else slice(self.prefix, None)
        return values[..., rows, :].mean(-2)

    def name(self, index: int) -> str:
        """Of a token: "class token", or "patch 3,7" by row and column from 1."""
        if index < self.prefix:
            return self.names[index]
        row, column = divmod(index - self.prefix, self.grid[1])
        return f"patch {row + 1},{column + 1}"


def tokens_of(network: Any, size: int) -> Tokens:
    """The tokens of a transformer of timm that keeps one sequence from the first block to the last.

    Args:
        size: side of the images in px.

    Raises:
        NotShown: it is none.
    """
    embed, blocks = getattr(network, "patch_embed", None), getattr(network, "blocks", None)
    is_grid = hasattr(embed, "dynamic_feat_size")  # XCiT cuts by convolutions, CrossViT twice
    if embed is None or not is_grid or blocks is None or not hasattr(network, "forward_intermediates"):
        raise NotShown("it has no sequence of tokens that all blocks share")
    height, width = embed.dynamic_feat_size((size, size))
    patch: tuple[int, int] = embed.feat_ratio(as_scalar=False)
    names: list[str] = []
    for attribute, name in PREFIXES:
        token = getattr(network, attribute, None)
        if token is not None:
            many = token.shape[1] > 1
            names += [f"{name} {k + 1}" if many else name for k in range(token.shape[1])]
    prefix = getattr(network, "num_prefix_tokens", 0)
    pooled = not prefix or getattr(network, "global_pool", "token") != "token"
    tokens = Tokens(tuple(names[:prefix]), (height, width), patch, pooled)
    with torch.no_grad():
        sequences = after_blocks(network, torch.zeros(1, 3, size, size, device=_device(network)))
    if any(one.shape[1] != tokens.count for one in sequences):
        raise NotShown("it has no sequence of tokens that all blocks share")
    return tokens


def after_blocks(network: Any, images: Tensor) -> list[Tensor]:
    """The tokens after each block, (n, tokens, width), before the last norm.

    Raises:
        NotShown: timm does not give them.
    """
    try:
        every = network.forward_intermediates(
            images,
            return_prefix_tokens=bool(getattr(network, "num_prefix_tokens", 0)),
            output_fmt="NLC",
            intermediates_only=True,
        )
    except (TypeError, AssertionError) as error:
        raise NotShown("it has no sequence of tokens that all blocks share") from error
    return [torch.cat(one[::-1], 1) if isinstance(one, tuple) else one for one in every]


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device

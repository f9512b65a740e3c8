"""Position embeddings are removed from the trained network; one that has none stays as it is."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

TITLE = "Position embeddings removed"
# In names of tensors such as pos_embed, patch_pos and relative_position_bias_table.
POSITION = re.compile(r"(^|[._])(rel_|relative_)?pos(ition|_|$)")


def network_misfit(network: "nn.Module") -> str | None:
    """Why they cannot be removed: they are elsewhere than in one tensor that is added to the tokens."""
    tensors = [name for name, _ in (*network.named_parameters(), *network.named_buffers())]
    others = [name for name in tensors if POSITION.search(name) and name != "pos_embed"]
    if getattr(network, "rope", None) is not None:
        others.append("rope")
    return f"positions are in {others[0]} as well, which cannot be removed" if others else None


def change_network(network: "nn.Module") -> None:
    """See `bench.data.conditions`: what is added to the tokens becomes 0."""
    embeddings = getattr(network, "pos_embed", None)
    if embeddings is not None:
        embeddings.data.zero_()

"""Position embeddings are removed from the trained network; one that has none stays as it is."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

TITLE = "Position embeddings removed"


def change_network(network: "nn.Module") -> None:
    """See `bench.data.conditions`: what is added to the tokens becomes 0."""
    embeddings = getattr(network, "pos_embed", None)
    if embeddings is not None:
        embeddings.data.zero_()

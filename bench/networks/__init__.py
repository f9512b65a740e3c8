"""From a model's name to a network: cards, pretrained weights, and the one door that makes a network.

Nothing here imports torch or timm before a network is made or a name without a card is looked up.
"""

from typing import TYPE_CHECKING, Any

from bench.networks.cards import find_card
from bench.networks.weights import Weights, hub_answers, resolve_weights

if TYPE_CHECKING:
    from bench.networks.build import make_model

__all__ = ["Weights", "find_card", "hub_answers", "make_model", "resolve_weights"]


def __getattr__(name: str) -> Any:
    if name == "make_model":
        from bench.networks.build import make_model

        return make_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The models by name: cards, pretrained weights, and the one door that makes a network.

A card is one TOML file in this folder, named after the model. Nothing here imports torch or timm
before a network is made or a name without a card is looked up.
"""

from typing import TYPE_CHECKING, Any

from models.card import Card, find_card, list_cards
from models.weights import Weights, hub_answers, resolve_weights

if TYPE_CHECKING:
    from models.build import make_model

__all__ = ["Card", "Weights", "find_card", "hub_answers", "list_cards", "make_model", "resolve_weights"]


def __getattr__(name: str) -> Any:
    if name == "make_model":
        from models.build import make_model

        return make_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

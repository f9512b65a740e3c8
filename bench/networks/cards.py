"""The card of any model, by its name."""

from pathlib import Path

from bench.errors import InputError, did_you_mean
from bench.spec.card import CARDS, Card, list_cards, read_card


def find_card(name: str, folder: Path = CARDS) -> Card:
    """The card of a model by its name, or by timm's name and tag of a card's weights.

    Any other model of timm gets a card with `carded=False` made from timm's own configuration.

    Raises:
        InputError: neither a card nor timm has the name (with the nearest that there is), or a card
            cannot be read.
    """
    names = list_cards(folder)
    if name in names:
        return read_card(name, folder)
    if "." in name:
        for card in (read_card(other, folder) for other in names):
            if name == f"{card.architecture}.{card.tag}":
                return card
    from bench.networks.from_timm import card_from_timm, timm_names

    if (made := card_from_timm(name)) is not None:
        return made
    raise InputError(
        f'model "{name}": neither a card in {folder} nor a model of timm'
        f"{did_you_mean(name, [*names, *timm_names(name)])}"
    )

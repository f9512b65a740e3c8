"""The models that a pick chooses among: those that were named, or pretrained ones whose weights there are."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

from bench.errors import InputError, WeightsError
from bench.networks import Weights, find_card, resolve_weights
from bench.networks.parameters import count_parameters
from bench.networks.weights import has_weights
from bench.spec.card import Card, list_cards, read_card

SMALLEST_INPUT = 200  # px that the weights of the default pool were trained at, or more
FETCHED = 30e6  # parameters of the largest model of the default pool whose weights are fetched unasked


@dataclass(frozen=True)
class Candidate:
    """A model with its pretrained weights, for images of so many classes."""

    card: Card
    weights: Weights
    classes: int
    input_size: int

    @property
    def name(self) -> str:
        """That of its card."""
        return self.card.name

    @cached_property
    def parameters(self) -> int:
        """With a head for the classes."""
        return count_parameters(self.card.name, self.classes, self.input_size)


@dataclass(frozen=True)
class LeftOut:
    """A model that takes no part, and why, as the end of a sentence."""

    card: Card
    reason: str


def default_pool() -> list[Card]:
    """The cards whose weights were trained on large images, ViTs and CNNs of several sizes."""
    cards = [read_card(name) for name in list_cards()]
    return [card for card in cards if card.pretraining != "none" and card.input_size >= SMALLEST_INPUT]


def find_candidates(
    models: Sequence[str],
    weights_dir: Path,
    *,
    classes: int,
    input_size: int,
    max_params: float | None,
    online: Callable[[], bool],
    is_over: Callable[[], bool],
    left_out: list[LeftOut],
) -> Iterator[Candidate]:
    """Candidates, one after the other, CNNs and ViTs in turn, small ones first; weights are fetched then.

    Args:
        models: names; none for the default pool, of which those count whose weights are here or, if they are
            not too large, can be fetched.
        weights_dir: where weight files lie.
        max_params: the most parameters.
        online: whether the hub answers, asked when weights are missing.
        is_over: asked before the weights of each are looked for; once it is, all others are left out.
        left_out: gets those that take no part.

    Raises:
        InputError: no such model.
        WeightsError: the weights of a model that was named are not to be had.
    """
    cards = [find_card(name) for name in dict.fromkeys(models)] or default_pool()
    here = [card for card in cards if has_weights(card, weights_dir)]
    away = [card for card in cards if card not in here]
    reachable = bool(away) and (bool(models) or online())
    order = [*alternating(here, classes, input_size)]
    order += alternating(away, classes, input_size) if reachable else []
    for card in order:
        if is_over():
            left_out.append(LeftOut(card, "no time to time it"))
            continue
        try:
            parameters = count_parameters(card.name, classes, input_size)
        except InputError as error:
            if models:
                raise
            left_out.append(LeftOut(card, f"takes no images of {input_size} px ({error})"))
            continue
        if max_params is not None and parameters > max_params:
            left_out.append(LeftOut(card, f"has {parameters / 1e6:.1f} million parameters"))
            continue
        if card in away and not models and parameters > FETCHED:
            left_out.append(
                LeftOut(card, "weights would have to be fetched, and are large: name it to have it")
            )
            continue
        found = _with_weights(card, weights_dir, classes, input_size, needed=bool(models))
        if found is None:
            left_out.append(LeftOut(card, "weights could not be fetched"))
        else:
            yield found
    if away and not reachable:
        left_out += [LeftOut(card, "no weights here, and the hub does not answer") for card in away]


def _with_weights(
    card: Card, weights_dir: Path, classes: int, input_size: int, *, needed: bool
) -> Candidate | None:
    try:
        weights = resolve_weights(card, "card", weights_dir, download=True)
    except WeightsError:
        if needed:
            raise
        return None
    return Candidate(card, weights, classes, input_size)


def alternating(cards: Sequence[Card], classes: int, input_size: int) -> list[Card]:
    """CNNs and all others in turn, each from the smallest to the largest."""

    def size(card: Card) -> tuple[float, str]:
        try:
            return count_parameters(card.name, classes, input_size), card.name
        except InputError:  # it takes no such images, which is told when its turn comes
            return float("inf"), card.name

    ordered = sorted(cards, key=size)
    cnns = [card for card in ordered if card.kind == "cnn"]
    others = [card for card in ordered if card.kind != "cnn"]
    return [card for pair in zip_longest(cnns, others) for card in pair if card is not None]

"""Profiles: what a suite measures of its models without training them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.config import digest
from bench.machine import versions
from bench.plan import Resolved, Unresolved
from bench.suite import Suite

PROFILE_FORMAT = 1


@dataclass(frozen=True)
class Profile:
    """The cost of one model with one head at one input size, in px."""

    model: str
    classes: int
    input_size: int

    @property
    def id(self) -> str:
        """From everything that can change the counts: the model as its card has it, and the counters."""
        from models import find_card

        card = find_card(self.model)
        libraries = {name: found for name, found in versions().items() if name in ("torch", "timm", "fvcore")}
        return digest(
            {
                "profile_format": PROFILE_FORMAT,
                "what": "cost",
                "model": [card.name, card.architecture, card.options, card.stem],
                "classes": self.classes,
                "input_size": self.input_size,
                "versions": libraries,
            }
        )


def planned_profiles(suite: Suite, trials: Iterable[Resolved | Unresolved]) -> list[Profile]:
    """The profiles a suite asks for, and the cost of every model as its trials use it."""
    return list(dict.fromkeys([*_asked(suite), *_trained(trials)]))


def _asked(suite: Suite) -> Iterator[Profile]:
    from models import find_card

    for cost in suite.profiles.cost:
        for model in cost.models:
            for classes in cost.classes:
                yield Profile(model, classes, cost.input_size or find_card(model).input_size)


def _trained(trials: Iterable[Resolved | Unresolved]) -> Iterator[Profile]:
    for item in trials:
        if isinstance(item, Resolved):
            outputs = item.trial.recipe.head_outputs or item.classes
            yield Profile(item.trial.model, outputs, item.trial.input_size)


def run_profile(profile: Profile) -> dict[str, Any]:
    """Count the costs of one model; returns its record."""
    from bench.measure.cost import cost
    from models import find_card

    counted = cost(find_card(profile.model), classes=profile.classes, input_size=profile.input_size)
    return counted | {
        "format": PROFILE_FORMAT,
        "kind": "profile",
        "what": "cost",
        "id": profile.id,
        "versions": versions(),
    }

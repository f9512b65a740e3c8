"""Under which conditions a comparison is evaluated, each with its level, and whether they fit."""

from collections.abc import Iterable, Iterator

from bench.data.conditions import Condition, find_condition
from bench.errors import InputError
from bench.networks import find_card
from bench.spec.job import CLEAN
from bench.spec.suite import Comparison, Suite


def conditions_of(suite: Suite, comparison: Comparison) -> tuple[str, ...]:
    """The names of a comparison's conditions beside "clean", each once.

    A name without a level stands for all levels of the condition that fit.

    Raises:
        InputError: there is no such condition or level, or it does not fit the input size or a network.
    """
    where = f"{suite.name}: {comparison.name}"
    models = {suite.models[key].model for key in comparison.contestants}
    names: list[str] = []
    for asked in comparison.conditions:
        try:
            condition = find_condition(asked)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        exact = condition.level is not None
        each = [condition] if exact else [Condition(condition.family, level) for level in condition.levels]
        misfits = {one: _misfit(one, comparison.input_size, models) for one in each}
        fitting = [one.name for one, problem in misfits.items() if problem is None]
        if not fitting:
            problem = next(iter(misfits.values()))
            raise InputError(
                f'{where}: condition "{asked}" does not fit input_size = {comparison.input_size}: {problem}'
            )
        if condition.runtime is not None:
            for key in comparison.contestants:
                if (recipe := suite.recipe_of(comparison, key)).frozen:
                    raise InputError(
                        f'{where}: condition "{asked}" is of whole networks, and recipe "{recipe.name}" of '
                        f'"{key}" reads frozen features'
                    )
        names += fitting
    return tuple(name for name in dict.fromkeys(names) if name != CLEAN)


def _misfit(condition: Condition, input_size: int, models: Iterable[str]) -> str | None:
    return next(_problems(condition, input_size, models), None)


def _problems(condition: Condition, input_size: int, models: Iterable[str]) -> Iterator[str]:
    """Why a condition does not fit images of this side in px, or one of the networks."""
    if problem := condition.misfit(input_size):
        yield problem
    size = condition.input_size(input_size)
    if size != input_size:
        for card in map(find_card, sorted(models)):
            if card.patch is not None and size % card.patch:
                near = max(round(size / card.patch), 1) * card.patch
                yield f"{card.name} takes multiples of its patches of {card.patch} px, such as {near}"

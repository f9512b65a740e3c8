"""Keys of suites and recipes that are set from outside: by a comparison, a model or the command line."""

import json
import math
import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bench.errors import InputError, did_you_mean, shortened
from bench.spec.recipe import WORDS, Recipe, load_recipe
from bench.spec.toml import check_plain, parse

if TYPE_CHECKING:
    from bench.spec.suite import Suite


def override(recipe: Recipe, settings: dict[str, Any], *, where: str) -> Recipe:
    """`recipe` with dotted keys replaced; of a table that it has, those alone that a table here names.

    Raises:
        InputError: a key the recipe does not have, or a value that does not fit.
    """
    if not settings:
        return recipe
    values = recipe.model_dump(mode="json")
    for key, value in settings.items():
        table = key.partition(".")[0]
        if table in WORDS:
            raise InputError(
                f'{where}: key "{key}": belongs to the file of a recipe, and changes no number; a recipe of '
                "your own is named by its file"
            )
        if table != key and values.get(table, {}) is None:
            raise InputError(f'{where}: key "{key}": the recipe "{recipe.name}" has no [{table}]')
        for name, one in _leaves(values, key, value):
            assign(values, name, one)
    return parse(values, Recipe, where=f'{where} (recipe "{recipe.name}")')


def _leaves(values: dict[str, Any], key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The dotted keys to be replaced: those inside a table where there is such a table already."""
    there: Any = values
    for part in key.split("."):
        there = there.get(part) if isinstance(there, dict) else None
    if isinstance(value, dict) and isinstance(there, dict):
        for name, one in value.items():
            yield from _leaves(values, f"{key}.{name}", one)
    else:
        yield key, value


def check_settings(suite: "Suite", settings: dict[str, Any]) -> None:
    """Refuse settings that change nothing in a suite.

    Raises:
        InputError: a key that no recipe has, or a model that nothing compares.
    """
    used = list(dict.fromkeys(name for comparison in suite.comparison for name in comparison.contestants))
    for key in settings:
        scope, _, rest = key.partition(".")
        name = rest.rpartition(".")[0]
        compared = any(rest.startswith(f"{one}.") for one in used)
        if scope == "models" and name and used and not compared:
            raise InputError(f'--set {key}: nothing compares "{name}"{did_you_mean(name, used)}')
        if scope != "recipe" or not rest:
            continue
        recipes = [
            load_recipe(suite.models[contestant].recipe or comparison.recipe).model_dump(mode="json")
            for comparison in suite.comparison
            for contestant in comparison.contestants
        ]
        if not any(rest in dotted(recipe) for recipe in recipes):
            keys = sorted({f"recipe.{name}" for recipe in recipes for name in dotted(recipe)})
            raise InputError(f"--set {key}: no recipe of {suite.name} has this key{did_you_mean(key, keys)}")


def setting_of(key: str, value: Any) -> str:
    """`key=value`, as `parse_setting` reads it, of a value of Python or NumPy.

    Raises:
        InputError: it is none that a suite can hold.
    """
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, float) and not math.isfinite(plain):
        return f"{key}={plain}"  # inf and nan, as TOML has them
    try:
        return f"{key}={json.dumps(plain)}"
    except (TypeError, ValueError) as error:
        raise InputError(f"settings: {key} = {value!r}: {error}") from None


def parse_setting(text: str) -> tuple[str, Any]:
    """Key and value of `key=value`; what is no TOML value is text.

    Raises:
        InputError: there is no key, or the value is one that no key takes.
    """
    key, equals, written = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise InputError(f"--set {shortened(text)}: should be key=value, as in recipe.budget.epochs=2")
    if key == "recipe":
        raise InputError(
            f"--set {shortened(text)}: each comparison names its recipe, as in comparison.recipe={written}"
        )
    try:
        value = tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        value = written.strip()
    except (ValueError, RecursionError) as error:
        raise InputError(f"--set {shortened(text)}: not a value: {error}") from None
    check_plain({key: value}, where="--set")
    return key, value


def assign(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key, making the tables that lead to it."""
    *tables, last = key.split(".")
    for table in tables:
        if not isinstance(values.get(table), dict):
            values[table] = {}
        values = values[table]
    values[last] = value


def dotted(values: dict[str, Any]) -> list[str]:
    """The dotted names of all keys, tables included."""
    names = []
    for key, value in values.items():
        names.append(key)
        if isinstance(value, dict):
            names += [f"{key}.{name}" for name in dotted(value)]
    return names

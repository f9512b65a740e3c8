"""A recipe as a TOML file that says all of it."""

import json
from typing import Any

from bench.spec.recipe import Recipe

SHORTEST = ("name", "expect")  # the file's own name, and what is known of other files


def recipe_toml(recipe: Recipe, base: Recipe | None = None) -> str:
    """The text of a file that `bench.spec.recipe.load_recipe` reads as this recipe.

    Args:
        base: another version of the recipe; keys with another value there say so.
    """
    values = recipe.model_dump(mode="json", exclude_none=True, exclude={*SHORTEST})
    before = base.model_dump(mode="json") if base else values
    tables = {key for key in values if isinstance(values[key], dict)}
    lines = [_line(key, values[key], before, base) for key in values if key not in tables]
    for table in (key for key in values if key in tables):
        about = (type(getattr(recipe, table)).__doc__ or "").partition("\n")[0]
        lines += ["", f"# {about}", f"[{table}]"]
        lines += [_line(key, value, before.get(table) or {}, base) for key, value in values[table].items()]
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any, before: dict[str, Any], base: Recipe | None) -> str:
    told = key in ("title", "expected") or base is None or before.get(key) == value
    comment = "" if told or base is None else f"  # {base.name}: {_text(before.get(key))}"
    return f"{key} = {_text(value)}{comment}"


def _text(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{key} = {_text(one)}" for key, one in value.items() if one is not None) + " }"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    return "none" if value is None else json.dumps(value, ensure_ascii=False)

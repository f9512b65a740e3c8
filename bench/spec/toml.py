"""Strict TOML: schemas whose every complaint names the file, the key and what would be right."""

import json
import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import InputError, did_you_mean, shortened
from bench.escape import INVISIBLE, visible
from bench.files import read_regular

LARGEST = 2**18
# A key of n parts takes tomllib n^2 memory: 100 kB of them 10 GB.
MOST_DOTS = 200


class Strict(BaseModel):
    """A schema whose unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Schema = TypeVar("Schema", bound=Strict)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        InputError: the file cannot be read or is not TOML.
    """
    try:
        text = read_regular(path, LARGEST).decode()
        if long := next(
            (n for n, line in enumerate(text.split("\n"), 1) if line.count(".") > MOST_DOTS), None
        ):
            raise InputError(f"{path}: line {long} has more than {MOST_DOTS} dots; break it into several")
        return tomllib.loads(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # of TOML, of UTF-8, or an integer of thousands of digits
        raise InputError(f"{path}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise InputError(f"{path}: not valid TOML: nested too deeply") from error


def load_toml(path: Path, schema: type[Schema], **extra: Any) -> Schema:
    """The file at `path` as an instance of `schema`; `extra` adds keys that are not in the file.

    Raises:
        InputError: with the file, the key and the nearest valid key or the type expected.
    """
    return parse({**read_toml(path), **extra}, schema, where=str(path))


def parse(values: dict[str, Any], schema: type[Schema], *, where: str) -> Schema:
    """`values` as an instance of `schema`; `where` names their source in an error.

    Raises:
        InputError: as `load_toml`.
    """
    check_plain(values, where=where)
    try:
        # Checked as JSON is: strict about types, with arrays where the schema says tuple.
        return schema.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error, schema)}") from None


def check_plain(values: Any, *, where: str) -> None:
    """Refuse what TOML or Python can say and no schema takes.

    Raises:
        InputError: a date or another object, a number that is not finite or has too many digits, a hidden
            character.
    """
    try:
        for key, value in _leaves(values, ""):
            name = f'{where}: key "{key}"' if key else where
            if isinstance(value, str):
                if hidden := INVISIBLE.search(key + value):
                    code = ord(hidden[0])
                    raise InputError(f"{visible(name)}: has the hidden character U+{code:04X}; leave it out")
            elif isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"{name}: should be a finite number, not {value}")
            elif isinstance(value, int) and value.bit_length() > 63:
                raise InputError(f"{name}: is a whole number of more than 18 digits")
            elif not isinstance(value, int | float):
                kind = type(value).__name__
                raise InputError(f"{name}: {value} is a {kind}, which no key takes; put text in quotes")
    except RecursionError:
        raise InputError(f"{where}: nested too deeply") from None


def _leaves(values: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every value that is no table and no array, with its dotted key."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _leaves(value, key)
    elif values is not None:
        yield key, values


def first_problem(error: ValidationError, schema: type[BaseModel]) -> str:
    """The most telling of pydantic's complaints as one clause."""
    problems = error.errors()
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location)
    if problem["type"] == "extra_forbidden":
        return f'unknown key "{key}"{did_you_mean(location[-1], _keys(schema, location[:-1]))}'
    if problem["type"] == "missing":
        return f'key "{key}" is missing'
    message = problem["msg"].removeprefix("Value error, ")
    given = "" if isinstance(problem["input"], dict) else f", not {shortened(repr(problem['input']), 60)}"
    place = f'key "{key}": ' if key else ""  # without: it is about several keys
    return f"{place}{message[0].lower() + message[1:]}{given}"


def _keys(schema: type[BaseModel], location: list[str]) -> list[str]:
    """The keys that are valid at a place in a schema (all of them where the place is not plain nesting)."""
    current: Any = schema
    for part in location:
        field = current.model_fields.get(part) if _is_schema(current) else None
        if field is None:
            continue
        nested = [t for t in _flatten(field.annotation) if _is_schema(t)]
        current = nested[0] if nested else current
    return [field.alias or name for name, field in current.model_fields.items()]


def _is_schema(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _flatten(annotation: Any) -> list[Any]:
    """All types named in an annotation such as dict[str, A] | None."""
    parts = getattr(annotation, "__args__", ())
    return [annotation] + [kind for part in parts for kind in _flatten(part)]

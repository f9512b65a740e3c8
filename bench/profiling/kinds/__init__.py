"""The kinds of profiles, and the limits of the machine: every file here has one as `KIND`, of its own name.

A file imports PyTorch only where it measures.
"""

import pkgutil
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from bench.profiling.kind import Kind


def find_kind(name: str) -> "Kind[Any]":
    """The kind of a name."""
    return import_module(f"{__name__}.{name}").KIND


@cache
def all_kinds() -> "dict[str, Kind[Any]]":
    """Every kind by its name, in order."""
    return {module.name: find_kind(module.name) for module in pkgutil.iter_modules(__path__)}


def requestable() -> tuple[str, ...]:
    """The names by which a suite or the command line asks for what is measured."""
    return tuple(name for name, kind in all_kinds().items() if kind.requestable)

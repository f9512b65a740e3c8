"""The conditions under which a trained model is evaluated: each a file here, under its own name.

A file holds TITLE and `apply(images, positions)`, which gets decoded test images, uint8 (n, s, s, 3),
with their positions in the split, int64 (n,), and returns as many of the same shape and type. What it draws
at random it draws from an image's position, so that an image is always changed alike, whatever batch it is
in. A change that alters results is another condition, with another name.
"""

import pkgutil
from importlib import import_module
from types import ModuleType

from bench.errors import InputError, did_you_mean


def conditions() -> list[str]:
    """The names of all conditions, in order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def check_condition(name: str, where: str) -> None:
    """Refuse a name that no condition has; `where` is said in the message.

    Raises:
        InputError: there is none of this name.
    """
    names = conditions()
    if name not in names:
        near = did_you_mean(name, names)
        raise InputError(f'{where}: no condition "{name}"{near} (conditions: {", ".join(names)})')


def find_condition(name: str) -> ModuleType:
    """The file of a condition."""
    return import_module(f"{__name__}.{name}")

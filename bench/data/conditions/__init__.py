"""The conditions under which a trained model is evaluated: each a file here, under its own name.

A file holds TITLE and `apply(image, level, rng)`, which gets one test image as a network is shown it, uint8
(s, s, 3) at the input size and before normalisation, and returns one of the same shape and type. Whatever is
random comes from `rng`, a generator made from the condition and the image's position in the split, so that an
image is always changed alike, whatever batch it is in, and with the same draws at every level.

A condition that has levels is asked for with one, as in `gaussian_noise-3`, or without for all of LEVELS:

- UNIT says what a level is; a condition whose unit is "severity" is a corruption.
- ALLOWED are the levels that may be asked for, a range, and LEVELS those of the name alone. UNCHANGED is the
  level that would change nothing, where that is not 0.
- `misfit(input_size, level)`, where there is one, says why a level does not fit images of a size in px, or
  None where it does.
- `input_size(level)`, where there is one, is the side in px at which networks are evaluated; such a condition
  needs no `apply`.
- `change_network(network)`, where there is one, changes the trained network instead; no `apply` then either.
  `network_misfit(network)` says why it cannot, or None where it can.
- RUNTIME, where it is there, is the library of `bench.runtimes` that runs the network in int8 on the CPU.

`level` is None for a condition without levels. A change that alters results is another condition, with
another name.
"""

import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from bench.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Condition:
    """A condition at one level; `level` is None where it has none. `family` is the name of its file."""

    family: str
    level: int | None = None

    @property
    def name(self) -> str:
        """As suites and records have it."""
        return self.family if self.level is None else f"{self.family}-{self.level}"

    @cached_property
    def _file(self) -> ModuleType:
        return import_module(f"{__name__}.{self.family}")

    @property
    def title(self) -> str:
        """What it is called, without the level."""
        return str(self._file.TITLE)

    @property
    def unit(self) -> str:
        """What a level is; empty where there are none."""
        return getattr(self._file, "UNIT", "")

    @property
    def allowed(self) -> range:
        """The levels that may be asked for."""
        return getattr(self._file, "ALLOWED", range(0))

    @property
    def levels(self) -> Sequence[int | None]:
        """The levels that the name alone stands for; None for a condition without levels."""
        return getattr(self._file, "LEVELS", (None,))

    @property
    def is_corruption(self) -> bool:
        """Whether its levels are severities, over which corruption errors are summed."""
        return self.unit == "severity"

    def input_size(self, input_size: int) -> int:
        """The side in px at which a network of `input_size` px is evaluated."""
        own = getattr(self._file, "input_size", None)
        return input_size if own is None else own(self.level)

    def unchanged(self, input_size: int) -> int:
        """The level that would change nothing in images of this side in px, for the axis of a figure."""
        return input_size if hasattr(self._file, "input_size") else getattr(self._file, "UNCHANGED", 0)

    def misfit(self, input_size: int) -> str | None:
        """Why it does not fit images of this side in px; None where it does."""
        own = getattr(self._file, "misfit", None)
        return None if own is None else own(input_size, self.level)

    @property
    def changes_images(self) -> bool:
        """Whether there is anything to be done to the images."""
        return hasattr(self._file, "apply")

    @property
    def runtime(self) -> str | None:
        """The library that runs the quantised network; None where PyTorch runs it as it was trained."""
        return getattr(self._file, "RUNTIME", None)

    def change_network(self, network: "nn.Module") -> None:
        """Change a trained network as the condition asks, in place; most conditions change images alone."""
        change = getattr(self._file, "change_network", None)
        if change is not None:
            change(network)

    def network_misfit(self, network: "nn.Module") -> str | None:
        """Why it does not fit a network, which may be without values (on the device "meta"); None where it
        does."""
        own = getattr(self._file, "network_misfit", None)
        return None if own is None else own(network)

    def apply(self, images: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Images as they are under the condition.

        Args:
            images: uint8, shape (n, s, s, 3).
            positions: of the images in the split, shape (n,).

        Returns:
            As `images`.
        """
        seeds = [(crc32(self.family.encode()), int(position)) for position in positions]
        changed = [
            self._file.apply(image, self.level, np.random.default_rng(seed))
            for image, seed in zip(images, seeds, strict=True)
        ]
        return np.stack(changed)


@cache
def families() -> tuple[str, ...]:
    """The names of all conditions, without levels, in order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def find_condition(name: str) -> Condition:
    """The condition of a name such as "clean", "gaussian_noise-3", or "gaussian_noise" without a level.

    Raises:
        InputError: there is no such condition, or it has no such level.
    """
    family, dash, text = name.partition("-")
    if family not in families():
        near = did_you_mean(family, families())
        raise InputError(f'no condition "{name}"{near} (see: vcbench conditions)')
    whole = Condition(family)
    if not dash:
        return whole
    if not whole.allowed:
        raise InputError(f'condition "{name}": "{family}" has no levels')
    levels = {str(level): level for level in whole.allowed}
    if text not in levels:
        first, last = whole.allowed[0], whole.allowed[-1]
        raise InputError(f'condition "{name}": {whole.unit} should be a whole number from {first} to {last}')
    return Condition(family, levels[text])

"""Libraries that run exported networks on the CPU: every file here has one as `RUNTIME`, of its own name.

PyTorch itself, `TORCH`, is what their outputs are held against. Nothing here imports a library before it is
used.
"""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

TORCH = "torch"
INPUT = "images"

# Images, float32 (n, 3, size, size), to logits, float32 (n, classes).
Run = Callable[["np.ndarray"], "np.ndarray"]


class Runtime(ABC):
    """A library that runs networks from a file.

    Attributes:
        name: as suites and records have it.
        title: as a reader sees it.
        extra: of this project, with which it is installed.
        needs: distributions that exporting and running take, itself first; `needs_int8` what quantising takes
            besides.
        file: the name of the file of a network.
    """

    name: str
    title: str
    extra: str
    needs: tuple[str, ...]
    needs_int8: tuple[str, ...] = ()
    file: str

    @abstractmethod
    def write(self, network: "nn.Module", images: "Tensor", path: Path, outputs: tuple[str, ...]) -> None:
        """Write a network that takes any number of images at once, in fp32.

        Args:
            network: its forward takes `images` and gives one tensor for each name of `outputs`.
            images: some that it may be shown, at least two, float32 (n, 3, size, size) on the CPU.
        """

    @abstractmethod
    def quantise(self, path: Path, images: "np.ndarray", out: Path) -> None:
        """Write a network that was written in fp32 anew in int8, by static quantisation after training.

        Weights are quantised by channel, activations by tensor. Where the network attends, softmax, norms and
        activation functions stay in fp32, as the libraries advise for transformers.

        Args:
            images: that the ranges of activations are taken on, float32 (n, 3, size, size).
        """

    @abstractmethod
    def open(self, path: Path, *, threads: int, batch_size: int | None = None) -> Run:
        """The network of a file, ready to run on the CPU with so many threads within an operation, and one
        operation at a time. Gives the first of its outputs.

        Args:
            batch_size: of all batches, where they have the same.
        """

    def require(self, int8: bool, *, where: str) -> None:
        """Refuse what cannot run here as its libraries are not installed.

        Raises:
            InputError: with `where` it was asked for, and the command that installs them.
        """
        for module in (*self.needs, *(self.needs_int8 if int8 else ())):
            if find_spec(module) is None:
                raise InputError(f"{where}: needs {module}; pip install 'vcbench[{self.extra}]'")

    def versions(self) -> dict[str, str]:
        """The versions of what exports, quantises and runs a network, as far as they are installed."""
        installed = {}
        for name in (*self.needs, *self.needs_int8):
            try:
                installed[name] = version(name)
            except PackageNotFoundError:
                continue
        return installed


def find_runtime(name: str) -> Runtime:
    """The runtime of a name."""
    runtime: Runtime = import_module(f"{__name__}.{name}").RUNTIME
    return runtime


@cache
def runtime_names() -> tuple[str, ...]:
    """The names of all runtimes beside `TORCH`, in order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def runtime_title(name: str) -> str:
    """What a runtime is called, `TORCH` too."""
    return "PyTorch" if name == TORCH else find_runtime(name).title

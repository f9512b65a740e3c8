"""Safetensors files of weights: what one holds, and whether it is of the network that a card describes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from bench.errors import WeightsError
from bench.files import require_regular
from bench.spec.card import Card


class DamagedWeights(WeightsError):
    """A file that is not there, or not what was written: its weights have to be fetched or made again."""


Shapes = dict[str, tuple[int, ...]]


def read_shapes(path: Path) -> Shapes:
    """The shape of every tensor of a safetensors file; their values are not read.

    Raises:
        WeightsError: the file cannot be read, is cut short, is of another format or has not its suffix.
    """
    with _readable(path), safe_open(path, framework="pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path}: a safetensors file whose name should end in .safetensors")
    return shapes


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, on the CPU.

    Raises:
        WeightsError: the file cannot be read, is cut short, is of another format or holds no numbers.
    """
    with _readable(path):
        tensors = load_file(path, device="cpu")
    check_finite(path, tensors)
    return tensors


def tensors_as_bytes(tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """A safetensors file; a tensor with two names lies in it twice, as safetensors knows no shared ones."""
    return save(
        {
            name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
            for name, tensor in tensors.items()
        },
        metadata,
    )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Errors of reading a file as one line."""
    try:
        require_regular(path)
        yield
    except SafetensorError as error:
        raise DamagedWeights(f"{path}: not a whole safetensors file ({error}); fetch it again") from error
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error})") from error


def check_shapes(
    card: Card, path: Path, shapes: Mapping[str, tuple[int, ...]], native: nn.Module, *, head: bool
) -> None:
    """Compare a file's tensors with those of the network as the card describes it, made at its own size.

    The head counts only if `head`. For a model without a card, whose file may use its authors' names, only
    tensors with the same name are compared.

    Raises:
        WeightsError: names the first tensor that is missing, of another shape or unexpected, and the file.
    """
    wanted = native.state_dict(keep_vars=True)
    stored = {id(tensor) for name, tensor in wanted.items() if name in shapes}  # some have two names
    heads = () if head else tuple(f"{name}." for name in head_names(native))
    for name, tensor in wanted.items():
        need = tuple(tensor.shape)
        if name.startswith(heads):
            continue
        if name in shapes and shapes[name] != need:
            raise WeightsError(f'{path}: tensor "{name}" has shape {shapes[name]}, {card.name} needs {need}')
        # Files from other frameworks lack the counter of batch normalisation.
        optional = name.endswith(".num_batches_tracked") or id(tensor) in stored
        if card.carded and name not in shapes and not optional:
            raise WeightsError(f'{path}: tensor "{name}" is missing, {card.name} needs it with shape {need}')
    for name, shape in shapes.items():
        if card.carded and name not in wanted and not name.startswith(heads):
            raise WeightsError(f'{path}: tensor "{name}" of shape {shape} is not in {card.name}')


def check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights, which came from `path`, that are not all numbers.

    Raises:
        WeightsError: names the first tensor that holds another value.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise WeightsError(
                f'{path}: tensor "{name}" holds values that are not finite; fetch the file again'
            )


def head_names(network: nn.Module) -> tuple[str, ...]:
    """The modules that are the classifier of a network made by timm; a distilled one has two."""
    settings: Any = network.pretrained_cfg
    names = settings.get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)
